import { limits } from '../base/limits.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import type { JsonObject } from './json.ts';

/**
 * Returns the expiry of an answer's access token in milliseconds since 1970; never later than the provider means.
 *
 * The lifetime counts from before the request, because the provider counts from a moment after it. The definition's
 * lifetime replaces one that is missing or no positive number: providers send 0 or -1 for "unknown" or "never". One
 * above `limits.accessTokenLifetimeMsMax` is cut.
 */
export function expiryOf(definition: ProviderDefinition, members: JsonObject, requestedAt: number): number {
  const ms = lifetimeMs(definition, members);
  return Math.floor(requestedAt + Math.min(ms, limits.accessTokenLifetimeMsMax));
}

function lifetimeMs(definition: ProviderDefinition, members: JsonObject): number {
  const { lifetimeSeconds, expiresInUnit } = definition.accessToken;
  const given = positive(members.get('expires_in'));
  const seconds = positive(members.get('expires_in_sec'));
  // Zoho's older answers carry seconds in `expires_in_sec`, and milliseconds under the usual name.
  if (seconds !== null) return Math.min(seconds * 1000, given ?? Infinity);
  if (given === null) return lifetimeSeconds * 1000;
  // A value of 1000 times the nominal lifetime is in milliseconds, in spite of the unit in the definition.
  if (expiresInUnit === 'ms' || given === lifetimeSeconds * 1000) return given;
  return given * 1000;
}

/** True if an answer names the lifetime of its access token. */
export function hasLifetime(members: JsonObject | null): boolean {
  return positive(members?.get('expires_in')) !== null || positive(members?.get('expires_in_sec')) !== null;
}

/** Parses a positive number, also one written as text; null for any other value. */
function positive(value: unknown): number | null {
  const isNumber =
    typeof value === 'number' || (typeof value === 'string' && /^\s*\d{1,15}(\.\d{1,9})?\s*$/.test(value));
  const number = isNumber ? Number(value) : Number.NaN;
  return number > 0 && Number.isFinite(number) ? number : null;
}
