/** Tests that a provider that is down, throttles or hangs does no lasting harm to its grants. */
import { expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, nameOfToken, settled, until } from '../../test/support/bench.ts';
import type { GrantKey } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { builtInProfile } from '../simulator/index.ts';
import { internalsOf } from '../vault/internals.ts';
import { startWorkers } from './workers.ts';

const minute = 60_000;
const hour = 60 * minute;
const briefOverlap = builtInProfile('timed_overlap', { rotation: { overlapSeconds: 60 } });

type Vault = Awaited<ReturnType<Bench['open']>>['vault'];

it('a provider that was down for hours is asked again as soon as it is back', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault, world } = await bench.open();
  const keys = await connectMany(bench, vault, 'none', 3);
  world.offline = true;
  for (let passed = 0; passed < 120; passed += 1) {
    for (const key of keys) await codeOf(vault.getAccessToken(key));
    await bench.jump(minute);
  }
  world.offline = false;
  await bench.jump(5 * minute);
  for (const key of keys) expect(await vault.getAccessToken(key)).toMatchObject({ generation: 2 });
});

it('a provider that throttled all grants for minutes serves them all afterwards', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault } = await bench.open();
  const keys = await connectMany(bench, vault, 'none', 60);
  const headers = { 'retry-after': '60' };
  const effect = { kind: 'status', status: 429, when: 'before', headers } as const;
  bench.simulator.faults.add({ endpoint: 'token', forMs: 5 * minute, effect });
  for (let passed = 0; passed < 5; passed += 1) {
    for (const key of keys) await codeOf(vault.getAccessToken(key));
    await bench.jump(61_000);
  }
  await bench.jump(hour);
  for (const key of keys) expect(await vault.getAccessToken(key)).toMatchObject({ generation: 2 });
});

it.each(['none', 'timed_overlap'])(
  '%s: that says when to come again is not asked before, once no overlap is at stake',
  async (profile) => {
    await using bench = await makeBench({ profiles: [profile] });
    const { vault } = await bench.open();
    const keys = await connectMany(bench, vault, profile, 3);
    const headers = { 'retry-after': '3600' };
    const effect = { kind: 'status', status: 503, when: 'before', headers } as const;
    bench.simulator.faults.add({ endpoint: 'token', forMs: 10 * hour, effect });
    const askFor = async (ms: number) => {
      const before = bench.requests().length;
      for (const end = bench.clock.now() + ms; bench.clock.now() < end; await bench.jump(60_000)) {
        await Promise.all(keys.map((key) => vault.getAccessToken(key).catch(() => {})));
      }
      return bench.requests().length - before;
    };
    await askFor(hour);
    expect(await askFor(2 * hour)).toBeLessThanOrEqual(2 * keys.length);
  },
  60_000,
);

it('a killed holder’s grant is refreshed inside its overlap, however many other requests failed', async () => {
  await using bench = await makeBench({ profiles: [briefOverlap] });
  const holder = await bench.open();
  const other = await bench.open();
  const { key } = await bench.connect(holder.vault, { tenant: 'x', provider: 'timed_overlap' });
  holder.world.offline = true;
  await codeOf(holder.vault.getAccessToken(key));
  await bench.jump(10_000);
  const { bulkheads } = internalsOf(other.vault).open();
  for (let used = 0; used < limits.retryBudgetMax; used += 1) bulkheads.retries.countTry('timed_overlap', 'retry');
  holder.world.offline = false;
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
  holder.vault.getAccessToken(key).catch(() => {});
  await until(() => bench.requests().length === 1, 'the request');
  await bench.crash(holder);
  const workers = startWorkers(other.vault);
  for (let passed = 0; passed < 30; passed += 1) await bench.jump(1_000);
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
  await workers.stop();
});

it('a slow provider is asked for the killed holder’s grant before all others', async () => {
  await using bench = await makeBench({ profiles: [briefOverlap] });
  const holder = await bench.open();
  const other = await bench.open();
  const { key, minted } = await bench.connect(holder.vault, { tenant: 'x', provider: 'timed_overlap' });
  const many = await connectMany(bench, other.vault, 'timed_overlap', 60);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
  holder.vault.getAccessToken(key).catch(() => {});
  await until(() => bench.requests().length === 1, 'the request');
  const lostAt = bench.clock.now();
  bench.simulator.faults.add({
    endpoint: 'token',
    times: 1_000,
    effect: { kind: 'delay', ms: 40_000, when: 'before' },
  });
  const workers = startWorkers(other.vault);
  const ask = (each: GrantKey) => other.vault.getAccessToken(each).catch(() => {});
  for (const each of many) void ask(each);
  await settled(30);
  await bench.crash(holder);
  for (let passed = 0; passed < 60; passed += 1) {
    void ask(key);
    if (passed % 5 === 0) for (const each of many) void ask(each);
    await bench.jump(1_000);
  }
  const spent = nameOfToken(minted.refreshToken);
  const asked = bench.simulator.history.events().filter((each) => each.kind === 'token' && each.token === spent);
  expect(asked).toHaveLength(2);
  expect((asked[1]?.at ?? 0) - lostAt).toBeLessThan(60_000);
  for (let passed = 0; passed < 60; passed += 1) await bench.jump(1_000);
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
  await workers.stop();
});

it('a token rejected by the API during a later refresh is replaced by a newer one', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault: waiting } = await bench.open();
  const { vault: holder } = await bench.open();
  const { key } = await bench.connect(waiting, { provider: 'strict' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 3_000, when: 'after' } });
  const held = holder.getAccessToken(key);
  await until(() => bench.requests().length === 1, 'the request');
  const waited = waiting.getAccessToken(key);
  await settled(20);
  // The lease holder has finished, and the waiting process has not looked since.
  bench.clock.jump(2_950);
  await held;
  const { accessToken, generation } = await waiting.getAccessToken(key, { minValidity: 1 });
  bench.simulator.killAccessToken(accessToken);
  const next = await waiting.rejectAccessToken(key, generation);
  expect(next.generation).toBe(generation + 1);
  expect(next.accessToken).not.toBe(accessToken);
  await waited;
});

async function connectMany(bench: Bench, vault: Vault, provider: string, count: number): Promise<GrantKey[]> {
  const keys: GrantKey[] = [];
  for (let each = 0; each < count; each += 1) {
    keys.push((await bench.connect(vault, { tenant: `t${each}`, provider })).key);
  }
  return keys;
}
