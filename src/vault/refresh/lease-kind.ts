import type { ProviderDefinition } from '../../providers/definition.ts';
import type { WaivedLease } from '../../storage/statements/leases.ts';
import type { VaultContext } from '../context.ts';
import { isKnownDead } from '../spool/owner.ts';

/** `renewed`: short, renewed while the call lives. `strict`: outlives the deadline, never renewed. */
export type LeaseKind = 'renewed' | 'strict';

/**
 * Where a replay is harmless or needed quickly, a dead holder is replaced within seconds; where a second request could
 * kill the grant, nobody may send one while the first may still be under way. Unknown rotation is `strict`.
 */
export function leaseKindOf(context: VaultContext, definition: ProviderDefinition): LeaseKind {
  const { rotation, overlapSeconds } = definition.refreshToken;
  if (rotation === 'none' || rotation === 'retire_on_use') return 'renewed';
  const overlapMs = overlapSeconds * 1_000 * (context.world.timeScale ?? 1);
  return rotation === 'timed_overlap' && overlapMs >= context.times.quickOverlapMinMs ? 'renewed' : 'strict';
}

/**
 * How much of a lease need not be waited for, since its owner is known to be dead; undefined when nothing.
 *
 * Where tokens do not rotate, nothing is waited for. Elsewhere the last request of the dead may still be in the provider's
 * hands, and what is answered last may retire what was answered before: half of the lease has to pass. A living holder
 * renews each quarter, so it is dead for a quarter by then. Where a replay kills, a lease ends by its time alone.
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
