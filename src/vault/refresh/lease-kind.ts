import type { ProviderDefinition } from '../../providers/definition.ts';
import type { WaivedLease } from '../../storage/statements/leases.ts';
import type { VaultContext } from '../context.ts';
import { isKnownDead } from '../spool/owner.ts';

/** `renewed`: short, and renewed while the call is under way. `strict`: outlives the deadline, and is never renewed. */
export type LeaseKind = 'renewed' | 'strict';

/**
 * Chooses the kind of lease. If a replay is harmless or is needed quickly, a dead holder is replaced within seconds. If
 * a second request could end the grant, none may be sent while the first may be under way. Unknown rotation is
 * `strict`.
 */
export function leaseKindOf(context: VaultContext, definition: ProviderDefinition): LeaseKind {
  const { rotation, overlapSeconds } = definition.refreshToken;
  if (rotation === 'none' || rotation === 'retire_on_use') return 'renewed';
  const overlapMs = overlapSeconds * 1_000 * (context.world.timeScale ?? 1);
  return rotation === 'timed_overlap' && overlapMs >= context.times.quickOverlapMinMs ? 'renewed' : 'strict';
}

/**
 * Returns the part of a lease that need not be waited for because its owner is known to be dead. Undefined if none.
 *
 * If tokens do not rotate, the whole lease is waived. Otherwise the provider may still be processing the dead holder's
 * last request, and a later answer may retire an earlier one. So half of the lease must pass. A living holder renews
 * each quarter, so by then the holder has been dead for a quarter. A strict lease is never waived.
 */
export function waivedLease(
  context: VaultContext,
  definition: ProviderDefinition,
  owner: string | null,
): WaivedLease | undefined {
  if (owner === null || leaseKindOf(context, definition) === 'strict' || !isKnownDead(owner)) return undefined;
  const { renewedLeaseMs } = context.times;
  return { owner, ms: definition.refreshToken.rotation === 'none' ? renewedLeaseMs : renewedLeaseMs / 2 };
}
