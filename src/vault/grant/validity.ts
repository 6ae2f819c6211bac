import type { Times } from '../../base/limits.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';

/** What decides how long before its end a provider's token is replaced. */
export interface ValidityRules {
  readonly earlyRefreshMs: number;
  /** A token obtained this recently satisfies every minimum validity. */
  readonly justRefreshedMs: number;
}

/**
 * The rules of a provider.
 *
 * Where the provider limits token requests, "just refreshed" lasts long enough that callers with the highest demands use
 * up half of the limit at most: the other half is left for tokens that the API rejects.
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
 * The minimum validity that is really asked of a token with this lifetime. One that no token could have for long is met by
 * a token that was just refreshed: no caller's wish can use up a provider's budget.
 */
export function requiredMs(minValidityMs: number, lifetimeMs: number, rules: ValidityRules): number {
  return Math.min(minValidityMs, Math.max(lifetimeMs - rules.justRefreshedMs, lifetimeMs / 2));
}

/** How long before its end a token is refreshed behind the caller's back; never more than a third of its life. */
export function earlyMs(lifetimeMs: number, rules: ValidityRules): number {
  return Math.min(rules.earlyRefreshMs, lifetimeMs / 3);
}
