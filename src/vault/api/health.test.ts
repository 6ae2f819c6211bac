import { expect, it } from 'vitest';
import { makeUpstream } from '../../../test/support/upstream.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';

const key = { tenant: 'acme', provider: 'plain' };
const health = { path: '/org', name: '/name', scope: 'org.read' };
const byPointer: NonNullable<ProviderDefinitionInput['api']>['invalidToken'] = [
  { status: 401, pointer: '/code', equals: 57 },
];

interface Case {
  readonly status: number;
  readonly body: object;
  readonly scopes: readonly string[] | undefined;
  readonly invalidToken?: typeof byPointer;
}

async function healthOf({ status, body, scopes, invalidToken }: Case, scope: string | undefined = health.scope) {
  await using upstream = await makeUpstream({
    api: (_, response) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
    change: (definition) => {
      const { scope: _, ...without } = health;
      const call = scope === undefined ? without : health;
      return { ...definition, api: { ...definition.api, health: call, ...(invalidToken ? { invalidToken } : {}) } };
    },
  });
  const tokens = {
    app: 'plain',
    refreshToken: 'another-refresh-token',
    accessToken: 'access-token-x',
    expiresIn: 3_600,
  };
  await upstream.vault.storeTokens(key, { ...tokens, ...(scopes === undefined ? {} : { scopes }) });
  return await upstream.vault.health(key);
}

const lacking: Readonly<Record<string, Case>> = {
  'a plain 403': { status: 403, body: {}, scopes: ['items.read'] },
  'a plain 403 for a grant whose scopes are unknown': { status: 403, body: {}, scopes: undefined },
  'a plain 401': { status: 401, body: {}, scopes: ['items.read'] },
  'a 401 beside a pointer rule': { status: 401, body: { code: 9 }, scopes: ['items.read'], invalidToken: byPointer },
  'a 401 under a pointer rule': { status: 401, body: { code: 57 }, scopes: ['items.read'], invalidToken: byPointer },
};

it.each(Object.entries(lacking))('is good where only the scope of the health call is missing: %s', async (_, given) => {
  expect(await healthOf(given)).toMatchObject({ status: 'healthy', orgName: null, missingScope: 'org.read' });
});

const bad: Readonly<Record<string, Case>> = {
  'a 403 although the grant has the scope': { status: 403, body: {}, scopes: ['org.read'] },
  'a 401 although the grant has the scope': { status: 401, body: {}, scopes: ['org.read'] },
  'a 401 for a grant whose scopes are unknown': { status: 401, body: {}, scopes: undefined },
  'another status': { status: 404, body: {}, scopes: ['items.read'] },
};

it.each(Object.entries(bad))('is bad where the scope is not the cause: %s', async (_, given) => {
  expect(await healthOf(given)).toMatchObject({ status: 'unhealthy', error: 'provider_error' });
});

it('tells why a rejected token was not replaced', async () => {
  await using upstream = await makeUpstream({
    api: (_, response) => response.writeHead(401).end(),
    change: (definition) => ({
      ...definition,
      endpoints: { token: 'http://127.0.0.1:9/token' },
      api: { ...definition.api, health },
    }),
  });
  const report = await upstream.vault.health(key);
  expect(report).toMatchObject({ status: 'unhealthy', error: 'provider_unavailable' });
});
