/** A provider that was down is used again as soon as it is well, and not all at once. */
import { expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { FaultEffect } from '../../simulator/index.ts';

type Opened = Awaited<ReturnType<Bench['open']>>;

const outages: readonly [string, FaultEffect | null][] = [
  ['unreachable', null],
  ['answering 503', { kind: 'status', status: 503, when: 'before' }],
];
const classes = ['none', 'timed_overlap', 'retire_on_use', 'strict', 'strict_revokes_family'];

it.each(classes.flatMap((id) => outages.map(([outage, effect]) => ({ id, outage, effect }))))(
  '$id, $outage for minutes: a caller who asks again and again has the token within seconds',
  async ({ id, effect }) => {
    await using bench = await makeBench({ profiles: [id] });
    const opened = await bench.open();
    const { key } = await bench.connect(opened.vault, { provider: id });
    begin(bench, opened, effect);
    for (let passed = 0; passed < 200; passed += 4) {
      await ask(opened, key);
      await bench.jump(4_000);
    }
    end(bench, opened);
    const wellAt = bench.clock.now();
    while (!(await ask(opened, key))) await bench.jump(1_000);
    expect(bench.clock.now() - wellAt).toBeLessThan(12_000);
    expect(bench.requests().length).toBeLessThan(100);
  },
);

it.each(databaseKinds)('the grants of a provider follow the first one that it serves, on %s', async (kind) => {
  await using bench = await makeBench({ kind, profiles: ['none'] });
  const opened = await bench.open();
  const keys: GrantKey[] = [];
  for (let each = 0; each < 12; each += 1) {
    keys.push((await bench.connect(opened.vault, { provider: 'none', tenant: `t${each}` })).key);
  }
  begin(bench, opened, null);
  for (let passed = 0; passed < 150; passed += 10) {
    await Promise.all(keys.map((key) => ask(opened, key)));
    await bench.jump(10_000);
  }
  end(bench, opened);
  const wellAt = bench.clock.now();
  const served = new Set<GrantKey>();
  while (served.size < keys.length) {
    for (const key of keys) if (!served.has(key) && (await ask(opened, key))) served.add(key);
    await bench.jump(500);
  }
  expect(bench.clock.now() - wellAt).toBeLessThan(20_000);
});

it('a grant that fails while its provider serves others keeps its own back-off', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const opened = await bench.open();
  const { key: sick } = await bench.connect(opened.vault, { provider: 'none', tenant: 'sick' });
  let tried = 0;
  for (let minutes = 0; minutes < 5; minutes += 1) {
    for (let tries = 0; tries < 12; tries += 1) {
      bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'status', status: 500, when: 'before' } });
      const before = bench.requests().length;
      await ask(opened, sick);
      tried += bench.requests().length - before;
      bench.simulator.faults.clear();
      const well = await bench.connect(opened.vault, { provider: 'none', tenant: `t${minutes}-${tries}` });
      expect(await ask(opened, well.key)).toBe(true);
      await bench.jump(5_000);
    }
  }
  expect(tried).toBeLessThan(15);
});

it('probes leave room in the limit of a provider', async () => {
  await using bench = await makeBench({
    profiles: ['none'],
    change: (each) => ({ ...each, tokenLimit: { requests: 10, windowSeconds: 600 } }),
  });
  const opened = await bench.open();
  const { key } = await bench.connect(opened.vault, { provider: 'none' });
  begin(bench, opened, { kind: 'status', status: 503, when: 'before' });
  for (let passed = 0; passed < 100; passed += 2) {
    await ask(opened, key);
    await bench.jump(2_000);
  }
  expect(bench.requests().length).toBeLessThan(10);
  end(bench, opened);
  const wellAt = bench.clock.now();
  while (!(await ask(opened, key))) await bench.jump(1_000);
  expect(bench.clock.now() - wellAt).toBeLessThan(81_000);
});

it('a caller who comes back at the time that the error names is served as soon as the provider is well', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const opened = await bench.open();
  const { key } = await bench.connect(opened.vault, { provider: 'none' });
  begin(bench, opened, null);
  let waitMs = 0;
  for (let tries = 0; tries < 10; tries += 1) {
    waitMs = await opened.vault.getAccessToken(key).then(
      () => 0,
      (error: { retryAfterMs?: number }) => error.retryAfterMs ?? 0,
    );
    expect(waitMs).toBeLessThanOrEqual(11_000);
    await bench.jump(waitMs + 1);
  }
  end(bench, opened);
  expect(await ask(opened, key)).toBe(true);
});

function begin(bench: Bench, { world }: Opened, effect: FaultEffect | null): void {
  if (effect === null) world.offline = true;
  else bench.simulator.faults.add({ endpoint: 'token', forMs: 86_400_000, effect });
}

function end(bench: Bench, { world }: Opened): void {
  world.offline = false;
  bench.simulator.faults.clear();
}

/** Returns true if the caller got a token. */
function ask({ vault }: Opened, key: GrantKey): Promise<boolean> {
  return vault.getAccessToken(key).then(
    () => true,
    () => false,
  );
}
