/** An organisation that the caller names reaches the provider or is refused: it is never replaced, nor doubled. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench } from '../../../test/support/bench.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { proxyCall } from './proxied-call.ts';

let seen: { url: string; headers: Headers }[] = [];

let bench: Bench;
let vault: Vault;

const key = (provider: string) => ({ tenant: 'acme', provider });

function definitionOf(id: string, api: Partial<ProviderDefinitionInput['api']>): ProviderDefinitionInput {
  const origin = 'https://api.example.com';
  return { id, endpoints: { token: `${origin}/token` }, api: { hosts: [origin], ...api } };
}

beforeAll(async () => {
  bench = await makeBench();
  const also = { in: 'header', name: 'X-Organization' } as const;
  const providers = [
    definitionOf('in_query', { organization: { in: 'query', name: 'organization_id', also: [also] } }),
    definitionOf('in_header', {
      organization: { in: 'header', name: 'orgId', also: [{ in: 'query', name: 'organization_id' }] },
    }),
    definitionOf('pinned', { headers: { 'Xero-Tenant-Id': '{metadata.xero_tenant_id}' } }),
    definitionOf('in_path', {}),
  ];
  const opened = await bench.open({ providers });
  ({ vault } = opened);
  opened.world.fetch = async (url, init) => {
    const { pathname, search } = new URL(url);
    seen.push({ url: pathname + search, headers: new Headers(init?.headers) });
    return Response.json({});
  };
  for (const { id } of providers) {
    await vault.apps.put(id, { provider: id, clientId: 'id', clientSecret: 'secret' });
    const metadata = { org_id: 'own', xero_tenant_id: 'own', realm_id: 'own' };
    await vault.storeTokens(key(id), { refreshToken: 'rt', accessToken: 'at', expiresIn: 3_600, metadata });
  }
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

/** One call by `fetch`, and the same through the proxy. */
async function call(provider: string, path: string, headers: Record<string, string> = {}) {
  seen = [];
  await vault.fetch(key(provider), path, { headers });
  const { open, handOut } = internalsOf(vault);
  const flat = Object.entries(headers).flatMap(([name, value]) => [name.toLowerCase(), value]);
  const answer = await proxyCall(open(), handOut, key(provider), {
    method: 'GET',
    path,
    host: undefined,
    headers: flat,
    body: () => null,
    canRepeat: () => true,
    signal: new AbortController().signal,
  });
  answer.rest?.resume();
  expect(seen).toHaveLength(2);
  const [one, other] = seen.map(({ url, headers: sent }) => ({
    url,
    orgid: sent.get('orgid'),
    also: sent.get('x-organization'),
    tenant: sent.get('xero-tenant-id'),
  }));
  expect(one).toEqual(other);
  return one;
}

describe('the organisation of a call', () => {
  it('in the query is the grant’s, or the caller’s in either place', async () => {
    expect(await call('in_query', '/x')).toMatchObject({ url: '/x?organization_id=own' });
    expect(await call('in_query', '/x?organization_id=2&y=1')).toMatchObject({ url: '/x?organization_id=2&y=1' });
    expect(await call('in_query', '/x', { 'X-Organization': '3' })).toMatchObject({ url: '/x', also: '3' });
  });

  it('in a header is the grant’s, or the caller’s in either place', async () => {
    expect(await call('in_header', '/x')).toMatchObject({ url: '/x', orgid: 'own' });
    expect(await call('in_header', '/x', { OrgID: '2' })).toMatchObject({ url: '/x', orgid: '2' });
    const inQuery = await call('in_header', '/x?organization_id=3');
    expect(inQuery).toMatchObject({ url: '/x?organization_id=3' });
    expect(inQuery?.orgid).toBe(null);
  });

  it('in a pinned header is the grant’s, and another one is refused', async () => {
    expect(await call('pinned', '/x')).toMatchObject({ tenant: 'own' });
    expect(await call('pinned', '/x', { 'xero-tenant-id': 'own' })).toMatchObject({ tenant: 'own' });
    expect(await codeOf(vault.fetch(key('pinned'), '/x', { headers: { 'Xero-Tenant-Id': '2' } }))).toBe(
      'invalid_request',
    );
  });

  it('in the path is the caller’s', async () => {
    expect(await call('in_path', '/v3/company/2/query')).toMatchObject({ url: '/v3/company/2/query' });
  });
});
