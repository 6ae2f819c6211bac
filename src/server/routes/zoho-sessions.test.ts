/** Abilities of some providers, over HTTP: more scopes for a grant, an expected organisation, and the places of a user. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tidyUp } from '../../../test/support/bench.ts';
import { cookieName } from '../../../test/support/connect-bench.ts';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';
import { demoClient } from '../../simulator/index.ts';

const provider = 'zoho_crm';
const returnTo = 'https://app.example/connected';
const scopes = ['ZohoCRM.modules.leads.READ', 'ZohoCRM.org.READ'];
const coql = 'ZohoCRM.coql.READ';
const umbrella = { id: 'umbrella@us.example', dc: 'us', orgId: '60000000777', orgName: 'Umbrella' };
const grantPath = (tenant: string): string => `/v1/tenants/${tenant}/grants/${provider}`;

let server: ServerBench;

beforeAll(async () => {
  server = await makeServerBench({ profiles: ['zoho'] });
  server.bench.simulator.registry.addUser(umbrella);
  server.bench.simulator.registry.autoApprove = true;
  const app = { provider, client_id: demoClient.clientId, client_secret: demoClient.secret, dc: 'us', scopes };
  const put = await server.call('PUT', '/v1/apps/crm', { body: { ...app, return_to: [returnTo] } });
  expect(put.status).toBe(201);
});

afterAll(() => server?.[Symbol.asyncDispose]());

async function make(input: Record<string, unknown>, key = 'operator') {
  const { status, body, text } = await server.call('POST', '/v1/connect-sessions', {
    key,
    body: { provider, ...input },
  });
  expect([status, text]).toEqual([201, expect.stringContaining('"url"')]);
  return body;
}

/** Opens the link, presses the button, consents as a user, and comes back: where the browser goes first, and last. */
async function visit(
  link: string,
  as: string | null = null,
): Promise<{ first: URL; last: URL; status: number; headers: { cookie: string } }> {
  // Zoho allows few codes and requests in ten minutes.
  await server.bench.jump(700_000);
  server.bench.simulator.registry.signIn(as);
  const page = await fetch(link);
  const [, cookie = ''] = /=([^;]+)/.exec(page.headers.get('set-cookie') ?? '') ?? [];
  const headers = { cookie: `${cookieName}=${cookie}` };
  const proof = /name="proof" value="([^"]+)"/.exec(await page.text())?.[1] ?? '';
  const pressed = await fetch(link, {
    method: 'POST',
    body: new URLSearchParams({ proof }),
    headers,
    redirect: 'manual',
  });
  const first = pressed.headers.get('location') ?? '';
  const consented = await server.bench.simulator.fetch(new Request(first, { redirect: 'manual' }));
  const back = await fetch(consented.headers.get('location') ?? '', { headers, redirect: 'manual' });
  return { first: new URL(first), last: new URL(back.headers.get('location') ?? link), status: back.status, headers };
}

const alive = (): number => server.bench.simulator.families().filter((family) => family.alive).length;
const complete = (id: string, url: URL) =>
  server.call('POST', `/v1/connect-sessions/${id}/complete`, {
    key: 'operator',
    body: { completion_code: url.searchParams.get('code') ?? '' },
  });

it('the page at the end of a link names the organisation', async () => {
  const link = await make({ tenant: 'named' });
  const { last, headers } = await visit(link.url, umbrella.id);
  expect(await (await fetch(last, { headers })).text()).toMatch(/Organisation[\s\S]*Umbrella/);
  await server.vault.disconnect({ tenant: 'named', provider });
  await tidyUp(server.vault);
});

it('a link for another organisation than the expected one stores nothing, and the right one is kept', async () => {
  const expected = { tenant: 'acme', return_to: returnTo, expect_organization: umbrella.orgId };
  const wrong = await make(expected);
  const { last } = await visit(wrong.url, 'user@us.example');
  expect(last.searchParams.has('code')).toBe(false);
  expect(last.searchParams.get('error')).not.toBeNull();
  const looked = await server.call('GET', `/v1/connect-sessions/${wrong.id}`);
  expect(looked.body).toMatchObject({ expect_organization: umbrella.orgId, detail: expect.any(String) });
  expect((await server.call('GET', grantPath('acme'))).status).toBe(404);
  await tidyUp(server.vault);
  expect(alive()).toBe(0);

  const right = await make(expected);
  const came = await visit(right.url, umbrella.id);
  expect((await complete(right.id, came.last)).status).toBe(200);
  const { body } = await server.call('GET', grantPath('acme'));
  expect(body).toMatchObject({ state: 'active', metadata: { org_id: umbrella.orgId } });
});

it('a link for more scopes keeps the refresh token of the grant', async () => {
  const made = await make({ tenant: 'initech' });
  await visit(made.url, umbrella.id);
  expect((await server.call('GET', grantPath('initech'))).body).toMatchObject({ state: 'active', scopes });
  const before = alive();
  const more = await make({ tenant: 'initech', add_scopes: [coql], return_to: returnTo });
  expect((await server.call('GET', `/v1/connect-sessions/${more.id}`)).body).toMatchObject({ add_scopes: [coql] });
  const came = await visit(more.url, umbrella.id);
  expect(came.first.pathname).toBe('/oauth/v2/token/addextrascope');
  expect((await complete(more.id, came.last)).status).toBe(200);
  expect((await server.call('GET', grantPath('initech'))).body.scopes).toEqual([...scopes, coql]);
  expect(alive()).toBe(before);
  const both = { provider, tenant: 'initech', scopes, add_scopes: [coql] };
  expect((await server.call('POST', '/v1/connect-sessions', { key: 'operator', body: both })).status).toBe(400);
});

it('a key of one tenant learns of no budget, organisation and place of another', async () => {
  const caller = await server.keyOf('caller', { tenants: ['acme'] });
  const own = await server.call('GET', `${grantPath('acme')}/budget`, { key: caller });
  expect([own.status, own.body]).toMatchObject([200, { budget: { requests: 10 } }]);
  const refused = async (path: string) => {
    const { status, body, text } = await server.call('GET', path, { key: caller });
    expect([status, body.code]).toEqual([403, 'forbidden']);
    return text;
  };
  const foreign = await refused(`${grantPath('initech')}/budget`);
  // The same answer whether or not there is such a tenant.
  expect(await refused(`${grantPath('no-such')}/budget`)).toBe(foreign);
  await refused(`${grantPath('acme')}/organizations`);
  await refused(`${grantPath('initech')}/organizations`);
  await refused('/v1/apps/crm/slots');
  const organizations = await server.call('GET', `${grantPath('acme')}/organizations`, { key: 'operator' });
  expect(organizations.body).toMatchObject({ shared_with: ['initech/zoho_crm/default'] });
});

it('a link that may end another grant says so to keys that may operate, and to no other', async () => {
  for (let count = 1; count <= 20; count += 1) {
    const tokens = { app: 'crm', refreshToken: `token-${count}`, metadata: { dc: 'us' } };
    await server.vault.storeTokens({ tenant: `full-${count}`, provider }, tokens);
  }
  const { body } = await server.call('GET', '/v1/apps/crm/slots', { key: 'operator' });
  expect(body.items[0]).toMatchObject({ app: 'crm', filling: true, next: { provider } });
  const told = await make({ tenant: 'umbrella' });
  expect(told).toMatchObject({ warning: expect.stringMatching(/acme|initech|full-/) });
  const connector = await make({ tenant: 'acme' }, await server.keyOf('connector', { tenants: ['acme'] }));
  expect(connector).not.toHaveProperty('warning');
  expect(JSON.stringify(connector)).not.toMatch(/initech|full-/);
});
