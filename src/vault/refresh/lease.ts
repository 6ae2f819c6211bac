import { codeOf } from '../../base/errors.ts';
import { NotSentError } from '../../base/outbound-errors.ts';
import { type Lease, renewLease } from '../../storage/statements/leases.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import type { LeaseKind } from './lease-kind.ts';

/** A lease as its holder watches it, by a clock that never jumps. */
export interface HeldLease {
  /** The lease ran out, its time did, or this process is closing: before anything was sent. */
  readonly lapsed: boolean;
  /** @throws {NotSentError} when somebody else may be calling by now or soon, or this process is closing */
  assertTimeLeft(): void;
  /** Stops renewing. */
  release(): void;
}

/**
 * Watches over a lease that was claimed at `claimedAt` (by `World.monotonic`), and renews it where its kind is renewed.
 *
 * Renewal tells others "the holder lives": a killed holder stops renewing and is replaced within seconds. A lease that
 * could not be renewed is not given up once the request is out; the answer is then fenced and parked.
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
      // Counted from before the statement: the database may have written the end earlier than we learn of it.
      const askedAt = world.monotonic();
      try {
        if (await changing(context, ({ tx }) => renewLease(tx, lease, times.renewedLeaseMs))) heldSince = askedAt;
        else lost = true;
      } catch (error) {
        context.logger.warn('a lease could not be renewed', {
          grant: lease.grantId,
          code: codeOf(error),
        });
      }
      if (lost) return;
    }
  }

  if (kind === 'renewed') {
    renew().catch(() => {
      // The only rejection is the end of the last sleep, when the lease is released.
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
      // Whoever is about to end sends nothing more, and gives the lease back instead of letting others wait for its end.
      if (!lost && leftMs > 0 && !context.closing()) return;
      lapsed = true;
      throw new NotSentError('the lease ran out before the request was sent');
    },
    release: () => stop.abort(new Error('the lease was released')),
  };
}
