/** Real processes on real databases: many at once, and such that are killed in the midst of a refresh. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, until, whileLocked } from '../support/bench.ts';
import { TestWorld } from '../support/world.ts';
import { VaultProcess } from './processes.ts';

const strictWait = 121_000;

describe.each(databaseKinds)('on %s', (kind) => {
  it('4 processes with 50 callers each make one token request', async () => {
    await using bench = await makeBench({ kind, listen: true, profiles: ['strict_revokes_family'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 150, when: 'after' } });
    const processes = await Promise.all([1, 2, 3, 4].map(() => VaultProcess.start(bench, key)));
    const results = await Promise.all(processes.map((each) => each.call(50)));
    await Promise.all(processes.map((each) => each.end()));
    expect(new Set(results.flat())).toEqual(new Set(['2']));
    expect(results.flat()).toHaveLength(200);
    expect(bench.requests()).toHaveLength(1);
  });

  it('F-01: killed before its intent was written, it has done nothing', async () => {
    await using bench = await makeBench({ kind, listen: true });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const killed = await VaultProcess.start(bench, key);
    await whileLocked(bench, async () => {
      killed.ask(1);
      await new Promise((resolve) => setTimeout(resolve, 200));
      await killed.kill();
    });
    expect(bench.requests()).toHaveLength(0);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  it('F-02: killed between its intent and its first byte, it is replaced when its lease ends', async () => {
    await using bench = await makeBench({ kind, listen: true });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const killed = await VaultProcess.start(bench, key, { stopAt: 'before_send' });
    killed.ask(1);
    await killed.says('stopped');
    await killed.kill();
    expect(bench.requests()).toHaveLength(0);
    await bench.jump(strictWait);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  it.each([
    ['none', ['stored', 'refreshed']],
    ['timed_overlap', ['stored', 'uncertain', 'refreshed']],
    ['retire_on_use', ['stored', 'uncertain', 'refreshed']],
    ['strict', ['stored', 'uncertain', 'suspect', 'reauthorization_required']],
    ['strict_revokes_family', ['stored', 'uncertain', 'suspect', 'reauthorization_required']],
  ])('F-03: killed after the provider acted, at %s', async (id, events) => {
    await using bench = await makeBench({ kind, listen: true, profiles: [id] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: id });
    const killed = await VaultProcess.start(bench, key, { stopAt: 'after_answer' });
    killed.ask(1);
    await killed.says('stopped');
    await killed.kill();
    const lost = id.startsWith('strict');
    await bench.jump(lost ? strictWait : 4_500);
    if (lost) {
      expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
      await bench.jump(31_000);
      expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
      expect((await bench.row(key)).reason).toBe('lost_rotation');
      await bench.jump(strictWait);
      expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
    } else expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(await bench.events(key)).toEqual(events);
    expect(bench.requests()).toHaveLength(lost ? 3 : 2);
  });

  it.each(['none', 'timed_overlap', 'retire_on_use'])(
    'F-02: at %s, a killed holder of this host is replaced before its lease ends, and a living one is not',
    async (id) => {
      await using bench = await makeBench({ kind, listen: true, profiles: [id] });
      // Leases of 40 s: no machine is so slow that one ends by itself.
      const timeScale = 10;
      const { vault } = await bench.open({ world: new TestWorld(bench.simulator, bench.clock, timeScale) });
      const { key } = await bench.connect(vault, { provider: id });
      const holder = await VaultProcess.start(bench, key, { stopAt: 'after_answer', timeScale });
      holder.ask(1);
      await holder.says('stopped');
      const endsAt = Number((await bench.row(key)).lease_until);
      await bench.jump(endsAt - (await bench.judge.nowMs()) - 18_000);
      const waiting = vault.getAccessToken(key);
      for (let poll = 0; poll < 3; poll += 1) await bench.jump(500);
      expect(bench.requests()).toHaveLength(1);
      await holder.kill();
      await until(async () => {
        await bench.jump(100);
        return bench.requests().length === 2;
      }, 'the next request');
      expect((await waiting).generation).toBe(2);
      const attempts = bench.judge.db.selectFrom('grantry_attempts').select(['started_at', 'outcome']);
      const [lost, saved] = await attempts.orderBy('fence').execute();
      expect(lost?.outcome).toBe('unknown');
      expect(saved?.started_at).toBeLessThan(endsAt);
    },
  );

  it('F-04: killed between the spool and the commit, its answer is adopted without another request', async () => {
    await using bench = await makeBench({ kind, listen: true, profiles: ['strict_revokes_family'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 300, when: 'after' } });
    const killed = await VaultProcess.start(bench, key);
    killed.ask(1);
    await until(() => bench.requests().length === 1, 'the request');
    await whileLocked(bench, async () => {
      await until(() => readdirSync(join(bench.home, 'spool')).some((name) => name.endsWith('.answer')), 'the spool');
      await killed.kill();
    });
    expect((await bench.row(key)).generation).toBe(1);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
    await bench.jump(3_600_000);
    expect((await vault.getAccessToken(key)).generation).toBe(3);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it('F-05: a process killed after its commit loses nothing and causes no second request', async () => {
    await using bench = await makeBench({ kind, listen: true });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const killed = await VaultProcess.start(bench, key);
    killed.ask(1);
    await until(async () => (await bench.row(key)).generation === 2, 'the commit');
    await killed.kill();
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });
});
