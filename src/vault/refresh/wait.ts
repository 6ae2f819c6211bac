import { randomFraction } from '../../base/world.ts';
import { type GrantRow, peekGrant } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { stopping } from '../grant/refusals.ts';
import { isKnownDead, isSeen } from '../spool/owner.ts';
import { leaseKindOf, waivedLease } from './lease-kind.ts';
import { type LeaseWait, stillUncertain } from './lease-wait.ts';

/** Polls per doubling of the time waited. A waiter notices a change late by at most about 1/16 of that time. */
const pollsPerDoubling = 16;

/**
 * Waits until another process's refresh has changed a grant's row, or its lease has ended or is waived.
 *
 * One poller per grant and process polls often at first, then less and less often. Callers of a provider that answers
 * in 100 ms wait a few ms more, and a provider that hangs costs the database little.
 *
 * @throws {GrantryError} `refresh_uncertain` at `giveUpAt` (by `World.monotonic`), and sooner if the wait is in vain
 */
export async function waitForChange(
  context: VaultContext,
  seen: GrantRow,
  giveUpAt: number,
  wait: LeaseWait = {},
): Promise<void> {
  const { world, times, store } = context;
  const startedAt = world.monotonic();
  const definition = await context.providers.require(seen.provider);
  let retryAfterMs: number = times.renewedLeaseMs;
  for (;;) {
    wait.retryAfterMs = retryAfterMs;
    const elapsedMs = world.monotonic() - startedAt;
    if (world.monotonic() >= giveUpAt) throw stillUncertain(retryAfterMs);
    const pauseMs = Math.min(times.waiterPollMaxMs, Math.max(times.waiterPollMinMs, elapsedMs / pollsPerDoubling));
    if (context.closing()) throw stopping(context);
    await world.sleep(pauseMs * (0.75 + randomFraction(world) / 2));
    const row = await peekGrant(store.db, seen.client_id, seen.id);
    if (row === undefined || row.generation !== seen.generation || row.state !== seen.state) return;
    if (row.retry_at !== seen.retry_at || row.lease_until === null) return;
    const waived = waivedLease(context, definition, row.lease_owner);
    if (row.lease_until < row.now + (waived?.ms ?? 0)) return;
    // A strict lease outlives its holder, so no try is possible before its end.
    const leftMs = row.lease_until - row.now;
    retryAfterMs = Math.max(times.renewedLeaseMs, leftMs);
    const outlastsCaller = leftMs > giveUpAt - world.monotonic();
    if (outlastsCaller && leaseKindOf(context, definition) === 'strict' && isInVain(context, row.lease_owner, leftMs))
      throw stillUncertain(retryAfterMs);
  }
}

/**
 * Tells whether the holder of a strict lease is unlikely to finish before the lease ends. A dead one never does. One that
 * this process cannot see may be dead: a living one usually has its answer after some seconds.
 */
function isInVain({ times }: VaultContext, owner: string | null, leftMs: number): boolean {
  if (owner === null || isKnownDead(owner)) return true;
  return !isSeen(owner) && times.strictLeaseMs - leftMs >= times.unseenHolderMs;
}
