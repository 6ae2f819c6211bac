import { codeOf } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { randomFraction } from '../../base/world.ts';
import { hasFailed } from '../../storage/statements/attempts.ts';
import { listWaiting, releaseWaiting } from '../../storage/statements/due.ts';
import { compartmentOf } from '../bulkhead.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { outageReasons } from '../grant/refusals.ts';
import { reasons } from '../reasons.ts';
import type { RefreshPlan } from './plan-type.ts';

/** Suspended verdicts wait for the same event: the provider serves a grant. */
const waitingReasons = [...outageReasons, reasons.verdictsSuspended];

const turnsMax = 10;

/**
 * Ends the back-offs of the other grants of a provider and data centre, after a grant was served that had met its failure.
 * They follow in random order, spread over seconds, so that the provider does not meet all of them at once.
 *
 * A failure here only leaves the back-offs as they are.
 */
export async function releaseOthers(context: VaultContext, plan: RefreshPlan): Promise<void> {
  const { world, times, store, bulkheads, logger } = context;
  const { provider } = plan.row;
  const place = compartmentOf(plan.row);
  if (!plan.prior.some(hasFailed) || !bulkheads.isRelease(place)) return;
  try {
    const search = { provider, reasons: waitingReasons, withinMs: times.workerHoldMs, limit: limits.releasedAtOnce };
    const waiting = (await listWaiting(store.db, search)).filter((row) => compartmentOf(row) === place);
    const spreadMs = Math.min(times.releaseSpreadMs, waiting.length * times.releaseGapMs);
    const turns = Map.groupBy(waiting, () => Math.floor(randomFraction(world) * turnsMax));
    // Each turn by itself: a process that claims one of these grants meanwhile waits for few others.
    for (const [turn, grants] of turns) {
      await changing(context, ({ tx }) => releaseWaiting(tx, grants, Math.floor((spreadMs * turn) / turnsMax)));
    }
  } catch (error) {
    logger.warn('grants that wait for a provider were not released', { provider, code: codeOf(error) });
  }
}
