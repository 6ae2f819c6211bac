/** Pauses that a provider asks for: what they cost a grant inside its overlap, and what they tell other grants. */
import { describe, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { FaultEffect } from '../../simulator/index.ts';
import type { Vault } from '../types.ts';

const lost: FaultEffect = { kind: 'reset', when: 'before' };
const asking = (seconds: number, status = 503): FaultEffect => ({
  kind: 'status',
  status,
  when: 'before',
  headers: { 'retry-after': String(seconds) },
});

describe('where a spent token stays good for 60 s, a grant', () => {
  it('whose provider asks for 50 s is tried again after half of the overlap', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const met = await connected(bench, 'timed_overlap');
    const pauseMs = await pauseAfter(met, asking(50));
    expect(pauseMs).toBeGreaterThan(15_000);
    expect(pauseMs).toBeLessThanOrEqual(30_000);
  });

  it('is tried again after half of what an earlier request has left of the overlap', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const met = await connected(bench, 'timed_overlap');
    await pauseAfter(met, lost);
    await bench.jump(40_000);
    expect(await pauseAfter(met, asking(50))).toBeLessThanOrEqual(10_000);
  });

  it('waits as long as the provider asks once the overlap is over', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const met = await connected(bench, 'timed_overlap');
    await pauseAfter(met, lost);
    await bench.jump(70_000);
    expect(await pauseAfter(met, asking(50))).toBeGreaterThan(40_000);
  });

  it('never waits longer than half of an overlap: the last request may be the first one that arrived', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const met = await connected(bench, 'timed_overlap');
    for (let failures = 0; failures < 7; failures += 1) {
      expect(await pauseAfter(met, lost)).toBeLessThanOrEqual(30_000);
      await bench.jump(100_000);
    }
  });
});

describe('a grant in back-off probes its provider', () => {
  it('after the pause that another grant was asked for, and not before', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const [waiting, other] = await twoGrants(bench, 'none');
    await fail(waiting, 5);
    await pauseAfter(other, asking(8));
    expect(await sentAfter(waiting, 6_000)).toBe(0);
    expect(await sentAfter(waiting, 3_000)).toBe(1);
  });

  it('while another grant has a pause of its own, because its token is throttled', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const [waiting, other] = await twoGrants(bench, 'none');
    await fail(waiting, 4);
    await bench.jump(20_000);
    await pauseAfter(other, asking(80, 429));
    await pauseAfter(waiting, lost);
    expect(await sentAfter(waiting, 11_000)).toBe(1);
  });

  it('while another grant may not obey the pause, because its overlap ends sooner', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const [waiting, other] = await twoGrants(bench, 'timed_overlap');
    await fail(waiting, 5);
    await pauseAfter(other, asking(50));
    expect(await sentAfter(waiting, 6_000)).toBe(1);
  });

  it('within 80 s, however long a pause the provider asked for', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const [waiting, other] = await twoGrants(bench, 'none');
    await pauseAfter(other, asking(3_600));
    await fail(waiting, 5);
    expect(await sentAfter(waiting, 6_000)).toBe(1);
  });
});

interface Met {
  readonly bench: Bench;
  readonly vault: Vault;
  readonly key: GrantKey;
}

async function connected(bench: Bench, provider: string): Promise<Met> {
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider });
  return { bench, vault, key };
}

async function twoGrants(bench: Bench, provider: string): Promise<[Met, Met]> {
  const met = await connected(bench, provider);
  const { key } = await bench.connect(met.vault, { provider, tenant: 'globex' });
  return [met, { ...met, key }];
}

/** Has the next request of a grant meet an effect. Returns the time until the grant is tried again. */
async function pauseAfter({ bench, vault, key }: Met, effect: FaultEffect): Promise<number> {
  const before = bench.requests().length;
  bench.simulator.faults.add({ endpoint: 'token', effect });
  await vault.getAccessToken(key).catch(() => {});
  expect(bench.requests()).toHaveLength(before + 1);
  return ((await bench.row(key)).retry_at ?? 0) - bench.clock.now();
}

/** Lets requests of a grant fail. The fifth one in a row begins a back-off of at least 24 s; the circuit breaker closes before. */
async function fail(met: Met, times: number): Promise<void> {
  for (let failures = 0; failures < times; failures += 1) {
    await met.bench.jump(70_000);
    await pauseAfter(met, lost);
  }
  await met.bench.jump(5_100);
}

/** Counts the requests that a caller brings about when it asks after some time. */
async function sentAfter({ bench, vault, key }: Met, ms: number): Promise<number> {
  const before = bench.requests().length;
  await bench.jump(ms);
  await vault.getAccessToken(key).catch(() => {});
  return bench.requests().length - before;
}
