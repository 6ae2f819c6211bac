import { codeOf } from '../../base/errors.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import { type Lease, renewLease } from '../../storage/statements/leases.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import type { LeaseKind } from './lease-kind.ts';

/** A lease that its holder watches by a monotonic clock. */
export interface HeldLease {
  /** True if the lease ended, or this process began to close, before anything was sent. */
  readonly lapsed: boolean;
  /** @throws {NotSentError} if another process may send a request now or soon, or this process is closing */
  assertTimeLeft(): void;
  /** Stops renewing. */
  release(): void;
}

/**
 * Watches a lease that was claimed at `claimedAt` (by `World.monotonic`), and renews it if its kind is `renewed`.
 *
 * Renewal tells other processes that the holder lives: a killed holder stops renewing and is replaced within seconds.
 * If a renewal fails after the request is out, the refresh goes on. Its answer is then fenced and parked.
 */
export function holdLease(context: VaultContext, lease: Lease, kind: LeaseKind, claimedAt: number): HeldLease {
  const { world, times } = context;
  const stop = new AbortController();
  let heldSince = claimedAt;
  let lost = false;
  let lapsed = false;

  async function renew(): Promise<void> {
    while (!stop.signal.aborted) {
      await world.sleep(times.leaseRenewalMs, stop.signal);
      // Count from before the statement: the database sets the lease's end before its reply arrives.
      const askedAt = world.monotonic();
      try {
        if (await changing(context, ({ tx }) => renewLease(tx, lease, times.renewedLeaseMs))) heldSince = askedAt;
        else lost = true;
      } catch (error) {
        context.logger.warn('a lease could not be renewed', { grant: lease.grantId, code: codeOf(error) });
      }
      if (lost) return;
    }
  }

  if (kind === 'renewed') {
    renew().catch(() => {
      // Only the last sleep rejects, when the lease is released.
    });
  }
  return {
    get lapsed() {
      return lapsed;
    },
    assertTimeLeft: () => {
      const passedMs = world.monotonic() - heldSince;
      const leftMs =
        kind === 'renewed'
          ? times.renewedLeaseMs - passedMs
          : times.strictLeaseMs - times.answerDeadlineMs - times.marginMs - passedMs;
      // A process that is closing sends nothing more. It releases the lease, so that others need not wait for its end.
      if (!lost && leftMs > 0 && !context.closing()) return;
      lapsed = true;
      throw new NotSentError('the lease ran out before the request was sent');
    },
    release: () => stop.abort(new Error('the lease was released')),
  };
}
