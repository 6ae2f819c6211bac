import type http from 'node:http';
import { describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/index.ts';
import { builtInProvider, builtInProviderIds } from '../../src/providers/catalogue.ts';
import type { ProviderDefinitionInput } from '../../src/providers/definition.ts';
import { parseProviderDefinition } from '../../src/providers/parse.ts';
import { makeUpstream, type Upstream } from '../support/upstream.ts';

const key = { tenant: 'acme', provider: 'plain' };
const api: http.RequestListener = (request, response) => {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(request.headers));
};

function withHeaders(definition: ProviderDefinitionInput): ProviderDefinitionInput {
  const defaults = { Accept: 'application/json', 'X-Version': '2022', 'X-Realm': '{metadata.realm}' };
  return { ...definition, api: { ...definition.api, defaults, headers: { 'X-Tenant': '{metadata.org}' } } };
}

/** The ways to make a call; each returns the status and what the API got, or the error. */
const ways: Record<string, (upstream: Upstream, headers: Record<string, string>) => Promise<Response>> = {
  'vault.fetch': (upstream, headers) => upstream.vault.fetch(key, '/x', { headers }),
  'the proxy': (upstream, headers) => upstream.call('/x', { headers }),
  'the client': (upstream, headers) =>
    createClient({ url: upstream.url, apiKey: upstream.key }).fetch(key, '/x', { headers }),
};

describe.each(Object.entries(ways))('%s', (_, call) => {
  it('sends the defaults of the definition, and a caller’s own header instead of one', async () => {
    await using upstream = await makeUpstream({ api, change: withHeaders, metadata: { realm: 'r1', org: 'o1' } });
    const usual = await call(upstream, {});
    expect(await usual.json()).toMatchObject({
      accept: 'application/json',
      'x-version': '2022',
      'x-realm': 'r1',
      'x-tenant': 'o1',
    });
    const own = await call(upstream, {
      accept: 'application/pdf',
      'x-version': '2026',
      'X-REALM': 'r2',
      'x-tenant': 'o1',
    });
    expect(await own.json()).toMatchObject({
      accept: 'application/pdf',
      'x-version': '2026',
      'x-realm': 'r2',
      'x-tenant': 'o1',
    });
  });

  it('keeps the default where the caller accepts everything, as HTTP clients do by themselves', async () => {
    await using upstream = await makeUpstream({ api, change: withHeaders });
    const answer = await call(upstream, { accept: '*/*' });
    expect(await answer.json()).toMatchObject({ accept: 'application/json' });
  });

  it('refuses another value of a pinned header, and lets one through that the grant does not know', async () => {
    await using upstream = await makeUpstream({ api, change: withHeaders, metadata: { org: 'o1' } });
    const answer = await call(upstream, { 'x-tenant': 'o2' }).then(
      async (response) => ({ code: response.status, message: await response.text() }),
      (error: unknown) => ({ code: Reflect.get(Object(error), 'code'), message: String(error) }),
    );
    expect([400, 'invalid_request']).toContain(answer.code);
    expect(answer.message).toContain('X-Tenant');
    await upstream.connect('acme', {});
    await upstream.vault.updateMetadata(key, { org: null });
    expect(await (await call(upstream, { 'x-tenant': 'o2' })).json()).toMatchObject({ 'x-tenant': 'o2' });
  });
});

it('no built-in provider pins a header that is the caller’s choice', () => {
  for (const id of builtInProviderIds) {
    const pinned = Object.keys(builtInProvider(id)?.api.headers ?? {}).map((name) => name.toLowerCase());
    expect([id, pinned.filter((name) => /^accept|^user-agent$|version/.test(name))]).toEqual([id, []]);
  }
  expect(builtInProvider('xero')?.api.defaults).toEqual({ Accept: 'application/json' });
});

it('a definition cannot have one header both ways', () => {
  const definition = {
    id: 'x',
    endpoints: { token: 'https://as.example/token' },
    api: { hosts: ['https://api.example'], headers: { ACCEPT: 'a/b' }, defaults: { accept: 'a/c' } },
  };
  expect(() => parseProviderDefinition(definition)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});
