/** The database's clock was ahead, and was set back: no time that it wrote may hold a grant back for that long. */
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, settled, until } from '../../test/support/bench.ts';
import type { TestWorld } from '../../test/support/world.ts';
import { startWorkers } from './workers.ts';

/** As a host that takes local time for UTC, and as one that begins in the wrong year. */
const stepsMs = [7_200_000, 40_000_000_000];
const losses = [
  ['none', { kind: 'status', status: 503, when: 'before' }],
  ['timed_overlap', { kind: 'reset', when: 'after' }],
  ['retire_on_use', { kind: 'reset', when: 'after' }],
  ['strict', { kind: 'status', status: 503, when: 'before' }],
] as const;

describe.each(databaseKinds)('on %s', (kind) => {
  const tried = losses.flatMap(([id, effect]) => stepsMs.map((ms) => ({ id, effect, ms })));
  // PostgreSQL runs the same statements, so one case suffices there.
  it.each(kind === 'sqlite' ? tried : tried.slice(-1))(
    'a back-off of $id from a clock that was $ms ms ahead is over',
    async ({ id, effect, ms }) => {
      await using bench = await makeBench({ kind, profiles: [id] });
      const { vault, world } = await bench.open();
      const { key } = await bench.connect(vault, { provider: id });
      bench.simulator.faults.add({ endpoint: 'token', effect });
      await moveClock(bench, world, ms);
      await codeOf(vault.getAccessToken(key));
      await moveClock(bench, world, 0);
      await bench.jump(3_000);
      expect((await vault.getAccessToken(key)).generation).toBe(2);
    },
  );

  it.each([
    ['none', 4_000],
    ['timed_overlap', 4_000],
    ['strict', 120_000],
  ] as const)(
    'the lease of a holder at %s that no process sees end lasts for one lease from then',
    async (id, leaseMs) => {
      await using bench = await makeBench({ kind, profiles: [id] });
      const gone = await bench.open();
      const { vault } = await bench.open();
      const { key } = await bench.connect(gone.vault, { provider: id });
      gone.world.freezeBeforeSend();
      await moveClock(bench, gone.world, 7_200_000);
      gone.vault.getAccessToken(key).catch(() => {});
      await until(async () => (await bench.row(key)).lease_owner !== null, 'the claim');
      await moveClock(bench, gone.world, 0);
      const workers = startWorkers(vault);
      await until(async () => ((await bench.row(key)).lease_until ?? 0) < bench.clock.now() + 130_000, 'the cut');
      for (let each = 0; each < 8; each += 1) await bench.jump((leaseMs - 2_000) / 8);
      expect(bench.requests()).toHaveLength(0);
      for (let passed = 0; passed < 20_000 && (await bench.row(key)).generation === 1; passed += 1_000) {
        await bench.jump(1_000);
        await settled(6);
      }
      expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
      const stopped = workers.stop();
      await bench.jump(6_000);
      await stopped;
    },
  );

  it('two requests of a strict grant never run at once', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict_revokes_family'] });
    const slow = await bench.open();
    const other = await bench.open();
    const { key, minted } = await bench.connect(slow.vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 85_000, when: 'before' } });
    await moveClock(bench, slow.world, 7_200_000);
    const asked = slow.vault.getAccessToken(key).catch(() => {});
    await until(async () => (await bench.row(key)).lease_owner !== null, 'the claim');
    await settled(20);
    await moveClock(bench, slow.world, 0);
    for (let passed = 0; passed < 90_000; passed += 10_000) {
      other.vault.getAccessToken(key).catch(() => {});
      await bench.jump(10_000);
    }
    await asked;
    await until(async () => (await bench.row(key)).generation === 2, 'the tokens');
    expect(bench.requests()).toHaveLength(1);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });
});

it('a token that was obtained in the future is replaced, not handed out', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const ahead = await bench.open();
  const { key } = await bench.connect(ahead.vault, { provider: 'none' });
  ahead.world.skewMs = 86_400_000;
  expect((await ahead.vault.getAccessToken(key)).generation).toBe(2);
  const { vault } = await bench.open();
  await bench.jump(7_200_000);
  const token = await vault.getAccessToken(key);
  expect(token.generation).toBe(3);
  expect(token.expiresAt.getTime() - bench.clock.now()).toBeLessThanOrEqual(3_600_000);
});

/** Sets the database's clock this far ahead. SQLite's is the clock of the process. */
async function moveClock(bench: Bench, world: TestWorld, ms: number): Promise<void> {
  if (bench.kind === 'sqlite') {
    world.skewMs = ms;
    return;
  }
  const client = new Client({ connectionString: bench.database });
  await client.connect();
  const before = moved.get(bench) ?? 0;
  await client.query('update test_clock.moved set ms = ms + $1', [ms - before]);
  moved.set(bench, ms);
  await client.end();
}

const moved = new WeakMap<Bench, number>();
