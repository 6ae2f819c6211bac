/** Zoho keeps 20 refresh tokens per user and client: what takes a place is counted, and what falls is named before. */
import { describe, expect, it, vi } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../../test/support/bench.ts';
import { newUuid } from '../../../base/ids.ts';
import { Secret } from '../../../base/secret.ts';
import { demoClient } from '../../../simulator/index.ts';
import { insertConnectSession } from '../../../storage/statements/connect-sessions.ts';
import { internalsOf } from '../../internals.ts';
import type { Vault, VaultEvent } from '../../types.ts';
import { revokeDue } from '../revocations.ts';

const provider = 'zoho_crm';
const scopes = ['ZohoCRM.org.READ'];
const user = 'user@us.example';
const keyOf = (tenant: string) => ({ tenant, provider, account: 'default' });

async function connect(bench: Bench, vault: Vault, tenant: string): Promise<void> {
  // Zoho allows few codes and refresh tokens in ten minutes.
  await bench.jump(130_000);
  const code = bench.simulator.mintCode({ clientId: demoClient.clientId, user, scopes });
  await vault.redeemCode({ tenant, provider }, { code: new Secret(code), dc: 'us' });
}

const revokesFail = { endpoint: 'revoke', effect: { kind: 'status', status: 503, when: 'before' } } as const;

describe('the places of a user', () => {
  // The long ring tries both databases.
  const kind = 'sqlite';

  it('run out after a warning that names the grant which ends first, and one event', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const events: VaultEvent[] = [];
    const { vault } = await bench.open({ onEvent: (event) => void events.push(event) });
    await bench.addApp(vault, provider);
    for (let count = 1; count <= 20; count += 1) await connect(bench, vault, `t${count}`);
    const [full] = await vault.apps.slots(provider);
    expect(full).toMatchObject({ user: null, dc: 'us', upTo: 20, max: 20, filling: true, next: keyOf('t1') });
    expect(bench.simulator.families().every((family) => family.alive)).toBe(true);
    await connect(bench, vault, 't21');
    expect(bench.simulator.families().map((family) => family.alive)).toEqual([false, ...Array(20).fill(true)]);
    expect((await vault.apps.slots(provider))[0]).toMatchObject({ next: keyOf('t2') });
    const told = events.filter((event) => event.type === 'slots.filling');
    expect(told).toMatchObject([{ tenant: 't15', upTo: 15, max: 20, next: keyOf('t1') }]);
  });

  it('are freed before a consent that needs them: queued tokens are revoked at once', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    for (let count = 1; count <= 20; count += 1) await connect(bench, vault, `t${count}`);
    bench.simulator.faults.add(revokesFail);
    expect(await vault.disconnect(keyOf('t7'))).toMatchObject({ revocation: 'queued' });
    // It waits in the queue, and goes on taking its place.
    expect((await vault.apps.slots(provider))[0]).toMatchObject({ upTo: 20, next: keyOf('t1') });
    await connect(bench, vault, 'new');
    const dead = bench.simulator.families().filter((family) => !family.alive);
    expect(dead.map((family) => family.revoked)).toEqual(['it was revoked']);
  });
});

describe.each(databaseKinds)('the places of a user, on %s', (kind) => {
  it('are counted per user where the provider names the user, and for all apps with one client id', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    await bench.addApp(vault, 'zoho_books');
    const store = (tenant: string, at: string, user_id?: string) =>
      vault.storeTokens(
        { tenant, provider: at },
        {
          app: at,
          refreshToken: `of-${tenant}-${at}`,
          metadata: { dc: 'us', ...(user_id === undefined ? {} : { user_id }) },
        },
      );
    await store('a', provider, '1');
    await store('a', 'zoho_books', '1');
    await store('b', provider, '2');
    await store('c', provider);
    const counted = (await vault.apps.slots(provider)).map((slots) => [slots.user, slots.tokens, slots.upTo]);
    expect(counted).toEqual([
      ['1', 2, 3],
      ['2', 1, 2],
      [null, 1, 1],
    ]);
    await vault.updateMetadata({ tenant: 'c', provider }, { user_id: '2' });
    expect(await vault.apps.slots('zoho_books')).toMatchObject([
      { user: expect.any(String), tokens: 2, upTo: 2 },
      { user: expect.any(String), tokens: 2, upTo: 2 },
    ]);
  });

  it('stay taken by tokens that were left alive, and by those that were replaced by hand', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    await connect(bench, vault, 'acme');
    const mint = () => bench.simulator.mintTokens({ clientId: demoClient.clientId, user, scopes }).refreshToken;
    const count = async () => (await vault.apps.slots(provider))[0]?.upTo;
    await vault.storeTokens(keyOf('acme'), { refreshToken: mint(), metadata: { dc: 'us' }, replace: true });
    expect(await count()).toBe(2);
    // The first refresh proves the new token. The replaced one is shredded, and lives on at the provider.
    await vault.getAccessToken(keyOf('acme'), { minValidity: 3_590 });
    expect(await count()).toBe(2);
    await vault.disconnect(keyOf('acme'), { revoke: false });
    expect(await count()).toBe(2);
    expect(bench.simulator.families().filter((family) => family.alive)).toHaveLength(2);
  });

  it.each([
    ['its name', { dc: 'us' }],
    ['its API host', { api_domain: 'https://www.zohoapis.com' }],
    ['the API host of its sandbox', { environment: 'sandbox', api_domain: 'https://sandbox.zohoapis.com' }],
  ])('are in the data centre of the grants, named by %s, in the queue and after it', async (_, metadata) => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    const store = async (tenant: string, place: Record<string, string>) => {
      const { refreshToken } = bench.simulator.mintTokens({ clientId: demoClient.clientId, user, scopes });
      await vault.storeTokens(keyOf(tenant), { app: provider, refreshToken, metadata: place });
    };
    for (const tenant of ['queued', 'left', 'held']) await store(tenant, metadata);
    await store('far', { dc: 'eu' });
    bench.simulator.faults.add(revokesFail);
    expect(await vault.disconnect(keyOf('queued'))).toMatchObject({ revocation: 'queued' });
    await vault.disconnect(keyOf('left'), { revoke: false });
    const counted = (await vault.apps.slots(provider)).map(({ dc, upTo }) => [dc, upTo]);
    expect(counted).toEqual([
      ['us', 3],
      ['eu', 1],
    ]);
    // The queue gives the first one up, and it goes on taking its place.
    bench.simulator.faults.add(revokesFail);
    await bench.jump(40 * 24 * 3_600_000);
    await revokeDue(internalsOf(vault).open());
    expect((await vault.apps.slots(provider)).map(({ dc, upTo }) => [dc, upTo])).toEqual(counted);
  });

  it('are read in the same few statements for one user and for many', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    const { db } = internalsOf(vault).open().store;
    const statements = async () => {
      const selectFrom = vi.spyOn(db, 'selectFrom');
      const groups = await vault.apps.slots(provider);
      const { length } = selectFrom.mock.calls;
      selectFrom.mockRestore();
      return { groups, length };
    };
    const store = (tenant: string, user_id: string) =>
      vault.storeTokens(keyOf(tenant), { refreshToken: `of-${tenant}`, metadata: { dc: 'us', user_id } });
    await store('a', '1');
    const before = await statements();
    for (let other = 2; other <= 12; other += 1) await store(`t${other}`, String(other));
    await store('b', '1');
    const after = await statements();
    expect(after.groups.map((group) => group.user)).toHaveLength(12);
    expect(after.groups[0]).toMatchObject({ user: '1', tokens: 2, next: keyOf('a') });
    expect(after.length).toBe(before.length);
    expect(before.length).toBeGreaterThan(0);
  });

  it('are taken by no grant without a token, no wait for more scopes, and no token that the provider refused', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    const context = internalsOf(vault).open();
    const { db } = bench.judge;
    for (const tenant of ['a', 'b', 'c'])
      await vault.storeTokens(keyOf(tenant), { refreshToken: `of-${tenant}`, metadata: { dc: 'eu' } });
    const count = async () => (await vault.apps.slots(provider)).map((slots) => [slots.user, slots.upTo]);
    expect(await count()).toEqual([[null, 3]]);
    const without = { refresh_token: null, refresh_fingerprint: null, consent_user: '7' };
    await db.updateTable('oauth_tokens').set(without).where('client_id', '=', 'c').execute();
    expect(await count()).toEqual([[null, 2]]);
    // The token was left alive, came back by hand for another tenant, and is refused now.
    await vault.disconnect(keyOf('b'), { revoke: false });
    await vault.storeTokens(keyOf('d'), { refreshToken: 'of-b', metadata: { dc: 'eu' } });
    const refused = { state: 'reauthorization_required' } as const;
    await db.updateTable('oauth_tokens').set(refused).where('client_id', '=', 'd').execute();
    expect(await count()).toEqual([[null, 1]]);
    const none = { scopes: '[]', adds: '["x"]', return_to: null, user_id: null, environment: null };
    const wait = { ...keyOf('a'), app: provider, expect_organization: null, token_hash: 'hash', lifeMs: 60_000 };
    const session = { ...wait, ...none, id: newUuid(context.world) };
    await context.store.transaction((tx) => insertConnectSession(tx, session));
    await db.updateTable('grantry_connect_sessions').set({ state: 'pending', granted: 'null' }).execute();
    expect(await count()).toEqual([[null, 1]]);
  });

  it('shows what is left of the provider’s token requests, and when the next is free', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider, profile: 'zoho' });
    expect(await vault.budget(key)).toEqual({ used: 0, requests: 10, windowSeconds: 600, nextAt: null });
    await vault.getAccessToken(key);
    const { used, nextAt } = (await vault.budget(key)) ?? {};
    expect(used).toBe(1);
    // The database's clock goes on meanwhile.
    const seconds = ((nextAt?.getTime() ?? 0) - bench.clock.now()) / 1_000;
    expect(seconds).toBeGreaterThan(540);
    expect(seconds).toBeLessThan(601);
    await bench.jump(601_000);
    expect(await vault.budget(key)).toMatchObject({ used: 0, nextAt: null });
  });
});
