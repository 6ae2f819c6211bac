import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, until } from '../../../test/support/bench.ts';
import { checkKey, type GrantKey, newUuid } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { demoClient } from '../../simulator/index.ts';
import { insertCandidate } from '../../storage/statements/candidates.ts';
import { findGrant } from '../../storage/statements/grants.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { factsOf } from './facts.ts';
import { revokeDue } from './revocations.ts';
import { sealCandidate } from './tokens.ts';

describe.each(databaseKinds)('a token that waits to be revoked, on %s', (kind) => {
  it('is dropped when a grant holds it again', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault, world } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'none' });
    world.offline = true;
    expect(await vault.disconnect(key)).toEqual({ revocation: 'queued' });
    world.offline = false;
    await vault.storeTokens(key, { refreshToken: minted.refreshToken, replace: true });
    await bench.jump(600_000);
    expect(await revokeDue(internalsOf(vault).open())).toBe(1);
    expect(bench.simulator.history.events().filter(({ kind: what }) => what === 'revoke')).toEqual([]);
    expect((await vault.getAccessToken(key)).accessToken.length).toBeGreaterThan(10);
    await bench.jump(600_000);
    expect(await revokeDue(internalsOf(vault).open())).toBe(0);
  });

  it('is dropped when its revocation would end a newer grant', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const refreshToken = { ...bench.simulator.definition('none').refreshToken, revocationEnds: 'account' as const };
    const providers = [{ ...bench.simulator.definition('none'), refreshToken }];
    const { vault, world } = await bench.open({ providers });
    const { key } = await bench.connect(vault, { provider: 'none' });
    world.offline = true;
    await vault.disconnect(key);
    world.offline = false;
    const { refreshToken: later } = bench.simulator.mintTokens({
      profile: 'none',
      clientId: demoClient.clientId,
      user: 'user@example.com',
      scopes: ['read'],
    });
    await vault.storeTokens({ ...key, account: 'another' }, { refreshToken: later });
    await bench.jump(600_000);
    expect(await revokeDue(internalsOf(vault).open())).toBe(1);
    expect(bench.simulator.history.events().filter(({ kind: what }) => what === 'revoke')).toEqual([]);
  });

  it('prevents the removal of the app that can revoke it', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault, world } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'none' });
    await vault.storeTokens(key, { refreshToken: minted.refreshToken, app: 'none' });
    world.offline = true;
    await vault.disconnect(key);
    await expect(vault.apps.remove('none')).rejects.toThrow('wait to be revoked');
    world.offline = false;
    await bench.jump(600_000);
    await revokeDue(internalsOf(vault).open());
    await vault.apps.remove('none');
  });

  it('is revoked when no grant holds it', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'none' });
    world.offline = true;
    await vault.disconnect(key);
    world.offline = false;
    await bench.jump(600_000);
    expect(await revokeDue(internalsOf(vault).open())).toBe(1);
    expect(bench.simulator.history.events().filter(({ kind: what }) => what === 'revoke')).toHaveLength(1);
  });
});

const revokes = (bench: Bench) => bench.simulator.history.events().filter(({ kind }) => kind === 'revoke');
const one = { tenant: 'umbrela', provider: 'none' };
const other = { tenant: 'umbrella', provider: 'none', account: 'default' };

describe.each(databaseKinds)('a token that two grants hold, on %s', (kind) => {
  it('is not revoked while one of them lives, and is with the last one', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault } = await bench.open();
    const { minted } = await bench.connect(vault, { provider: 'none', tenant: one.tenant });
    await vault.storeTokens(other, { refreshToken: minted.refreshToken });
    expect(await vault.disconnect(one)).toEqual({ revocation: 'shared', sharedWith: [other] });
    expect(revokes(bench)).toEqual([]);
    expect((await vault.getAccessToken(other)).generation).toBe(2);
    expect(await bench.judge.db.selectFrom('grantry_revocations').select('id').execute()).toEqual([]);
    expect(await vault.disconnect(other)).toEqual({ revocation: 'revoked' });
  });

  it('is revoked once when both are disconnected at the same time', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const [a, b] = [await bench.open(), await bench.open()];
    const { minted } = await bench.connect(a.vault, { provider: 'none', tenant: one.tenant });
    await a.vault.storeTokens(other, { refreshToken: minted.refreshToken });
    await Promise.all([a.vault.disconnect(one), b.vault.disconnect(other)]);
    expect(bench.simulator.isAlive(minted.refreshToken)).toBe(false);
  });
});

describe('a token that two grants hold', () => {
  it('is not revoked when a grant gets it after the entry was claimed', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const { vault, world } = await bench.open();
    const { minted } = await bench.connect(vault, { provider: 'none', tenant: one.tenant });
    world.offline = true;
    await vault.disconnect(one);
    world.offline = false;
    await bench.jump(600_000);
    const context = internalsOf(vault).open();
    // The definition is read after the look of the claim, and before the look of the request.
    const require = context.providers.require.bind(context.providers);
    context.providers.require = async (id) => {
      context.providers.require = require;
      await vault.storeTokens(other, { refreshToken: minted.refreshToken });
      return require(id);
    };
    await revokeDue(context);
    expect(revokes(bench)).toEqual([]);
    expect(bench.simulator.isAlive(minted.refreshToken)).toBe(true);
    expect(await revokeDue(context)).toBe(0);
  });

  it('is not revoked when it is a candidate of the grant that ends', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'timed_overlap', tenant: one.tenant });
    const { minted } = await bench.connect(vault, { provider: 'timed_overlap', tenant: other.tenant });
    await addCandidate(vault, key, minted.refreshToken);
    expect((await vault.disconnect(key)).sharedWith).toEqual([{ ...other, provider: 'timed_overlap' }]);
    expect(bench.simulator.isAlive(minted.refreshToken)).toBe(true);
  });

  it('is not revoked when it is a candidate of a grant that lives', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'timed_overlap', tenant: other.tenant });
    const { key: ended, minted } = await bench.connect(vault, { provider: 'timed_overlap', tenant: one.tenant });
    await addCandidate(vault, key, minted.refreshToken);
    expect(await vault.disconnect(ended)).toEqual({
      revocation: 'shared',
      sharedWith: [{ ...other, provider: 'timed_overlap' }],
    });
  });

  it('is not revoked when it answers the refresh of a grant that was disconnected meanwhile', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const [a, b] = [await bench.open(), await bench.open()];
    const { minted } = await bench.connect(a.vault, { provider: 'none', tenant: one.tenant });
    await a.vault.storeTokens(other, { refreshToken: minted.refreshToken });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const refreshing = codeOf(a.vault.getAccessToken(one));
    await until(() => bench.requests().length === 1, 'the request');
    expect((await b.vault.disconnect(one)).revocation).toBe('shared');
    await bench.jump(1_100);
    expect(await refreshing).toBe('grant_not_found');
    expect(revokes(bench)).toEqual([]);
    expect(bench.simulator.isAlive(minted.refreshToken)).toBe(true);
  });

  it('is revoked on an order where its provider ends all grants of an account, but not if another holds it', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const refreshToken = { ...bench.simulator.definition('none').refreshToken, revocationEnds: 'account' as const };
    const { vault } = await bench.open({ providers: [{ ...bench.simulator.definition('none'), refreshToken }] });
    const { key } = await bench.connect(vault, { provider: 'none' });
    const minted = bench.simulator.mintTokens({
      profile: 'none',
      clientId: demoClient.clientId,
      user: 'user@example.com',
      scopes: ['read'],
    });
    await vault.storeTokens({ ...key, account: 'mail' }, { refreshToken: minted.refreshToken });
    const copy = { ...key, account: 'copy' };
    await vault.storeTokens(copy, { refreshToken: minted.refreshToken });
    expect(await vault.disconnect(copy)).toEqual({ revocation: 'shared', sharedWith: [{ ...key, account: 'mail' }] });
    expect(revokes(bench)).toEqual([]);
    expect(await vault.disconnect(key)).toEqual({ revocation: 'revoked' });
  });
});

it('a provider that hangs delays no revocation elsewhere', async () => {
  await using bench = await makeBench({ profiles: ['none', 'strict'] });
  const { vault, world } = await bench.open();
  world.offline = true;
  for (let count = 0; count < 25; count += 1) {
    await vault.disconnect((await bench.connect(vault, { provider: 'none', tenant: `t${count}` })).key);
  }
  await bench.jump(1_000);
  await vault.disconnect((await bench.connect(vault, { provider: 'strict' })).key);
  world.offline = false;
  await bench.jump(600_000);
  const effect = { kind: 'hang', when: 'before' } as const;
  bench.simulator.faults.add({ endpoint: 'revoke', profile: 'none', times: 100, effect });
  const round = revokeDue(internalsOf(vault).open());
  await bench.pass(31_000);
  await round;
  expect(revokes(bench).filter(({ profile }) => profile === 'strict')).toHaveLength(1);
});

/** Keeps a token beside the stored one, as an answer that came after its lease. */
async function addCandidate(vault: Vault, key: GrantKey, token: string): Promise<void> {
  const context = internalsOf(vault).open();
  const row = (await findGrant(context.store.db, checkKey(key))) ?? expect.unreachable();
  const tenantKeys = await context.keys.pin(key.tenant);
  const fingerprint = await context.keys.fingerprinter();
  const id = newUuid(context.world);
  const tokens = { refreshToken: token, accessToken: null, expiresAt: null };
  const { client_id: tenant, id: grant_id, generation, lease_fence: fence } = row;
  await context.store.transaction((tx) =>
    insertCandidate(tx, {
      id,
      tenant,
      grant_id,
      fence,
      generation,
      tokens: sealCandidate(tenantKeys, factsOf(row), { id, generation }, tokens),
      token_fingerprint: fingerprint(new Secret(token)),
      state: 'untested',
    }),
  );
}
