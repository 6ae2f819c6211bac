import type { Times } from '../../base/limits.ts';
import { limits } from '../../base/limits.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';

/** A provider's rules for replacing an access token before its end. */
export interface ValidityRules {
  readonly earlyRefreshMs: number;
  /** A token obtained this recently satisfies every minimum validity. */
  readonly justRefreshedMs: number;
}

/**
 * Returns when a row's access token ends, as far as the row can be believed; 0 if it has ended or its end is unknown.
 *
 * A token that was obtained in the future comes from a clock that was ahead, so its end is unknown. It counts as ended if
 * a refresh can replace it. No token that a provider gave to us lives longer than the longest life.
 */
export function believedEndMs(
  row: Pick<GrantRow, 'token_expiry' | 'obtained_at' | 'refresh_token'>,
  nowMs: number,
  marginMs: number,
): number {
  if (row.token_expiry === null) return 0;
  const endMs = Date.parse(row.token_expiry);
  if (row.obtained_at === null) return endMs;
  if (row.obtained_at > nowMs + marginMs && row.refresh_token !== null) return 0;
  return Math.min(endMs, nowMs + limits.accessTokenLifetimeMsMax);
}

/**
 * Returns the rules of a provider.
 *
 * If the provider limits token requests, "just refreshed" lasts long enough that the most demanding callers use at most
 * half of the limit. The other half is left for tokens that the API rejects.
 */
export function validityRules(definition: ProviderDefinition, times: Times): ValidityRules {
  const limit = definition.tokenLimit;
  const shareMs = limit === undefined ? 0 : (2 * limit.windowSeconds * 1_000) / limit.requests;
  return {
    earlyRefreshMs: definition.accessToken.earlyRefreshSeconds * 1_000,
    justRefreshedMs: Math.max(times.justRefreshedMs, shareMs),
  };
}

/**
 * Returns the minimum validity that is enforced for a token of this lifetime. A token that was just refreshed meets any
 * demand, so no caller can use up a provider's budget.
 */
export function requiredMs(minValidityMs: number, lifetimeMs: number, rules: ValidityRules): number {
  return Math.min(minValidityMs, Math.max(lifetimeMs - rules.justRefreshedMs, lifetimeMs / 2));
}

/** The time before a token's end at which it is refreshed in the background; at most a third of its lifetime. */
export function earlyMs(lifetimeMs: number, rules: ValidityRules): number {
  return Math.min(rules.earlyRefreshMs, lifetimeMs / 3);
}
