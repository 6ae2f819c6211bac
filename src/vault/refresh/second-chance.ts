import type { ProviderDefinition } from '../../providers/definition.ts';
import type { GrantVerdict } from '../../storage/statements/leases.ts';
import type { VaultContext } from '../context.ts';

/** The times of later second chances, in multiples of the first one's. */
const laterChances = [6, 144] as const;

/**
 * Returns the time until a worker tries a condemned grant again: after 10 minutes, an hour and a day, since refusals
 * end with the provider's incident. Null if no chance is left, or if a replay revokes the whole family.
 */
export function nextChanceInMs(
  context: VaultContext,
  definition: ProviderDefinition,
  condemnedForMs: number,
): number | null {
  if (!hasSecondChances(definition)) return null;
  const first = context.times.secondChanceMs;
  const next = [1, ...laterChances].map((times) => first * times).find((chanceMs) => chanceMs > condemnedForMs);
  return next === undefined ? null : next - condemnedForMs;
}

/** True if trying a refused token again can do no harm. */
export function hasSecondChances(definition: ProviderDefinition): boolean {
  return definition.refreshToken.reuse !== 'revokes_family' && definition.refreshToken.replayAfterLoss;
}

/** The verdict that condemns a grant, with the time of its second chance. */
export function condemnedVerdict(
  context: VaultContext,
  definition: ProviderDefinition,
  verdict: { reason: string | null; condemnedForMs: number },
): Omit<GrantVerdict, 'at'> & { readonly state: 'reauthorization_required' } {
  const chanceInMs = nextChanceInMs(context, definition, verdict.condemnedForMs);
  const shredInMs = Math.max(0, context.condemnedKeptMs - verdict.condemnedForMs);
  return {
    state: 'reauthorization_required',
    reason: verdict.reason,
    retryInMs: null,
    condemned: true,
    dueInMs: chanceInMs ?? shredInMs,
  };
}
