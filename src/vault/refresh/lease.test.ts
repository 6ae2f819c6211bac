/** A holder watches its own lease: what it has lost it does not use, even if the database says otherwise later. */
import { expect, it } from 'vitest';
import { type Bench, makeBench, until } from '../../../test/support/bench.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import type { Lease } from '../../storage/statements/leases.ts';
import { internalsOf } from '../internals.ts';
import { type HeldLease, holdLease } from './lease.ts';

it('is renewed while it is held, each second for another four', async () => {
  await using bench = await makeBench();
  const { context, lease, leaseEnd } = await claimed(bench);
  const held = holdLease(context, lease, 'renewed', context.world.monotonic());
  const first = await leaseEnd();
  for (let seconds = 0; seconds < 6; seconds += 1) {
    const before = await leaseEnd();
    bench.clock.jump(1_000);
    await until(async () => (await leaseEnd()) > before, 'the renewal');
  }
  expect((await leaseEnd()) - first).toBeGreaterThanOrEqual(5_000);
  held.assertTimeLeft();
  expect(held.lapsed).toBe(false);
  held.release();
  const last = await leaseEnd();
  bench.clock.jump(2_000);
  await bench.jump(0);
  expect(await leaseEnd()).toBe(last);
});

it('is lost for good when a renewal finds that another process has it, and is then not asked for again', async () => {
  await using bench = await makeBench();
  const { context, lease } = await claimed(bench);
  const { store, world } = context;
  const startedAt = world.monotonic();
  // Its clock stands still, so only the database's word ends it.
  world.monotonic = () => startedAt;
  const transaction = store.transaction.bind(store);
  let asked = 0;
  store.transaction = (run, options) => {
    asked += 1;
    return transaction(run, options);
  };
  const held = holdLease(context, { ...lease, owner: 'another' }, 'renewed', startedAt);
  held.assertTimeLeft();
  await bench.jump(1_000);
  await until(() => asked === 1, 'the renewal');
  await bench.jump(0);
  expect(isLost(held)).toBe(true);
  expect(held.lapsed).toBe(true);
  for (let seconds = 0; seconds < 2; seconds += 1) await bench.jump(1_000);
  expect(asked).toBe(1);
});

it('is never renewed if it is strict', async () => {
  await using bench = await makeBench();
  const { context, lease, leaseEnd } = await claimed(bench);
  const before = await leaseEnd();
  const held = holdLease(context, lease, 'strict', context.world.monotonic());
  for (let seconds = 0; seconds < 2; seconds += 1) await bench.jump(1_000);
  expect(await leaseEnd()).toBe(before);
  held.release();
});

it('is lost when it was not renewed for its length, or when a strict one leaves no time for an answer', async () => {
  await using bench = await makeBench();
  const { context, lease } = await claimed(bench);
  const since = (kind: 'renewed' | 'strict', agoMs: number): boolean => {
    const held = holdLease(context, lease, kind, context.world.monotonic() - agoMs);
    const lost = isLost(held);
    held.release();
    return lost;
  };
  expect([2_000, 3_500, 4_001].map((ms) => since('renewed', ms))).toEqual([false, false, true]);
  // 120 s, less 90 s for the answer and 10 s of margin.
  expect([2_000, 19_000, 20_001].map((ms) => since('strict', ms))).toEqual([false, false, true]);
});

function isLost(held: HeldLease): boolean {
  try {
    held.assertTimeLeft();
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(NotSentError);
    return true;
  }
}

async function claimed(bench: Bench) {
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  const context = internalsOf(vault).open();
  const { id: grantId, client_id: tenant, generation } = await bench.row(key);
  const lease: Lease = { tenant, grantId, generation, owner: 'us', fence: 7 };
  await bench.judge.db
    .updateTable('oauth_tokens')
    .set({ lease_owner: 'us', lease_fence: 7, lease_until: (await context.store.nowMs()) + 4_000 })
    .where('id', '=', grantId)
    .execute();
  const leaseEnd = async (): Promise<number> => (await bench.row(key)).lease_until ?? 0;
  return { context, lease, leaseEnd };
}
