import { randomFraction } from '../../base/world.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { VaultContext } from '../context.ts';
import { earlyMs, validityRules } from './validity.ts';

/**
 * Returns the time at which a worker refreshes a grant whose tokens were just saved. It lies before the early-refresh
 * mark, spread at random over as much time again, so that grants with equal expiries are not due together.
 */
export async function dueAt(
  context: VaultContext,
  provider: string,
  expiresAtMs: number | null,
): Promise<number | null> {
  const definition = await context.providers.get(provider);
  return definition === null ? null : dueAtOf(context, definition, expiresAtMs);
}

/** {@link dueAt} for a loaded definition. */
export function dueAtOf(
  context: VaultContext,
  definition: ProviderDefinition,
  expiresAtMs: number | null,
): number | null {
  const now = context.world.now();
  if (expiresAtMs === null) return idleDueAt(context, definition, now);
  const early = earlyMs(Math.max(1, expiresAtMs - now), validityRules(definition, context.times));
  return Math.round(expiresAtMs - early * (1 + randomFraction(context.world)));
}

/**
 * Returns the time at which an unused grant must be refreshed because its refresh token expires when idle. It lies at
 * half of the idle time, spread over a tenth of it. Null if the token does not expire.
 */
export function idleDueAt(context: VaultContext, definition: ProviderDefinition, sinceMs: number): number | null {
  const { idleSeconds } = definition.refreshToken;
  if (idleSeconds === null) return null;
  const idleMs = idleSeconds * 1_000;
  return Math.round(sinceMs + idleMs * (0.5 - 0.1 * randomFraction(context.world)));
}
