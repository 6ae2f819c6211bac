import { limits } from '../../base/limits.ts';
import {
  cutAttemptTimes,
  cutGrantTimes,
  isAhead,
  type LongestTimes,
  listAhead,
} from '../../storage/statements/clocks.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { leaseKindOf } from './lease-kind.ts';
import { overlapMsOf } from './overlap.ts';

/**
 * Cuts the times of a grant that lie further ahead than any that is ever set. The database's clock was ahead when it
 * wrote them, and was set back since. Without this, a lease or a back-off would last for as long as the step.
 *
 * A lease is not ended at once. Its time no longer tells when it was taken, so its holder may have a request under way.
 * It ends after its longest time from now, and a holder of it gives up earlier by its monotonic clock.
 *
 * @returns true if the row was changed and must be read again
 */
export async function cutTimes(context: VaultContext, row: GrantRow): Promise<boolean> {
  const { times, world, store } = context;
  const isTimed = row.lease_until !== null || row.overlap_until !== null || row.retry_at !== null;
  if (!isTimed && row.changed_at <= world.now() + times.marginMs) return false;
  const longest = await longestTimes(context, row);
  if (!isAhead(row, longest, await store.nowMs())) return false;
  return cut(context, row, longest);
}

/** Cuts the times of all grants that such a clock has changed or claimed, so that workers see them. */
export async function cutAllTimes(context: VaultContext): Promise<void> {
  const { marginMs } = context.times;
  const found = await listAhead(context.store.db, { marginMs, limit: limits.clockRowsMax });
  if (found.length === 0) return;
  for (const row of found) await cut(context, row, await longestTimes(context, row));
  await changing(context, ({ tx }) => cutAttemptTimes(tx, marginMs));
}

async function cut(
  context: VaultContext,
  row: Pick<GrantRow, 'client_id' | 'id'>,
  longest: LongestTimes,
): Promise<boolean> {
  const grant = { tenant: row.client_id, grantId: row.id };
  const isCut = await changing(context, ({ tx }) => cutGrantTimes(tx, grant, longest));
  if (isCut) context.logger.warn('the database clock was ahead: times of a grant were cut', { grant: row.id });
  return isCut;
}

async function longestTimes(context: VaultContext, { provider }: Pick<GrantRow, 'provider'>): Promise<LongestTimes> {
  const { times } = context;
  const definition = await context.providers.get(provider);
  const isRenewed = definition !== null && leaseKindOf(context, definition) === 'renewed';
  return {
    leaseMs: isRenewed ? times.renewedLeaseMs : times.strictLeaseMs,
    overlapMs: (definition === null ? null : overlapMsOf(context, definition)) ?? 0,
    retryMs: limits.tokenWindowSecondsMax * 1_000,
    marginMs: times.marginMs,
  };
}
