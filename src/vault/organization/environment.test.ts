/** The environment of a grant decides about the host of its calls, and no answer changes it. */
import { expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, user } from '../../../test/support/bench.ts';
import { Secret } from '../../base/secret.ts';
import { demoClient } from '../../simulator/index.ts';
import type { TokensInput, Vault } from '../types.ts';

const key = { tenant: 'acme', provider: 'zoho_crm' };
const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ'];
const sandbox = 'https://sandbox.zohoapis.com';

/** A user whose organisation is in an environment. Zoho's answers name the production host all the same, for all we know. */
async function stage(environment: 'production' | 'sandbox' | 'developer' = 'production') {
  const bench = await makeBench({ profiles: ['zoho'] });
  const organizations = [{ id: '60000000777', name: 'Example Company US', environment }];
  bench.simulator.registry.addUser({ id: user, dc: 'us', organizations });
  bench.simulator.zoho.change({ environmentDomain: 'production' });
  const opened = await bench.open();
  await bench.addApp(opened.vault, key.provider);
  const hosts: string[] = [];
  const real = opened.world.fetch.bind(opened.world);
  opened.world.fetch = async (url, init) => {
    if (!url.includes('/oauth/')) hosts.push(new URL(url).origin);
    return real(url, init);
  };
  return { bench, hosts, ...opened };
}

async function store(bench: Bench, vault: Vault, metadata: TokensInput['metadata']) {
  const { refreshToken } = bench.simulator.mintTokens({ clientId: demoClient.clientId, user, scopes, profile: 'zoho' });
  return vault.storeTokens(key, { refreshToken, metadata });
}

it.each([
  ['its name', { environment: 'Sandbox', dc: 'us' }],
  ['its host', { api_domain: sandbox }],
] as const)('a sandbox that is known by %s stays one after a refresh that names production', async (_, metadata) => {
  const { bench: opened, vault, hosts } = await stage('sandbox');
  await using bench = opened;
  await store(bench, vault, metadata);
  expect(await vault.getAccessToken(key)).toMatchObject({ apiDomain: sandbox, dc: 'us' });
  expect((await vault.fetch(key, '/crm/v8/org')).status).toBe(200);
  expect(await vault.health(key)).toMatchObject({ status: 'healthy' });
  const grant = await vault.grants.get(key);
  expect(grant).toMatchObject({ apiDomain: sandbox, metadata: { environment: 'sandbox' } });
  expect(grant?.metadata['api_domain'] ?? sandbox).toBe(sandbox);
  expect([...new Set(hosts)]).toEqual([sandbox]);
  // Another process reads the same, with nothing in memory.
  const other = await bench.open({ backgroundRefresh: false });
  expect(await other.vault.getAccessToken(key)).toMatchObject({ apiDomain: sandbox });
});

it('a connection is made for an environment, and keeps it when it is made again', async () => {
  const { bench, vault, hosts } = await stage('developer');
  await using _ = bench;
  const connect = async (environment?: string) => {
    const redirectUri = 'https://app.example/callback';
    const { url } = await vault.authorize({ ...key, redirectUri, scopes, environment });
    const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
    return vault.completeAuthorization(response.headers.get('location') ?? '');
  };
  expect(await connect('developer')).toMatchObject({
    apiDomain: 'https://developer.zohoapis.com',
    metadata: { environment: 'developer', org_name: 'Example Company US' },
  });
  expect(await connect()).toMatchObject({ metadata: { environment: 'developer' } });
  expect([...new Set(hosts)]).toEqual(['https://developer.zohoapis.com']);
  expect(await connect('production')).toMatchObject({ apiDomain: 'https://www.zohoapis.com' });
});

it('a new consent is not taken for another account because its answer names the production host', async () => {
  const { bench, vault } = await stage('sandbox');
  await using _ = bench;
  await store(bench, vault, { api_domain: sandbox, org_id: '42', label: 'mine' });
  await bench.jump(130_000);
  const code = bench.simulator.mintCode({ clientId: demoClient.clientId, user, scopes: ['ZohoCRM.modules.ALL'] });
  const grant = await vault.redeemCode(key, { code: new Secret(code), dc: 'us' });
  expect(grant).toMatchObject({
    apiDomain: sandbox,
    metadata: { environment: 'sandbox', org_id: '42', label: 'mine' },
  });
});

it('setting it moves the calls, and taking it away brings them back', async () => {
  const { bench, vault, hosts } = await stage();
  await using _ = bench;
  await store(bench, vault, { dc: 'us' });
  await vault.fetch(key, '/crm/v8/org');
  await vault.updateMetadata(key, { environment: 'sandbox' });
  await vault.fetch(key, '/crm/v8/org');
  await vault.updateMetadata(key, { environment: null });
  await vault.fetch(key, '/crm/v8/org');
  // The sandbox refuses the token of a production organisation, so that call is made again.
  const moves = hosts.filter((host, index) => host !== hosts[index - 1]);
  expect(moves).toEqual(['https://www.zohoapis.com', sandbox, 'https://www.zohoapis.com']);
});

it.each([
  ['its name', { environment: 'sandbox', dc: 'us' }],
  ['its host', { api_domain: sandbox }],
] as const)(
  'a grant of all products whose sandbox is known by %s calls no product of production by its path',
  async (_, metadata) => {
    const { bench: made, vault, hosts } = await stage('sandbox');
    await using bench = made;
    await bench.addApp(vault, 'zoho');
    const all = { tenant: 'acme', provider: 'zoho' };
    const mint = {
      clientId: demoClient.clientId,
      user,
      scopes: [...scopes, 'ZohoBooks.fullaccess.all'],
      profile: 'zoho',
    };
    const { refreshToken } = bench.simulator.mintTokens(mint);
    await vault.storeTokens(all, { refreshToken, metadata: { ...metadata, org_id: '1' } });
    await expect(vault.fetch(all, '/books/v3/invoices')).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/^\/books\/v3\/invoices is only in production, .* environment sandbox/),
    });
    expect(hosts.filter((host) => host.includes('www.'))).toEqual([]);
  },
);

it('an unknown one is refused with the names, and so is one where there is none', async () => {
  const { bench, vault } = await stage();
  await using _ = bench;
  await store(bench, vault, { dc: 'us' });
  const names = expect.stringMatching(/"staging"; there are production, sandbox, developer/);
  const refused = { code: 'invalid_request', message: names };
  await expect(vault.updateMetadata(key, { environment: 'staging' })).rejects.toMatchObject(refused);
  await expect(store(bench, vault, { environment: 'staging' })).rejects.toMatchObject(refused);
  const redirectUri = 'https://app.example/callback';
  await expect(vault.authorize({ ...key, redirectUri, environment: 'staging' })).rejects.toMatchObject(refused);
  await bench.addApp(vault, 'xero');
  const there = { tenant: 'acme', provider: 'xero', redirectUri, environment: 'sandbox' };
  expect(await codeOf(vault.authorize(there))).toBe('invalid_request');
});
