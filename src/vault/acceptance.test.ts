/**
 * The duties of a vault when providers are slow, fail, hang or lie, and when processes race or die: T1 to T11, each on
 * both databases.
 */

import { describe, expect, it } from 'vitest';
import {
  codeOf,
  databaseKinds,
  makeBench,
  nameOfToken,
  settled,
  until,
  whileLocked,
} from '../../test/support/bench.ts';
import type { GrantKey } from '../base/ids.ts';
import type { AccessToken, Vault } from './types.ts';

const hour = 3_600_000;

describe.each(databaseKinds)('on %s', (kind) => {
  it('T1: 40 callers of one process make one token request', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 60, when: 'after' } });
    const tokens = await callers(vault, key, 40);
    expect(new Set(tokens.map((token) => token.accessToken)).size).toBe(1);
    expect(bench.requests()).toHaveLength(1);
  });

  it('T2: 20 callers on each of 2 processes make one token request', async () => {
    await using bench = await makeBench({ kind });
    const vaults = [(await bench.open()).vault, (await bench.open()).vault] as const;
    const { key } = await bench.connect(vaults[0]);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 60, when: 'after' } });
    const tokens = (await Promise.all(vaults.map((vault) => callers(vault, key, 20)))).flat();
    expect(new Set(tokens.map((token) => token.accessToken)).size).toBe(1);
    expect(bench.requests()).toHaveLength(1);
  });

  it.each(['strict_revokes_family', 'retire_on_use'])(
    'T3: an answer that takes 15 s is waited for, at %s',
    async (id) => {
      await using bench = await makeBench({ kind, profiles: [id] });
      const one = await bench.open();
      const other = await bench.open();
      const { key, minted } = await bench.connect(one.vault, { provider: id });
      bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 15_000, when: 'after' } });
      const calls = [...callsOf(one.vault, key, 5), ...callsOf(other.vault, key, 5)];
      const ended = Promise.allSettled(calls);
      await until(() => bench.requests().length === 1, 'the request');
      await bench.pass(15_500);
      const results = await ended;
      expect(results.map((result) => result.status)).not.toContain('rejected');
      expect(bench.requests()).toHaveLength(1);
      expect(bench.simulator.family(minted.family)?.revoked).toBeNull();
      expect((await bench.row(key)).state).toBe('active');
    },
  );

  it('T4a: a token with 10 minutes left is handed out while the token endpoint answers 500', async () => {
    await using bench = await makeBench({
      kind,
      change: (each) => ({ ...each, accessToken: { earlyRefreshSeconds: 1_200 } }),
    });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
    bench.simulator.faults.add({
      endpoint: 'token',
      times: 1_000,
      effect: { kind: 'status', status: 500, when: 'before' },
    });
    await bench.jump(50 * 60_000);
    for (let call = 0; call < 20; call += 1) {
      expect((await vault.getAccessToken(key)).accessToken).toBe(minted.accessToken);
      await bench.jump(1_000);
    }
    // Tries in the background, after 2, 4 and 8 seconds. No caller waits for them.
    expect(bench.requests().length).toBeLessThanOrEqual(5);
  });

  it('T4b: 30 callers and a 500 make one token request and one event', async () => {
    await using bench = await makeBench({ kind, profiles: ['none', 'strict'] });
    const { vault } = await bench.open();
    for (const provider of ['none', 'strict']) {
      const { key } = await bench.connect(vault, { provider });
      const before = bench.requests().length;
      bench.simulator.faults.add({
        endpoint: 'token',
        times: 99,
        effect: { kind: 'status', status: 500, when: 'before' },
      });
      const codes = await Promise.all(callsOf(vault, key, 30).map(codeOf));
      expect(new Set(codes)).toEqual(new Set([provider === 'none' ? 'provider_unavailable' : 'refresh_uncertain']));
      expect(bench.requests().length - before).toBe(1);
      // Without rotation, a 500 does not change the grant.
      expect(await bench.events(key)).toEqual(provider === 'none' ? ['stored'] : ['stored', 'uncertain']);
      bench.simulator.faults.clear();
    }
  });

  it('T4c: the next try after a failure waits for the back-off, and succeeds', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'none', expiresIn: 3_600 });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'status', status: 500, when: 'before' } });
    const { generation } = await vault.getAccessToken(key);
    expect(await codeOf(vault.rejectAccessToken(key, generation))).toBe('provider_unavailable');
    expect(await codeOf(vault.rejectAccessToken(key, generation))).toBe('provider_unavailable');
    expect((await vault.getAccessToken(key)).accessToken).toBe(minted.accessToken);
    expect(bench.requests()).toHaveLength(1);
    await bench.jump(3_000);
    const fresh = await vault.rejectAccessToken(key, generation);
    expect(fresh.generation).toBe(generation + 1);
    expect(bench.requests()).toHaveLength(2);
  });

  it('T4d: a refusal makes the grant suspect, is confirmed once and then reported once', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    bench.simulator.revoke(minted.refreshToken);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect((await bench.row(key)).state).toBe('suspect');
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(bench.requests()).toHaveLength(1);
    await bench.jump(31_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
    expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
    expect(bench.requests()).toHaveLength(2);
    expect(await bench.events(key)).toEqual(['stored', 'suspect', 'reauthorization_required']);
    // The tokens stay sealed for a recovery of the grant.
    expect((await bench.row(key)).refresh_token).not.toBeNull();
  });

  it.each([
    ['none', 'active', null],
    ['timed_overlap', 'active', null],
    ['retire_on_use', 'active', null],
    ['overlap_newest_only', 'active', null],
    ['strict', 'reauthorization_required', 'lost_rotation'],
    ['strict_revokes_family', 'reauthorization_required', 'lost_rotation'],
  ])('T5: a holder that is killed while it waits for its answer, at %s: %s', async (id, state, reason) => {
    await using bench = await makeBench({ kind, profiles: [id] });
    const killed = await bench.open();
    const { key } = await bench.connect(killed.vault, { provider: id });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'hang', when: 'after' } });
    killed.vault.getAccessToken(key).catch(() => {});
    await until(() => bench.requests().length === 1, 'the request');
    await bench.crash(killed);
    const { vault } = await bench.open();
    const isStrict = id.startsWith('strict');
    await bench.jump(isStrict ? 121_000 : 4_500);
    if (isStrict) {
      // The provider refuses the spent token. A second look shows that this is no mistake.
      expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
      await bench.jump(31_000);
    }
    const outcome = await vault.getAccessToken(key).then(
      (token) => token.generation,
      (error: { code: string }) => error.code,
    );
    expect(outcome).toBe(state === 'active' ? 2 : 'reauthorization_required');
    const row = await bench.row(key);
    expect([row.state, row.reason]).toEqual([state, reason]);
    expect(bench.requests()).toHaveLength(isStrict ? 3 : 2);
  });

  it('T6: a fresh token is read while other processes hold every lock', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
    const { vault: other } = await bench.open({ backgroundRefresh: false });
    await whileLocked(bench, async () => {
      expect((await vault.getAccessToken(key)).accessToken).toBe(minted.accessToken);
      expect((await other.getAccessToken(key)).accessToken).toBe(minted.accessToken);
    });
  });

  it('T7: a token endpoint that hangs costs only its caller 30 s, and neither the grant nor other callers', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict', 'none'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    const { key: elsewhere } = await bench.connect(vault, { provider: 'none' });
    bench.simulator.faults.add({ profile: 'strict', endpoint: 'token', effect: { kind: 'hang', when: 'before' } });
    const hanging = codeOf(vault.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    expect((await vault.getAccessToken(elsewhere)).generation).toBe(2);
    await bench.pass(30_500);
    expect(await hanging).toBe('provider_unavailable');
    await bench.pass(60_000);
    await until(async () => (await bench.row(key)).state === 'uncertain', 'the deadline');
    await bench.jump(31_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it('T8: a fresh token needs no provider, and after its first read no database', async () => {
    await using bench = await makeBench({ kind });
    const opened = await bench.open();
    const { key, minted } = await bench.connect(opened.vault, { expiresIn: 3_600 });
    opened.world.offline = true;
    const before = process.cpuUsage();
    for (let call = 0; call < 1_000; call += 1) {
      expect((await opened.vault.getAccessToken(key)).accessToken).toBe(minted.accessToken);
    }
    // Measured as processor time, which the load of other programs does not change.
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(2_000);
  });

  it('T9: a new authorization during a refresh wins, and the late answer does not overwrite it', async () => {
    await using bench = await makeBench({ kind });
    const one = await bench.open();
    const other = await bench.open();
    const { key } = await bench.connect(one.vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 5_000, when: 'after' } });
    const refreshing = one.vault.getAccessToken(key);
    await until(() => bench.requests().length === 1, 'the request');
    const { minted: renewed } = await bench.connect(other.vault, { expiresIn: 3_600 });
    await bench.jump(5_100);
    expect((await refreshing).accessToken).toBe(renewed.accessToken);
    expect((await other.vault.getAccessToken(key)).accessToken).toBe(renewed.accessToken);
    await bench.jump(hour);
    expect((await one.vault.getAccessToken(key)).generation).toBe(3);
    expect(bench.requests().at(-1)?.token).toBe(nameOfToken(renewed.refreshToken));
    expect((await bench.row(key)).state).toBe('active');
  });

  it('T10: metadata that is written during a refresh survives it', async () => {
    await using bench = await makeBench({ kind });
    const one = await bench.open();
    const other = await bench.open();
    const { key, minted } = await bench.connect(one.vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 2_000, when: 'after' } });
    const refreshing = one.vault.getAccessToken(key);
    await until(() => bench.requests().length === 1, 'the request');
    await other.vault.storeTokens(key, { refreshToken: minted.refreshToken, metadata: { org_id: '42' } });
    await bench.jump(2_100);
    await refreshing;
    const grant = await other.vault.grants.get(key);
    expect(grant?.metadata).toEqual({ org_id: '42' });
    expect(grant?.generation).toBe(2);
  });

  it('T11: there is no hidden limit on reads', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { expiresIn: 3_600 });
    const tokens = await callers(vault, key, 5_000);
    expect(tokens).toHaveLength(5_000);
    await settled();
  });
});

function callsOf(vault: Vault, key: GrantKey, count: number): Promise<AccessToken>[] {
  return Array.from({ length: count }, () => vault.getAccessToken(key));
}

function callers(vault: Vault, key: GrantKey, count: number): Promise<AccessToken[]> {
  return Promise.all(callsOf(vault, key, count));
}
