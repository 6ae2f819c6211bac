/** A call goes where the refresh has just said: the first call of an imported grant, and the repeated one. */
import { describe, expect, it } from 'vitest';
import { makeBench, until } from '../../../test/support/bench.ts';
import { makeUpstream, tokens } from '../../../test/support/upstream.ts';
import { isGrantryError } from '../../base/errors.ts';
import { systemWorld } from '../../base/system-world.ts';
import { openVault } from '../../index.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';
import type { TokensInput, Vault } from '../types.ts';

interface Sent {
  readonly host: string;
  readonly path: string;
  readonly headers: Headers;
}

interface Place extends AsyncDisposable {
  readonly vault: Vault;
  readonly calls: Sent[];
  readonly refreshes: () => number;
  store(tokens?: Partial<TokensInput>): Promise<void>;
}

const key = { tenant: 'a', provider: 'p' };

/** A vault whose network is a function: the token endpoint says `news`, and only the API at `host` takes its tokens. */
async function makePlace(
  provider: string,
  { news, host, definition }: { news: () => object; host: () => string; definition?: ProviderDefinitionInput },
): Promise<Place> {
  const bench = await makeBench();
  const calls: Sent[] = [];
  let refreshes = 0;
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const { host: asked, pathname, search } = new URL(url);
    if (pathname.endsWith('/token')) {
      refreshes += 1;
      return Response.json({ access_token: `fresh-${refreshes}`, token_type: 'Bearer', expires_in: 3_600, ...news() });
    }
    const headers = new Headers(init.headers);
    calls.push({ host: asked, path: pathname + search, headers });
    const isRight = asked === host() && /fresh-\d+$/.test(headers.get('authorization') ?? '');
    return Response.json({ code: 'INVALID_TOKEN' }, { status: isRight ? 200 : 401 });
  };
  const world = { ...systemWorld(), fetch };
  const open = await openVault({
    database: bench.database,
    home: bench.home,
    rootKey: `file:${bench.home}/root.key`,
    providers: definition === undefined ? [] : [definition],
    world,
  });
  const dc = provider === 'salesforce' ? 'production' : provider.startsWith('zoho') ? 'us' : undefined;
  await open.apps.put('app', { provider, clientId: 'id', clientSecret: 'secret', ...(dc === undefined ? {} : { dc }) });
  return {
    vault: open,
    calls,
    refreshes: () => refreshes,
    store: async (more = {}) => {
      await open.storeTokens({ ...key, provider }, { app: 'app', refreshToken: 'refresh-token', ...more });
    },
    async [Symbol.asyncDispose]() {
      await open.close();
      await bench[Symbol.asyncDispose]();
    },
  };
}

describe.each([
  ['salesforce', 'instance_url', 'acme.my.salesforce.com', '/services/data/v62.0/limits'],
  ['zoho_crm', 'api_domain', 'sandbox.zohoapis.com', '/crm/v8/org'],
] as const)('an imported grant at %s', (provider, member, host, path) => {
  const news = () => ({ [member]: `https://${host}` });

  it('is refreshed before its first call, which goes to the host of the answer', async () => {
    await using place = await makePlace(provider, { news, host: () => host });
    await place.store();
    for (let call = 0; call < 3; call += 1)
      expect((await place.vault.fetch({ ...key, provider }, path)).status).toBe(200);
    expect(place.calls.map((call) => call.host)).toEqual([host, host, host]);
    expect(place.refreshes()).toBe(1);
  });

  it('whose token is rejected is called again at the host of the answer', async () => {
    await using place = await makePlace(provider, { news, host: () => host });
    const old = provider === 'salesforce' ? 'https://old.my.salesforce.com' : 'https://www.zohoapis.com';
    await place.store({ accessToken: 'stale', expiresIn: 3_600, metadata: { api_domain: old } });
    // Storing has asked for the organisation.
    place.calls.length = 0;
    expect((await place.vault.fetch({ ...key, provider }, path)).status).toBe(200);
    expect(place.calls.map((call) => call.host)).toEqual([new URL(old).host, host]);
    expect((await place.vault.fetch({ ...key, provider }, path)).status).toBe(200);
    expect(place.refreshes()).toBe(1);
  });

  it('is refreshed for its health', async () => {
    await using place = await makePlace(provider, { news, host: () => host });
    await place.store();
    expect((await place.vault.health({ ...key, provider })).status).toBe('healthy');
  });
});

it.each([
  ['learn the host', { instance_url: 'https://acme.my.salesforce.com' }, 200],
  ['no avail, if the answer names no host', {}, 'provider_misconfigured'],
])('a grant with a token and no host is refreshed once, to %s', async (_, news, end) => {
  await using place = await makePlace('salesforce', { news: () => news, host: () => 'acme.my.salesforce.com' });
  await place.store({ accessToken: 'live', expiresIn: 3_600 });
  const grant = { ...key, provider: 'salesforce' };
  for (let call = 0; call < 3; call += 1) {
    const ended = place.vault.fetch(grant, '/services/data').then(
      (answer) => answer.status,
      (error: unknown) => (isGrantryError(error) ? error.code : 'another error'),
    );
    expect(await ended).toBe(end);
  }
  expect(place.refreshes()).toBe(1);
});

it('a wrong address is refused before a token is fetched', async () => {
  await using place = await makePlace('zoho_crm', { news: () => ({}), host: () => 'www.zohoapis.com' });
  await place.store();
  for (const wrong of ['https://evil.example/x', 'no-slash', '//evil.example', '/a/../b'])
    await expect(place.vault.fetch({ ...key, provider: 'zoho_crm' }, wrong)).rejects.toMatchObject({
      code: 'invalid_request',
    });
  expect(place.refreshes()).toBe(0);
});

it('organisation, headers and base path come from the answer of the refresh as well', async () => {
  const definition: ProviderDefinitionInput = {
    id: 'p',
    endpoints: { token: 'https://as.example/token' },
    capture: { token: { org: 'org_id', realm: 'realm' } },
    refreshToken: { rotation: 'none' },
    api: {
      hosts: ['https://api.example'],
      base: 'https://api.example/v1/{metadata.realm}',
      headers: { 'X-Realm': '{metadata.realm}' },
      organization: { in: 'query', name: 'organization_id' },
    },
  };
  let turn = 0;
  const news = () => ({ org: `org-${(turn += 1)}`, realm: `realm-${turn}` });
  await using place = await makePlace('p', { news, host: () => 'api.example', definition });
  await place.store();
  expect((await place.vault.fetch(key, '/items')).status).toBe(200);
  const [first] = place.calls;
  expect([first?.path, first?.headers.get('x-realm')]).toEqual(['/v1/realm-1/items?organization_id=org-1', 'realm-1']);
  await place.store({
    refreshToken: 'other',
    accessToken: 'stale',
    expiresIn: 3_600,
    metadata: { realm: 'old', org_id: 'old' },
  });
  expect((await place.vault.fetch(key, '/items')).status).toBe(200);
  expect(place.calls.slice(1).map(({ path }) => path)).toEqual([
    '/v1/old/items?organization_id=old',
    '/v1/realm-2/items?organization_id=org-2',
  ]);
  expect(place.calls.at(-1)?.headers.get('x-realm')).toBe('realm-2');
});

it('a change of the metadata moves the next call', async () => {
  await using place = await makePlace('zoho_crm', { news: () => ({}), host: () => 'www.zohoapis.eu' });
  await place.store({ metadata: { api_domain: 'https://www.zohoapis.com' } });
  const grant = { ...key, provider: 'zoho_crm' };
  await place.vault.fetch(grant, '/crm/v8/org');
  await place.vault.updateMetadata(grant, { api_domain: 'https://www.zohoapis.eu' });
  expect((await place.vault.fetch(grant, '/crm/v8/org')).status).toBe(200);
  expect(place.calls.at(-1)?.host).toBe('www.zohoapis.eu');
});

it('the proxy repeats a call at the host of the answer', async () => {
  const seen: string[] = [];
  await using upstream = await makeUpstream({
    api: (request, response) => {
      seen.push(request.headers.host?.split(':')[0] ?? '');
      response.writeHead(request.headers.authorization?.endsWith(tokens.first) === true ? 401 : 200).end();
    },
    answer: (origin) => ({ instance_url: origin.replace('127.0.0.1', 'localhost') }),
    change: (definition) => ({ ...definition, capture: { token: { instance_url: 'api_domain' } } }),
  });
  expect((await upstream.call('/items')).status).toBe(200);
  expect(seen).toEqual(['127.0.0.1', 'localhost']);
  await until(async () => (await upstream.call('/items')).status === 200, 'the second call');
  expect(seen.at(-1)).toBe('localhost');
  expect(upstream.refreshes).toBe(1);
});
