/** The faults of a vault whose connection to the database is cut. The provider's history decides. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf, makeBench, settled, until } from '../../test/support/bench.ts';
import { spooled } from '../../test/support/spools.ts';
import { Wire } from '../../test/support/wire.ts';

const minute = 60_000;

describe('on PostgreSQL, when its wire is cut', () => {
  it('F-06: no refresh is started, and valid tokens are handed out from memory for 5 minutes', async () => {
    await using bench = await makeBench({ kind: 'postgres' });
    await using wire = await Wire.to(bench.database);
    const { vault, world } = await bench.open({ database: wire.database });
    const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
    const { key: expired } = await bench.connect(vault, { tenant: 'late' });
    await bench.jump(57 * minute);
    world.offline = true;
    for (let call = 0; call < 3; call += 1) {
      expect((await vault.getAccessToken(key)).accessToken).toBe(minted.accessToken);
      await settled(20);
    }
    wire.cut();
    const before = bench.requests().length;
    await bench.jump(10_000);
    for (let call = 0; call < 5; call += 1) {
      // Past the early-refresh mark each call tries a refresh, which fails. The stored token stays valid.
      expect((await vault.getAccessToken(key)).accessToken).toBe(minted.accessToken);
      await settled(10);
    }
    expect(await codeOf(vault.getAccessToken(expired))).toBe('storage_unavailable');
    expect(bench.requests()).toHaveLength(before);
    await bench.jump(5 * minute);
    expect(await codeOf(vault.getAccessToken(key))).toBe('storage_unavailable');
    wire.mend();
    world.offline = false;
    await bench.jump(2 * minute);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  });

  it('F-07: an answer that arrives while the database is down is saved when it is back', async () => {
    await using bench = await makeBench({ kind: 'postgres' });
    await using wire = await Wire.to(bench.database);
    const { vault } = await bench.open({ database: wire.database });
    const { key, minted } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 2_000, when: 'after' } });
    const refreshing = codeOf(vault.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    wire.cut();
    await bench.jump(2_100);
    await until(() => spooled(bench, '.answer').length === 1, 'the spooled answer');
    await bench.jump(31_000);
    // The caller got an error after 30 s, and the refresh goes on.
    expect(await refreshing).toBe('provider_unavailable');
    for (let passed = 0; passed < 10; passed += 1) await bench.jump(minute);
    expect((await bench.row(key)).generation).toBe(1);
    wire.mend();
    await until(async () => {
      await bench.jump(1_000);
      return (await bench.row(key)).generation === 2;
    }, 'the commit');
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it('F-08: another process on the same host commits the answer of a process that lost the database', async () => {
    await using bench = await makeBench({ kind: 'postgres', profiles: ['strict_revokes_family'] });
    await using wire = await Wire.to(bench.database);
    const one = await bench.open({ database: wire.database });
    const other = await bench.open();
    const { key } = await bench.connect(one.vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const refreshing = codeOf(one.vault.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    wire.cut();
    await bench.jump(1_100);
    await until(() => spooled(bench, '.answer').length === 1, 'the spooled answer');
    expect((await other.vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
    await bench.jump(31_000);
    expect(await refreshing).toBe('provider_unavailable');
  });

  it('F-08: a process that loses the database keeps its lease, and no other process asks until it ends', async () => {
    await using bench = await makeBench({ kind: 'postgres', profiles: ['strict_revokes_family'] });
    await using wire = await Wire.to(bench.database);
    const one = await bench.open({ database: wire.database, spool: join(bench.home, 'another-host') });
    const other = await bench.open();
    const { key } = await bench.connect(one.vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'hang', when: 'before' } });
    const refreshing = codeOf(one.vault.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    wire.cut();
    for (let tries = 0; tries < 3; tries += 1) {
      const waiting = codeOf(other.vault.getAccessToken(key));
      // The waiter must have begun before its time passes.
      await settled(50);
      await bench.jump(31_000);
      expect(await waiting).toBe('refresh_uncertain');
      expect(bench.requests()).toHaveLength(1);
    }
    await bench.jump(30_000);
    expect((await other.vault.getAccessToken(key)).generation).toBe(2);
    const [first, second] = bench.requests();
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(119_000);
    expect(await refreshing).toBe('provider_unavailable');
  });
});
