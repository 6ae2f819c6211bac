/** Which role may use which route: every described route, and what a connector learns from all of them. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';
import { apiKeyRoles } from '../../schemas/words.ts';
import { demoClient } from '../../simulator/index.ts';

const grant = '/v1/tenants/{tenant}/grants/{provider}';
const everybody = 'admin operator reader caller connector';
const operators = 'admin operator';

/** The routes of the API's description, and the roles that may use them. */
const rights: Readonly<Record<string, string>> = {
  [`GET ${grant}/token`]: 'admin reader',
  [`POST ${grant}/token`]: 'admin reader',
  'GET /v1/grants': everybody,
  [`GET ${grant}`]: everybody,
  [`PUT ${grant}`]: operators,
  [`PATCH ${grant}`]: operators,
  [`DELETE ${grant}`]: operators,
  [`GET ${grant}/budget`]: everybody,
  [`GET ${grant}/organizations`]: operators,
  [`POST ${grant}/health`]: operators,
  [`POST ${grant}/recover`]: operators,
  'POST /v1/import': operators,
  'POST /v1/connect-sessions': 'admin operator connector',
  'GET /v1/connect-sessions': 'admin operator connector',
  'GET /v1/connect-sessions/{id}': 'admin operator connector',
  'POST /v1/connect-sessions/{id}/complete': 'admin operator connector',
  'GET /v1/apps': operators,
  'GET /v1/apps/{app}': operators,
  'GET /v1/apps/{app}/slots': operators,
  'PUT /v1/apps/{app}': operators,
  'DELETE /v1/apps/{app}': operators,
  'GET /v1/providers': operators,
  'GET /v1/providers/{provider}': operators,
  'PUT /v1/providers/{provider}': operators,
  'DELETE /v1/providers/{provider}': operators,
  'POST /v1/keys': 'admin',
  'GET /v1/keys': 'admin',
  'PATCH /v1/keys/{id}': 'admin',
  'POST /v1/keys/self/children': everybody,
  'DELETE /v1/keys/{id}': 'admin',
  'POST /v1/adopt': 'admin',
  'GET /v1/proxy/{tenant}/{provider}/{path}': 'admin reader caller',
  'POST /v1/proxy/{tenant}/{provider}/{path}': 'admin reader caller',
  'PUT /v1/proxy/{tenant}/{provider}/{path}': 'admin reader caller',
  'PATCH /v1/proxy/{tenant}/{provider}/{path}': 'admin reader caller',
  'DELETE /v1/proxy/{tenant}/{provider}/{path}': 'admin reader caller',
  'OPTIONS /v1/proxy/{tenant}/{provider}/{path}': 'admin reader caller',
  'GET /v1/audit': operators,
  'GET /v1/audit/checkpoint': operators,
  'GET /v1/audit/entries/{seq}/proof': operators,
  'GET /v1/audit/export': operators,
  [`GET ${grant}/history`]: operators,
  'GET /metrics': operators,
};

let server: ServerBench;
let described: string[];
const secrets: string[] = [];

beforeAll(async () => {
  server = await makeServerBench();
  const { body } = await server.call('GET', '/openapi.json', { key: null });
  described = Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const { minted, key } = await server.bench.connect(server.vault, { expiresIn: 3_000 });
  await server.bench.connect(server.vault, { tenant: 'globex', expiresIn: 3_000 });
  const { accessToken } = await server.vault.getAccessToken(key);
  secrets.push(minted.refreshToken, minted.accessToken, accessToken, demoClient.secret ?? '-');
});

afterAll(() => server?.[Symbol.asyncDispose]());

/** Requests that change nothing: they name what does not exist, and send bodies that are no good. */
const requestFor = (route: string): [string, string] => {
  const [method = '', path = ''] = route.split(' ');
  const filled = path
    .replace('{tenant}', 'acme')
    .replace(/\/proxy\/acme\/\{provider\}/, '/proxy/acme/strict')
    .replace('/grants/{provider}', '/grants/strict')
    .replace(/\{path\}/, 'api/me')
    .replace(/\{\w+\}/, 'none');
  return [method, filled];
};

const isOpen = (route: string): boolean => /^\w+ \/(?:livez|readyz|openapi\.json|oauth2|connect|oauth)/.test(route);

it('every described route that wants a key is in the table', () => {
  expect(described.filter((route) => !isOpen(route)).toSorted()).toEqual(Object.keys(rights).toSorted());
});

it.each(Object.entries(rights))('%s is for %s', async (route, roles) => {
  const [method, path] = requestFor(route);
  // A disconnect would take the grant away from the other routes.
  const target = method === 'DELETE' ? `${path}?unknown=1` : path;
  const allowed: string[] = [];
  for (const role of apiKeyRoles) {
    const key = await server.keyOf(role);
    const sent =
      method === 'GET' ? {} : { body: '{"no_such_member":1}', headers: { 'content-type': 'application/json' } };
    const { status, body } = await server.call(method, target, { key, ...sent });
    expect(status).not.toBe(401);
    if (status !== 403 || body.code !== 'forbidden') allowed.push(role);
  }
  expect(allowed.join(' ')).toBe(roles);
});

it('a connector gets no token and no secret from any route', async () => {
  const key = await server.keyOf('connector', { tenants: '*' });
  const answers: string[] = [];
  for (const route of described) {
    const [method, path] = requestFor(route);
    if (method === 'DELETE') continue;
    for (const body of [undefined, { rejected_generation: 1 }, {}]) {
      const options = method === 'GET' ? { key } : { key, ...(body === undefined ? {} : { body }) };
      const answered = await server.call(method, path, options);
      answers.push(answered.text, JSON.stringify([...answered.headers]));
    }
  }
  const id = (await server.vault.keys.list()).find(({ role, tenants }) => role === 'connector' && tenants === '*')?.id;
  const exchange = await server.call('POST', '/oauth2/token', {
    key: null,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: 'strict',
      subject_token: 'acme',
      client_id: id ?? '',
      client_secret: key,
    }).toString(),
  });
  expect([exchange.status, exchange.body.error]).toEqual([400, 'unauthorized_client']);
  const all = [...answers, exchange.text].join('\n');
  for (const secret of secrets) expect(all.includes(secret)).toBe(false);
});

it('a connector makes, sees and completes the sessions of its own tenants and providers, and learns of no other', async () => {
  await server.call('PUT', '/v1/apps/strict', {
    body: { provider: 'strict', client_id: demoClient.clientId, scopes: ['read'] },
  });
  const make = async (key: string, body: object) => server.call('POST', '/v1/connect-sessions', { key, body });
  const own = await make('connector', { tenant: 'acme', provider: 'strict' });
  expect(own.status).toBe(201);
  expect((await make('connector', { tenant: 'globex', provider: 'strict' })).status).toBe(403);
  const elsewhere = await server.keyOf('connector', { tenants: '*', providers: ['xero'] });
  expect((await make(elsewhere, { tenant: 'acme', provider: 'strict' })).status).toBe(403);
  const foreign = await make('operator', { tenant: 'globex', provider: 'strict' });
  const path = (id: string): string => `/v1/connect-sessions/${id}`;
  expect((await server.call('GET', path(own.body.id), { key: 'connector' })).status).toBe(200);
  const hidden = await server.call('GET', path(foreign.body.id), { key: 'connector' });
  const missing = await server.call('GET', path('0190a000-0000-7000-8000-000000000001'), { key: 'connector' });
  expect([hidden.status, hidden.text]).toEqual([404, missing.text]);
  const completion = { key: 'connector', body: { completion_code: 'x' } };
  expect((await server.call('POST', `${path(foreign.body.id)}/complete`, completion)).status).toBe(404);
  expect((await server.call('POST', `${path(own.body.id)}/complete`, completion)).status).not.toBe(403);
  const listed = await server.call('GET', '/v1/connect-sessions', { key: 'connector' });
  expect(listed.body.items.map(({ tenant }) => tenant)).toEqual(['acme']);
  expect((await server.call('GET', '/v1/connect-sessions?tenant=globex', { key: 'connector' })).status).toBe(403);
  expect((await server.call('GET', '/v1/connect-sessions', { key: elsewhere })).body.items).toEqual([]);
  const everywhere = await server.keyOf('connector', { tenants: '*' });
  expect((await server.call('GET', '/v1/connect-sessions', { key: everywhere })).body.items.length).toBe(2);
});
