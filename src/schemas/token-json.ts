import type { AccessToken, TokenJson } from './token.ts';

/** Writes a token in the form of its schema. Every hand-out runs through it, so it is plain code. */
export function tokenToJson(token: AccessToken, nowMs: number): TokenJson {
  return {
    access_token: token.accessToken,
    token_type: token.tokenType,
    expires_at: token.expiresAt.toISOString(),
    expires_in: secondsUntil(token.expiresAt.getTime(), nowMs),
    scope: token.scopes.join(' '),
    api_domain: token.apiDomain ?? null,
    generation: token.generation,
    ...(token.dc === undefined ? {} : { dc: token.dc }),
  };
}

/** Whole seconds until a time, never negative. */
export function secondsUntil(timeMs: number, nowMs: number): number {
  return Math.max(0, Math.floor((timeMs - nowMs) / 1_000));
}
