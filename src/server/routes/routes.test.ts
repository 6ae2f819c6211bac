import { describe, expect, it } from 'vitest';
import { databaseKinds } from '../../../test/support/bench.ts';
import { makeServerBench } from '../../../test/support/server-bench.ts';
import { demoClient } from '../../simulator/index.ts';

const tokenPath = '/v1/tenants/acme/grants/strict/token';

describe.each(databaseKinds)('on %s', (kind) => {
  it('a grant is stored, its token handed out, reported, and disconnected', async () => {
    await using server = await makeServerBench({ kind });
    const { bench } = server;
    await bench.addApp(server.vault, 'strict');
    const minted = bench.simulator.mintTokens({
      profile: 'strict',
      clientId: demoClient.clientId,
      user: 'user@us.example',
      scopes: ['read'],
    });
    const put = { refresh_token: minted.refreshToken, app: 'strict', scope: 'read' };
    const stored = await server.call('PUT', '/v1/tenants/acme/grants/strict', { body: put });
    expect(stored.status).toBe(201);
    expect(stored.body).toMatchObject({ tenant: 'acme', provider: 'strict', account: 'default', state: 'active' });
    expect(JSON.stringify(stored.body)).not.toContain(minted.refreshToken);

    const handedOut = await server.call('GET', tokenPath, { key: 'reader' });
    expect(handedOut.status).toBe(200);
    expect(handedOut.headers.get('cache-control')).toBe('no-store');
    expect(Object.keys(handedOut.body)).toEqual([
      'access_token',
      'token_type',
      'expires_at',
      'expires_in',
      'scope',
      'api_domain',
      'generation',
    ]);
    // The described route answers as the hot one does: an escape in the path keeps a request from the latter.
    const described = await server.call('GET', '/v1/tenants/%61cme/grants/strict/token', { key: 'reader' });
    expect(described.body).toMatchObject({
      access_token: handedOut.body.access_token,
      generation: handedOut.body.generation,
    });

    bench.simulator.killAccessToken(handedOut.body.access_token);
    const body = { rejected_generation: handedOut.body.generation };
    const [one, other] = await Promise.all([
      server.call('POST', tokenPath, { key: 'reader', body }),
      server.call('POST', tokenPath, { key: 'reader', body }),
    ]);
    expect([one.status, other.status]).toEqual([200, 200]);
    expect(one.body.generation).toBe(handedOut.body.generation + 1);
    expect(other.body.access_token).toBe(one.body.access_token);
    expect(bench.requests().length).toBe(2);

    const gone = await server.call('DELETE', '/v1/tenants/acme/grants/strict', { key: 'operator' });
    expect([gone.status, gone.headers.get('grantry-revocation')]).toEqual([204, 'revoked']);
    const after = await server.call('GET', tokenPath, { key: 'reader' });
    expect([after.status, after.body.code]).toEqual([404, 'grant_not_found']);
    expect(after.headers.get('content-type')).toBe('application/problem+json');
  });

  it('a disconnect on one server ends the hand-out of another within five seconds', async () => {
    await using server = await makeServerBench({ kind });
    const other = await server.start();
    await server.bench.connect(server.vault);
    expect((await server.call('GET', tokenPath, { url: other.url })).status).toBe(200);
    await server.call('DELETE', '/v1/tenants/acme/grants/strict');
    await server.bench.pass(5_000);
    expect((await server.call('GET', tokenPath, { url: other.url })).status).toBe(404);
  });

  it('a revoked key is refused by every server within five seconds', async () => {
    await using server = await makeServerBench({ kind });
    const other = await server.start();
    const key = await server.keyOf('operator');
    expect((await server.call('GET', '/v1/apps', { key, url: other.url })).status).toBe(200);
    const { body: listed } = await server.call('GET', '/v1/keys');
    const id = listed.items.find((item) => item.role === 'operator')?.id ?? '';
    expect((await server.call('DELETE', `/v1/keys/${id}`)).status).toBe(204);
    expect((await server.call('GET', '/v1/apps', { key })).status).toBe(401);
    await server.bench.jump(5_000);
    expect((await server.call('GET', '/v1/apps', { key, url: other.url })).status).toBe(401);
  });
});

describe('the rights of a role', () => {
  it.each([
    ['GET', '/v1/tenants/acme/grants/strict/token', { admin: 200, operator: 403, reader: 200, caller: 403 }],
    ['GET', '/v1/tenants/acme/grants/strict', { admin: 200, operator: 200, reader: 200, caller: 200 }],
    ['GET', '/v1/tenants/globex/grants/strict', { admin: 200, operator: 200, reader: 403, caller: 403 }],
    ['GET', '/v1/tenants/nobody/grants/strict', { admin: 404, operator: 404, reader: 403, caller: 403 }],
    ['GET', '/v1/grants', { admin: 200, operator: 200, reader: 200, caller: 200 }],
    ['GET', '/v1/grants?tenant=globex', { admin: 200, operator: 200, reader: 403, caller: 403 }],
    ['POST', '/v1/tenants/acme/grants/strict/health', { admin: 200, operator: 200, reader: 403, caller: 403 }],
    ['GET', '/v1/apps', { admin: 200, operator: 200, reader: 403, caller: 403 }],
    ['GET', '/v1/providers/zoho_crm', { admin: 200, operator: 200, reader: 403, caller: 403 }],
    ['GET', '/v1/keys', { admin: 200, operator: 403, reader: 403, caller: 403 }],
  ] as const)('%s %s', async (method, path, expected) => {
    await using server = await makeServerBench();
    await server.bench.connect(server.vault);
    await server.bench.connect(server.vault, { tenant: 'globex' });
    const seen: Record<string, number> = {};
    for (const role of ['admin', 'operator', 'reader', 'caller'] as const) {
      seen[role] = (await server.call(method, path, { key: role })).status;
    }
    expect(seen).toEqual(expected);
  });

  it('a reader lists only the grants of its own tenants and providers', async () => {
    await using server = await makeServerBench({ profiles: ['strict', 'none'] });
    await server.bench.connect(server.vault);
    await server.bench.connect(server.vault, { provider: 'none' });
    await server.bench.connect(server.vault, { tenant: 'globex' });
    const listedBy = async (key: string): Promise<string[]> => {
      const { body } = await server.call('GET', '/v1/grants', { key });
      return body.items.map((item) => `${item.tenant}/${item.provider}`);
    };
    expect(await listedBy('reader')).toEqual(['acme/none', 'acme/strict']);
    expect(await listedBy(await server.keyOf('reader', { providers: ['strict'] }))).toEqual(['acme/strict']);
    expect(await listedBy(await server.keyOf('caller', { tenants: [] }))).toEqual([]);
    expect((await listedBy('admin')).length).toBe(3);
  });
});

it('an app that becomes another client keeps no secret of the one it was', async () => {
  await using server = await makeServerBench();
  const put = { provider: 'zoho_crm', client_id: '1000.A', client_secret: 'hunter2' };
  expect((await server.call('PUT', '/v1/apps/crm', { body: put })).body.secrets).toEqual(['*']);
  const same = await server.call('PUT', '/v1/apps/crm', { body: { provider: 'zoho_crm', client_id: '1000.A' } });
  expect(same.body.secrets).toEqual(['*']);
  const moved = await server.call('PUT', '/v1/apps/crm', { body: { provider: 'strict', client_id: '1000.A' } });
  expect([moved.status, moved.body.secrets]).toEqual([200, []]);
});

it('a key uses up nothing of a tenant for whom it does not act', async () => {
  await using server = await makeServerBench({
    server: { limits: { tenantRequestsPerSecond: 1, tenantBurst: 5 } },
  });
  await server.bench.connect(server.vault, { tenant: 'globex' });
  const path = '/v1/tenants/globex/grants/strict';
  for (let turn = 0; turn < 20; turn += 1) expect((await server.call('GET', path, { key: 'caller' })).status).toBe(403);
  expect((await server.call('GET', path)).status).toBe(200);
});

it('a server refuses a query parameter that it does not know, so an older one never revokes against --no-revoke', async () => {
  await using server = await makeServerBench();
  const { minted } = await server.bench.connect(server.vault);
  const refused = await server.call('DELETE', '/v1/tenants/acme/grants/strict?a_later_parameter=false');
  expect([refused.status, refused.body.code]).toEqual([400, 'invalid_request']);
  expect(refused.body.detail).toBe('Unknown field in the query: a_later_parameter.');
  expect((await server.call('GET', '/v1/tenants/acme/grants/strict')).body.state).toBe('active');
  expect((await server.call('DELETE', '/v1/tenants/acme/grants/strict?revoke=no')).status).toBe(400);
  expect(server.bench.simulator.isAlive(minted.refreshToken)).toBe(true);
});

it('an action names a route over HTTP', async () => {
  await using server = await makeServerBench();
  const { text } = await server.call('GET', tokenPath);
  expect(JSON.parse(text).action).toBe('Connect it: POST /v1/connect-sessions');
});

it('an id of many digits in metadata keeps them all, from each route that takes it', async () => {
  await using server = await makeServerBench();
  await server.bench.addApp(server.vault, 'strict');
  const path = '/v1/tenants/acme/grants/strict';
  const tokens = '"app":"strict","refresh_token":"token-of-acme"';
  const metadata = (id: string) => `"metadata":{"org_id":${id},"deep":[{"id":-${id}}]}`;
  const json = { 'content-type': 'application/json' };
  const ndjson = { 'content-type': 'application/x-ndjson' };
  const line = `{"tenant":"globex","provider":"strict",${tokens},${metadata('170876000005062007')}}`;
  const kept = [
    ['PUT', path, json, `{${tokens},${metadata('170876000005062005')}}`, 'acme', '170876000005062005'],
    ['PATCH', path, json, `{${metadata('170876000005062006')}}`, 'acme', '170876000005062006'],
    ['POST', '/v1/import', ndjson, line, 'globex', '170876000005062007'],
  ] as const;
  for (const [method, route, headers, body, tenant, id] of kept) {
    await server.call(method, route, { headers, body });
    const grant = await server.vault.grants.get({ tenant, provider: 'strict' });
    expect(grant?.metadata).toEqual({ org_id: id, deep: [{ id: `-${id}` }] });
  }
});
