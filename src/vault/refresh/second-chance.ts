import type { ProviderDefinition } from '../../providers/definition.ts';
import type { GrantVerdict } from '../../storage/statements/leases.ts';
import type { VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';

/** The times of later second chances, in multiples of the first one's. */
const laterChances = [6, 144] as const;

/**
 * Returns the time until a worker tries a condemned grant again: after 10 minutes, an hour and a day, since refusals
 * end with the provider's incident. Null if no chance is left, or if the definition forbids a replay.
 */
export function nextChanceInMs(
  context: VaultContext,
  definition: ProviderDefinition,
  { reason, condemnedForMs }: { reason: string | null; condemnedForMs: number },
): number | null {
  if (!hasSecondChances(definition, reason)) return null;
  const first = context.times.secondChanceMs;
  const next = [1, ...laterChances].map((times) => first * times).find((chanceMs) => chanceMs > condemnedForMs);
  return next === undefined ? null : next - condemnedForMs;
}

/**
 * True if trying a refused token again can do no harm. A token that was refused twice is harmless also where a replay
 * revokes the family: if it was spent, its refusals were replays and have revoked the family. Only a definition that
 * forbids a replay condemns a token after a lost answer without sending it again, so there nothing may be sent later.
 */
export function hasSecondChances(definition: ProviderDefinition, reason: string | null): boolean {
  return definition.refreshToken.replayAfterLoss || reason !== reasons.lostRotation;
}

/** The verdict that condemns a grant, with the time of its second chance. */
export function condemnedVerdict(
  context: VaultContext,
  definition: ProviderDefinition,
  verdict: { reason: string | null; condemnedForMs: number },
): Omit<GrantVerdict, 'at'> & { readonly state: 'reauthorization_required' } {
  const chanceInMs = nextChanceInMs(context, definition, verdict);
  const shredInMs = Math.max(0, context.condemnedKeptMs - verdict.condemnedForMs);
  return {
    state: 'reauthorization_required',
    reason: verdict.reason,
    retryInMs: null,
    condemned: true,
    dueInMs: chanceInMs ?? shredInMs,
  };
}
