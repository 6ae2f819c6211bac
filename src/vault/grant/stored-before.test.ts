import { describe, expect, it } from 'vitest';
import {
  type Bench,
  codeOf,
  type DatabaseKind,
  databaseKinds,
  makeBench,
  settled,
  tidyUp,
  until,
  user,
} from '../../../test/support/bench.ts';
import { refuse } from '../../../test/support/refusals.ts';
import { limits } from '../../base/limits.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import type { ImportResult, Vault } from '../types.ts';
import { openToken, refreshTokenOf as refreshTokenIn } from './tokens.ts';

const hour = 3_700_000;

/** The rules are the same on both databases. */
function rotations(kind: DatabaseKind): readonly string[] {
  return kind === 'sqlite' ? ['strict', 'strict_revokes_family', 'timed_overlap'] : ['strict_revokes_family'];
}

/** Tokens of one more consent of the same user. */
function mint(bench: Bench, profile: string) {
  return bench.simulator.mintTokens({ profile, clientId: demoClient.clientId, user, scopes: ['read'] });
}

async function refreshTokenOf(bench: Bench, vault: Vault): Promise<string> {
  const row = await bench.row({ tenant: 'acme', provider: bench.providers[0]?.id ?? '' });
  const keys = await internalsOf(vault).open().keys.pin('acme', { fresh: true });
  return openToken(keys, row, 'refresh_token')?.reveal() ?? '';
}

async function candidates(bench: Bench): Promise<number> {
  return (await bench.judge.db.selectFrom('grantry_candidates').select('id').execute()).length;
}

async function importOne(vault: Vault, line: object): Promise<ImportResult | undefined> {
  for await (const result of vault.importLines(JSON.stringify(line))) return result;
  return undefined;
}

/** Lets the provider refuse the grant's token until the vault believes it. */
async function condemn(bench: Bench, vault: Vault, key: Parameters<Vault['recover']>[0]): Promise<void> {
  for (let tries = 0; tries < 4; tries += 1) {
    await vault.getAccessToken(key).catch(() => null);
    await bench.jump(121_000);
  }
  expect((await bench.row(key)).state).toBe('reauthorization_required');
}

describe.each(databaseKinds)('a refresh token that a grant has had, on %s', (kind) => {
  it.each(rotations(kind))('of any generation changes nothing, at %s', async (id) => {
    await using bench = await makeBench({ kind, profiles: [id] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: id });
    await vault.getAccessToken(key);
    const second = await refreshTokenOf(bench, vault);
    await bench.jump(hour);
    await vault.getAccessToken(key);
    for (const refreshToken of [minted.refreshToken, second]) {
      const { result, grant } = await vault.storeTokens(key, { refreshToken, replace: true });
      expect([result, grant.generation]).toEqual(['unchanged', 3]);
    }
    await bench.jump(hour);
    expect((await vault.getAccessToken(key)).generation).toBe(4);
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
  });

  it('of an authorization that another one replaced comes back only if the caller says so', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    await vault.getAccessToken(key);
    await vault.storeTokens(key, { refreshToken: mint(bench, 'strict').refreshToken });
    await bench.jump(hour);
    await vault.getAccessToken(key);
    const old = { refreshToken: minted.refreshToken };
    expect(await vault.storeTokens(key, old)).toMatchObject({ result: 'kept', grant: { generation: 4 } });
    expect(await importOne(vault, { ...key, refresh_token: old.refreshToken })).toMatchObject({ result: 'kept' });
    expect(await vault.storeTokens(key, { ...old, replace: true })).toMatchObject({ result: 'replaced' });
    await condemn(bench, vault, key);
    expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
    expect((await vault.getAccessToken(key)).generation).toBe(6);
    expect(await candidates(bench)).toBe(0);
  });

  it('does not bring a condemned grant back', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', times: 9, effect: { kind: 'error', error: 'invalid_grant' } });
    await condemn(bench, vault, key);
    for (const replace of [undefined, true, false]) {
      const stored = await vault.storeTokens(key, {
        refreshToken: minted.refreshToken,
        ...(replace === undefined ? {} : { replace }),
      });
      expect(stored).toMatchObject({ result: 'condemned', grant: { state: 'reauthorization_required' } });
    }
    const { refreshToken } = mint(bench, 'strict');
    expect(await vault.storeTokens(key, { refreshToken, replace: false })).toMatchObject({ result: 'condemned' });
    expect(await vault.storeTokens(key, { refreshToken })).toMatchObject({
      result: 'replaced',
      grant: { state: 'active' },
    });
  });

  it('does not bring a disconnected grant back, unless the caller says so', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    await vault.disconnect(key, { revoke: false });
    const { refreshToken } = minted;
    expect(await codeOf(vault.storeTokens(key, { refreshToken }))).toBe('invalid_request');
    expect(await codeOf(vault.storeTokens(key, { refreshToken: 'another', replace: false }))).toBe('invalid_request');
    const line = { ...key, refresh_token: refreshToken };
    expect(await importOne(vault, line)).toMatchObject({ status: 200, result: 'disconnected' });
    expect(await importOne(vault, { ...line, replace: false, refresh_token: 'another' })).toMatchObject({
      result: 'disconnected',
    });
    expect((await vault.grants.get(key))?.state).toBe('disconnected');
    expect(await importOne(vault, { ...line, replace: true })).toMatchObject({ status: 201, result: 'imported' });
    expect((await vault.getAccessToken(key)).generation).toBe(3);
  });

  it('and that came as a late answer changes nothing', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict'] });
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', set: { error: 'warming_up' } } });
    world.onSend = () => void (world.offline = true);
    await vault.getAccessToken(key).catch(() => null);
    world.onSend = () => {};
    world.offline = false;
    expect(await candidates(bench)).toBe(1);
    const parked = await bench.judge.db.selectFrom('grantry_candidates').selectAll().executeTakeFirstOrThrow();
    const keys = await internalsOf(vault).open().keys.pin('acme', { fresh: true });
    const refreshToken = refreshTokenIn(keys, await bench.row(key), parked)?.reveal() ?? '';
    expect((await vault.storeTokens(key, { refreshToken })).result).toBe('unchanged');
    expect((await bench.row(key)).state).toBe('uncertain');
    await bench.jump(hour);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  });
});

describe.each(databaseKinds)('tokens that are replaced by hand, on %s', (kind) => {
  it.each(rotations(kind))('come back through recover, at %s', async (id) => {
    await using bench = await makeBench({ kind, profiles: [id] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: id });
    await vault.getAccessToken(key);
    await vault.storeTokens(key, { refreshToken: 'mistyped' });
    await condemn(bench, vault, key);
    const living = bench.requests().filter(({ outcome }) => outcome === 'refused').length;
    expect(living).toBe(bench.requests().length - 1);
    expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered', tried: 2 });
    await bench.jump(hour);
    expect((await vault.getAccessToken(key)).generation).toBe(5);
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
  });

  it('are kept with the app that they were issued to', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    await vault.apps.put('other', { provider: 'strict', clientId: 'another-client', clientSecret: 'secret' });
    await vault.storeTokens(key, { app: 'other', refreshToken: 'mistyped' });
    bench.simulator.faults.add({ endpoint: 'token', times: 2, effect: { kind: 'error', error: 'invalid_grant' } });
    await condemn(bench, vault, key);
    bench.simulator.faults.clear();
    expect((await vault.recover(key)).outcome).toBe('recovered');
    expect(await vault.grants.get(key)).toMatchObject({ state: 'active', app: 'strict' });
  });

  it('make room for the late answer of the request that spent them', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict_revokes_family'] });
    const slow = await bench.open();
    const { vault: other } = await bench.open();
    const { key, minted } = await bench.connect(slow.vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const refreshing = slow.vault.getAccessToken(key).catch(() => null);
    await until(() => bench.requests().length === 1, 'the request');
    await other.storeTokens(key, { refreshToken: 'mistyped' });
    await bench.jump(1_100);
    await refreshing;
    await settled(20);
    await condemn(bench, other, key);
    expect(await other.recover(key)).toMatchObject({ outcome: 'recovered' });
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it('make room for an answer of theirs that the database refused', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    const mend = await refuse(bench, 'tokens');
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await mend();
    await vault.storeTokens(key, { refreshToken: 'mistyped' });
    await tidyUp(vault);
    await condemn(bench, vault, key);
    expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it.each(['broken', 'refused'])('keep their app when recover gets an answer that is %s', async (how) => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    await vault.apps.put('other', { provider: 'strict', clientId: 'another-client', clientSecret: 'secret' });
    await vault.storeTokens(key, { app: 'other', refreshToken: 'mistyped' });
    bench.simulator.faults.add({ endpoint: 'token', times: 2, effect: { kind: 'error', error: 'invalid_grant' } });
    await condemn(bench, vault, key);
    bench.simulator.faults.clear();
    // The first of the two kept tokens is the mistyped one.
    const first = { endpoint: 'token' as const, times: 1 };
    bench.simulator.faults.add({ ...first, effect: { kind: 'error', error: 'invalid_grant' } });
    const mend = how === 'refused' ? await refuse(bench, 'tokens') : async () => {};
    if (how === 'broken')
      bench.simulator.faults.add({ ...first, effect: { kind: 'patch', set: { error: 'warming_up' } } });
    await vault.recover(key);
    await mend();
    await bench.jump(121_000);
    await vault.recover(key);
    await bench.jump(hour);
    expect((await vault.getAccessToken(key)).accessToken).not.toBe('');
    expect(await vault.grants.get(key)).toMatchObject({ state: 'active', app: 'strict' });
  });

  it('are shredded by the first refresh of the new ones, and never pile up', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    for (let count = 0; count < 2 * limits.replacedKeptMax; count += 1) {
      await vault.storeTokens(key, { refreshToken: mint(bench, 'strict').refreshToken });
    }
    expect(await candidates(bench)).toBe(limits.replacedKeptMax);
    await vault.getAccessToken(key);
    expect(await candidates(bench)).toBe(0);
  });

  it('are revoked when the grant is disconnected', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    const { refreshToken } = mint(bench, 'strict');
    await vault.storeTokens(key, { refreshToken });
    await vault.disconnect(key);
    expect([minted.refreshToken, refreshToken].map((token) => bench.simulator.isAlive(token))).toEqual([false, false]);
  });

  it('are revoked by the app that they were issued to', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    await vault.apps.put('other', { provider: 'strict', clientId: 'another-client', clientSecret: 'secret' });
    await vault.storeTokens(key, { app: 'other', refreshToken: 'mistyped' });
    await vault.disconnect(key);
    expect(bench.simulator.isAlive(minted.refreshToken)).toBe(false);
  });
});
