import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, settled, until } from '../../../test/support/bench.ts';

const provider = 'strict_revokes_family';

describe.each(databaseKinds)('storing the same authorization again, on %s', (kind) => {
  it('keeps the successor while the token is being spent', async () => {
    await using bench = await makeBench({ kind, profiles: [provider] });
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key, minted } = await bench.connect(one, { provider });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const refreshing = one.getAccessToken(key);
    await until(() => bench.requests().length === 1, 'the request');
    const { refreshToken, accessToken } = minted;
    await other.storeTokens(key, { refreshToken, accessToken, expiresIn: 3_600, scopes: ['read', 'write'] });
    await bench.jump(1_100);
    expect((await refreshing).generation).toBe(2);
    await bench.jump(7_200_000);
    expect((await other.getAccessToken(key)).generation).toBe(3);
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it('keeps the late answer of a paused holder whose lease has ended', async () => {
    await using bench = await makeBench({ kind, profiles: [provider] });
    const slow = await bench.open();
    const { vault: other } = await bench.open();
    const { key, minted } = await bench.connect(slow.vault, { provider });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const refreshing = slow.vault.getAccessToken(key).catch(() => null);
    await until(() => bench.requests().length === 1, 'the request');
    slow.world.freeze();
    await bench.jump(121_000);
    const { refreshToken, accessToken } = minted;
    await other.storeTokens(key, { refreshToken, accessToken, expiresIn: 3_600 });
    slow.world.thaw();
    await refreshing;
    await settled(20);
    await bench.jump(7_200_000);
    expect((await other.getAccessToken(key)).generation).toBe(3);
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it('never replaces the successor of a spent token, with any input beside it', async () => {
    await using bench = await makeBench({ kind, profiles: [provider] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider });
    await vault.getAccessToken(key);
    const { refreshToken, accessToken } = minted;
    await vault.storeTokens(key, { refreshToken, accessToken, expiresIn: 60 });
    await bench.jump(7_200_000);
    expect((await vault.getAccessToken(key)).generation).toBe(3);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it('updates metadata and scopes alike on both databases, and tells the other processes', async () => {
    await using bench = await makeBench({ kind });
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key, minted } = await bench.connect(one, { expiresIn: 3_600 });
    const { refreshToken } = minted;
    await one.storeTokens(key, { refreshToken, metadata: { plan: { seats: 1 }, note: 'old', same: true } });
    for (let call = 0; call < 3; call += 1) {
      await other.getAccessToken(key);
      await settled(10);
    }
    const before = await bench.row(key);
    await bench.jump(20_000);
    await one.storeTokens(key, {
      refreshToken,
      scopes: ['read', 'write'],
      metadata: { plan: { tier: 'gold' }, note: null },
    });
    const row = await bench.row(key);
    expect(JSON.parse(row.metadata)).toEqual({ plan: { tier: 'gold' }, note: null, same: true });
    expect([row.scopes, row.generation]).toEqual(['read,write', 1]);
    expect(row.changed_at).toBeGreaterThan(before.changed_at);
    expect(Date.parse(row.updated_at)).toBeGreaterThan(Date.parse(before.updated_at));
    for (let passedMs = 0; passedMs < 4_500; passedMs += 500) await bench.jump(500);
    await settled(10);
    expect((await other.getAccessToken(key)).scopes).toEqual(['read', 'write']);
  });
});

describe.each(databaseKinds)('metadata on %s', (kind) => {
  it('takes every text that both databases keep, and refuses any other', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const kept = { path: 'C:\\u0000\\ud800', face: '\u{1f600}', deep: [{ 'k\u{1f600}': 'a\tb' }] };
    expect((await vault.updateMetadata(key, kept)).metadata).toEqual(kept);
    for (const text of ['a\0', 'Caf\ud800', '\udc00x', '\\\ud800', '\ude00\ud83d']) {
      for (const metadata of [{ text }, { [text]: 1 }, { deep: [{ text }] }]) {
        const changes = [vault.updateMetadata(key, metadata), vault.storeTokens(key, { refreshToken: 'r', metadata })];
        for (const change of changes) expect(await codeOf(change)).toBe('invalid_request');
      }
    }
  });
});
describe('an access token that was stored with little life left', () => {
  it.each([
    [30, 60],
    [90, 300],
    [299, 300],
    [600, 1_800],
  ])('of %i s is refreshed for %i s, and the new one counts as fresh', async (expiresIn, minValidity) => {
    await using bench = await makeBench({ profiles: ['none'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'none', expiresIn });
    const { expiresAt } = await vault.getAccessToken(key, { minValidity });
    expect((expiresAt.getTime() - bench.clock.now()) / 1_000).toBeGreaterThanOrEqual(minValidity);
    for (const demand of [60, 3_000, 86_400]) await vault.getAccessToken(key, { minValidity: demand });
    expect(bench.requests()).toHaveLength(1);
  });

  it('uses up no budget, however much a caller asks for', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'none', expiresIn: 50 });
    const { refreshToken, accessToken } = minted;
    for (let tries = 0; tries < 20; tries += 1) {
      await vault.storeTokens(key, { refreshToken, accessToken, expiresIn: 50 });
      await vault.getAccessToken(key, { minValidity: 86_400 });
    }
    expect(bench.requests()).toHaveLength(1);
  });
});

describe.each([true, false])('the place of a grant, with background refresh %s', (backgroundRefresh) => {
  it('is known from the data centre, before the first refresh', async () => {
    await using bench = await makeBench({ profiles: ['zoho'] });
    const { vault } = await bench.open({ backgroundRefresh });
    await vault.apps.put('zoho', { provider: 'zoho', clientId: 'c', clientSecret: 's' });
    const key = { tenant: 'acme', provider: 'zoho' };
    const tokens = { refreshToken: 'r', accessToken: 'a', expiresIn: 3_600, metadata: { dc: 'eu' } };
    const { grant } = await vault.storeTokens(key, tokens);
    expect(grant).toMatchObject({ dc: 'eu', apiDomain: 'https://www.zohoapis.eu', metadata: { dc: 'eu' } });
    expect(await vault.getAccessToken(key)).toMatchObject({ dc: 'eu', apiDomain: 'https://www.zohoapis.eu' });
  });

  it('is known from the API host where nothing names the data centre', async () => {
    await using bench = await makeBench({ profiles: ['zoho'] });
    const { vault } = await bench.open({ backgroundRefresh });
    await vault.apps.put('zoho', { provider: 'zoho', clientId: 'c', clientSecret: 's', dc: 'in' });
    const key = { tenant: 'acme', provider: 'zoho' };
    const metadata = { api_domain: 'https://www.zohoapis.eu' };
    await vault.storeTokens(key, { refreshToken: 'r', accessToken: 'a', expiresIn: 3_600, metadata });
    expect(await vault.getAccessToken(key)).toMatchObject({ dc: 'eu', apiDomain: 'https://www.zohoapis.eu' });
  });
});

it.each(['zoho', 'strict'])('takes scopes separated by commas only where the provider does, at %s', async (id) => {
  await using bench = await makeBench({ profiles: ['zoho', 'strict'] });
  const { vault } = await bench.open();
  await vault.apps.put(id, { provider: id, clientId: 'c', clientSecret: 's' });
  const stored = vault.storeTokens({ tenant: 'acme', provider: id }, { refreshToken: 'r', scopes: ['A.read,B.read'] });
  if (id === 'zoho') expect((await stored).grant.scopes).toEqual(['A.read', 'B.read']);
  else await expect(stored).rejects.toThrow(/comma/);
});
