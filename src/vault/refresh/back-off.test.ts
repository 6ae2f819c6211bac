import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { internalsOf } from '../internals.ts';

it('doubles the pause with each failure of a generation, up to 64 s, and begins anew after a success', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'none' });
  const outage = { kind: 'status', status: 500, when: 'before' } as const;
  const pauses: number[] = [];
  const fail = async (): Promise<void> => {
    bench.simulator.faults.add({ endpoint: 'token', effect: outage });
    await expect(vault.getAccessToken(key)).rejects.toThrow();
    // The caller is told less: while it waits, its call may probe the provider.
    const { retry_at: retryAt } = await bench.row(key);
    pauses.push((retryAt ?? 0) - (await internalsOf(vault).open().store.nowMs()));
    // Past the pause, and past that of the circuit breaker.
    await bench.jump(200_000);
  };
  for (let failures = 0; failures < 7; failures += 1) await fail();
  const seconds = [2, 4, 8, 16, 32, 64, 64];
  for (const [index, pauseMs] of pauses.entries()) {
    const expected = (seconds[index] ?? 0) * 1_000;
    // The clock goes on between the failure and the look at its row.
    expect(pauseMs).toBeGreaterThanOrEqual(expected * 0.75 - 500);
    expect(pauseMs).toBeLessThanOrEqual(expected * 1.25);
  }
  await vault.getAccessToken(key);
  await bench.jump(3_600_000);
  await fail();
  expect(pauses.at(-1)).toBeLessThanOrEqual(2_500);
});
