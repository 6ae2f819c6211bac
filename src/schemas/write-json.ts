/** The JSON forms that are more than `toJson` of a thing. This file loads no schema. */
import type { App } from './app.ts';
import type { ImportResult } from './import-line.ts';
import { toJson, writeKey } from './json.ts';
import type { AccessToken, TokenJson } from './token.ts';

/** Writes an app in the form of its schema. A server names the redirect URI of an app that has none of its own. */
export function appToJson({ callbackId: _callbackId, ...app }: App, redirectUri: string | null = app.redirectUri) {
  return { ...toJson(app), redirect_uri: redirectUri };
}

/** Writes the result of one line of an import. */
export function importResultToJson({ sharedWith, ...result }: ImportResult): object {
  return { ...toJson(result), ...(sharedWith === undefined ? {} : { shared_with: sharedWith.map(writeKey) }) };
}

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
