/** The duties of a careful OAuth client, tested with whole vaults: requirements C-xx of the threat model. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, settled } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import { revokeDue } from '../grant/revocations.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';

const redirectUri = 'https://app.example/oauth/callback';
const zoho = { tenant: 'acme', provider: 'zoho_crm' };

/** A vault with the simulated Zoho, and a user who consents there. */
async function atZoho(): Promise<AsyncDisposable & { bench: Bench; vault: Vault }> {
  const bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  const clientSecret = demoClient.secret ?? '';
  await vault.apps.put('crm', {
    provider: 'zoho_crm',
    clientId: demoClient.clientId,
    clientSecret,
    dc: 'us',
    scopes: ['ZohoCRM.modules.ALL'],
  });
  return { bench, vault, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

/** Follows the authorization URL, and returns the provider's redirect. */
async function consent(bench: Bench, url: string): Promise<URL> {
  let next = new URL(url);
  for (let hops = 0; hops < 5 && next.origin !== new URL(redirectUri).origin; hops += 1) {
    const response = await bench.simulator.fetch(new Request(next, { redirect: 'manual' }));
    next = new URL(response.headers.get('location') ?? expect.unreachable(await response.text()), next);
  }
  return next;
}

function exchanges(bench: Bench): number {
  return bench.requests().filter((event) => event.grantType === 'authorization_code').length;
}

describe('C-04: a state', () => {
  it('completes its own flow once, also beside another flow', async () => {
    await using place = await atZoho();
    const { bench, vault } = place;
    const other = { tenant: 'other', provider: 'zoho_crm' };
    const [one, two] = await Promise.all([
      vault.authorize({ ...zoho, redirectUri }),
      vault.authorize({ ...other, redirectUri }),
    ]);
    expect(one.state).not.toBe(two.state);
    expect(Buffer.from(one.state, 'base64url').length).toBeGreaterThanOrEqual(16);
    const [first, second] = [await consent(bench, one.url), await consent(bench, two.url)];
    expect((await vault.completeAuthorization(second)).tenant).toBe('other');
    const results = await Promise.allSettled([1, 2, 3].map(() => vault.completeAuthorization(first)));
    // The same callback again has the same end, and its code is not sent again.
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(3);
    expect(exchanges(bench)).toBe(2);
    expect(
      JSON.stringify(await bench.judge.db.selectFrom('grantry_authorizations').selectAll().execute()),
    ).not.toContain(one.state);
  });

  it.each([
    ['absent', (url: URL) => url.searchParams.delete('state')],
    ['empty', (url: URL) => url.searchParams.set('state', '')],
    ['unknown', (url: URL) => url.searchParams.set('state', 'x'.repeat(43))],
    ['given twice', (url: URL) => url.searchParams.append('state', url.searchParams.get('state') ?? '')],
  ])('that is %s is refused before the code is sent', async (_, change) => {
    await using place = await atZoho();
    const { bench, vault } = place;
    const { url } = await vault.authorize({ ...zoho, redirectUri });
    const callback = await consent(bench, url);
    change(callback);
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
    expect(exchanges(bench)).toBe(0);
  });

  it('is valid for ten minutes', async () => {
    await using place = await atZoho();
    const { bench, vault } = place;
    const { url } = await vault.authorize({ ...zoho, redirectUri });
    await bench.jump(601_000);
    expect(await codeOf(vault.completeAuthorization(await consent(bench, url)))).toBe('authorization_failed');
    expect(exchanges(bench)).toBe(0);
  });
});

it.each([
  'https://app.example/oauth/callback/other',
  'https://evil.example/oauth/callback',
  'http://app.example/oauth/callback',
])('C-05: a callback that arrives at %s is refused', async (address) => {
  await using place = await atZoho();
  const { bench, vault } = place;
  const { url } = await vault.authorize({ ...zoho, redirectUri });
  const { search } = await consent(bench, url);
  expect(await codeOf(vault.completeAuthorization(`${address}${search}`))).toBe('authorization_failed');
  expect(exchanges(bench)).toBe(0);
});

describe('C-10: the data centre of a callback with a valid state', () => {
  it.each([
    'https://evil.example',
    'https://accounts.zoho.com.evil.example',
    'https://accounts.zoho.com@evil.example',
    'http://accounts.zoho.com',
    'https://accounts.zoho.com.',
    'https://accounts.zoho.com:8443',
    'https://accounts.zoho.com/path',
    'https://xn--accounts-zho-9gb.com',
    'https://accounts%2ezoho.com',
  ])('is never %s', async (server) => {
    await using place = await atZoho();
    const { bench, vault } = place;
    const { url } = await vault.authorize({ ...zoho, redirectUri });
    const callback = await consent(bench, url);
    callback.searchParams.set('accounts-server', server);
    expect(await codeOf(vault.completeAuthorization(callback))).toMatch(/authorization_failed|invalid_request/);
    expect(exchanges(bench)).toBe(0);
  });

  it('is refused if its parameters contradict each other', async () => {
    await using place = await atZoho();
    const { bench, vault } = place;
    const { url } = await vault.authorize({ ...zoho, redirectUri });
    const callback = await consent(bench, url);
    callback.searchParams.set('location', 'eu');
    expect(await codeOf(vault.completeAuthorization(callback))).toMatch(/authorization_failed|invalid_request/);
    expect(exchanges(bench)).toBe(0);
  });

  it('is refused in a token answer: an API domain of another host is neither stored nor called', async () => {
    await using place = await atZoho();
    const { bench, vault } = place;
    bench.simulator.zoho.change({ apiDomain: { value: 'https://evil.example' } });
    const { url } = await vault.authorize({ ...zoho, redirectUri });
    const grant = await vault.completeAuthorization(await consent(bench, url));
    expect(JSON.stringify(grant)).not.toContain('evil');
    expect(await codeOf(vault.fetch(zoho, 'https://evil.example/crm/v8/org'))).toBe('invalid_request');
  });
});

it('C-16: granted scopes that differ from the requested ones are recorded', async () => {
  await using place = await atZoho();
  const { bench, vault } = place;
  const asked = ['ZohoCRM.modules.ALL', 'ZohoCRM.settings.READ'];
  bench.simulator.faults.add({
    endpoint: 'token',
    effect: { kind: 'patch', set: { scope: 'ZohoCRM.modules.ALL ZohoCRM.users.ALL' } },
  });
  const { url } = await vault.authorize({ ...zoho, redirectUri, scopes: asked });
  const grant = await vault.completeAuthorization(await consent(bench, url));
  expect(grant.scopes).toEqual(['ZohoCRM.modules.ALL', 'ZohoCRM.users.ALL']);
  const [event] = await bench.judge.db
    .selectFrom('grantry_events')
    .select('details')
    .where('type', '=', 'grant.connected')
    .execute();
  expect(JSON.parse(event?.details ?? '')).toMatchObject({
    narrower: 'ZohoCRM.settings.READ',
    wider: 'ZohoCRM.users.ALL',
  });
});

it.each(['reset', 'cut'] as const)('C-17: a code whose answer was lost (%s) is not sent again', async (kind) => {
  await using place = await atZoho();
  const { bench, vault } = place;
  bench.simulator.faults.add({ endpoint: 'token', effect: kind === 'cut' ? { kind } : { kind, when: 'after' } });
  const { url } = await vault.authorize({ ...zoho, redirectUri });
  const callback = await consent(bench, url);
  expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
  expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
  expect(exchanges(bench)).toBe(1);
  const again = await vault.authorize({ ...zoho, redirectUri });
  expect((await vault.completeAuthorization(await consent(bench, again.url))).state).toBe('active');
});

it.each([
  ['missing', { remove: ['expires_in'] }, 3_600],
  ['a text', { set: { expires_in: '1800' } }, 1_800],
  ['absurd', { set: { expires_in: 1e15 } }, 31_536_000],
])('C-24: a lifetime that is %s is never overestimated', async (_, patch, seconds) => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  const before = bench.clock.now();
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', ...patch } });
  const { expiresAt } = await vault.getAccessToken(key);
  expect(expiresAt.getTime()).toBeLessThanOrEqual(bench.clock.now() + seconds * 1_000);
  expect(expiresAt.getTime()).toBeGreaterThanOrEqual(before + seconds * 1_000 - 1);
});

it('C-25: an answer without a refresh token keeps the old one, and a new one replaces it', async () => {
  await using bench = await makeBench({ profiles: ['none', 'strict'] });
  const { vault } = await bench.open();
  for (const provider of ['none', 'strict']) {
    const { key, minted } = await bench.connect(vault, { provider });
    const before = await bench.row(key);
    await vault.getAccessToken(key);
    const after = await bench.row(key);
    expect(after.refresh_fingerprint === before.refresh_fingerprint).toBe(provider === 'none');
    expect(after.refresh_token).not.toBe(before.refresh_token);
    await bench.jump(3_700_000);
    expect((await vault.getAccessToken(key)).generation).toBe(3);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  }
});

it('C-26: a storm of invalid_client harms no grant, and a fixed app is tried at once', async () => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const keys = [];
  for (let n = 0; n < 8; n += 1) keys.push((await bench.connect(vault, { tenant: `tenant-${n}` })).key);
  await vault.apps.put('strict', { provider: 'strict', clientId: demoClient.clientId, clientSecret: 'a wrong one' });
  for (const key of keys) expect(await codeOf(vault.getAccessToken(key))).toBe('provider_misconfigured');
  const clientSecret = demoClient.secret ?? '';
  await vault.apps.put('strict', { provider: 'strict', clientId: demoClient.clientId, clientSecret });
  for (const key of keys) expect((await vault.getAccessToken(key)).generation).toBe(2);
  for (const key of keys) expect(await bench.events(key)).toEqual(['stored', 'refreshed']);
});

describe('C-27: a refused access token', () => {
  it('is refreshed once, and the call is repeated', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
    bench.simulator.killAccessToken(minted.accessToken);
    const response = await vault.fetch(key, '/api/organization');
    expect(response.status).toBe(200);
    expect(bench.requests()).toHaveLength(1);
  });

  it('is refreshed once for many calls, including late refusals', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
    bench.simulator.killAccessToken(minted.accessToken);
    bench.simulator.faults.add({ endpoint: 'api', effect: { kind: 'delay', ms: 5_000, when: 'after' } });
    const late = vault.fetch(key, '/api/organization');
    await settled();
    const calls = await Promise.all(Array.from({ length: 10 }, () => vault.fetch(key, '/api/organization')));
    await bench.jump(5_100);
    expect([...calls, await late].map((response) => response.status)).toEqual(Array(11).fill(200));
    expect(bench.requests()).toHaveLength(1);
  });

  it('of a call with a stream as body is refreshed, and the refusal is returned', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
    bench.simulator.killAccessToken(minted.accessToken);
    const body = new Blob(['once']).stream();
    expect((await vault.fetch(key, '/api/organization', { method: 'POST', body })).status).toBe(401);
    expect((await vault.fetch(key, '/api/organization')).status).toBe(200);
    expect(bench.requests()).toHaveLength(1);
  });

  it('is refreshed at a limited rate if the API refuses every token', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { expiresIn: 3_600 });
    bench.simulator.faults.add({
      endpoint: 'api',
      times: 999,
      effect: { kind: 'status', status: 401, when: 'before' },
    });
    for (let call = 0; call < 10; call += 1) {
      expect((await vault.fetch(key, '/api/organization')).status).toBe(401);
    }
    expect(bench.requests()).toHaveLength(1);
    await bench.jump(61_000);
    bench.simulator.faults.clear();
    const { accessToken } = await vault.getAccessToken(key);
    bench.simulator.killAccessToken(accessToken);
    expect((await vault.fetch(key, '/api/organization')).status).toBe(200);
    expect(bench.requests()).toHaveLength(2);
    expect((await bench.row(key)).state).toBe('active');
  });
});

it('C-30: a disconnect ends local use at once, and revokes the token when the provider is back', async () => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
  bench.simulator.faults.add({
    endpoint: 'revoke',
    forMs: 3_600_000,
    effect: { kind: 'status', status: 503, when: 'before' },
  });
  expect(await vault.disconnect(key)).toEqual({ revocation: 'queued' });
  expect(await codeOf(vault.getAccessToken(key))).toBe('grant_not_found');
  expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  expect(await bench.judge.db.selectFrom('grantry_revocations').select('id').execute()).toHaveLength(1);
  const context = internalsOf(vault).open();
  await bench.jump(1_800_000);
  expect(await revokeDue(context)).toBe(1);
  expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  // The pause has doubled by then, so the next try follows the provider's return.
  await bench.jump(1_900_000);
  expect(await revokeDue(context)).toBe(1);
  expect(bench.simulator.family(minted.family)?.alive).toBe(false);
  expect(await bench.judge.db.selectFrom('grantry_revocations').select('id').execute()).toEqual([]);
  // The tenant's last secret and its key are gone.
  const kept = await bench.judge.db.selectFrom('grantry_tenant_keys').select('tenant').execute();
  expect(kept.map((each) => each.tenant)).toEqual(['$system']);
});

it('C-37: a hundred callers share one access token', async () => {
  await using place = await atZoho();
  const { bench, vault } = place;
  const { url } = await vault.authorize({ ...zoho, redirectUri });
  await vault.completeAuthorization(await consent(bench, url));
  await bench.jump(3_700_000);
  const tokens = await Promise.all(Array.from({ length: 100 }, () => vault.getAccessToken(zoho)));
  expect(new Set(tokens.map((token) => token.accessToken)).size).toBe(1);
  await settled();
  expect(bench.requests().filter((event) => event.grantType === 'refresh_token')).toHaveLength(1);
});
