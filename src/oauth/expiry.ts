import { limits } from '../base/limits.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import type { JsonObject } from './json.ts';

/**
 * Returns the expiry of an answer's access token in milliseconds since 1970; never later than the provider means.
 *
 * The lifetime counts from before the request, because the provider counts from a moment after it. The definition's
 * lifetime replaces a missing or unreadable one. A negative lifetime counts as 0, and one above
 * `limits.accessTokenLifetimeMsMax` is cut.
 */
export function expiryOf(definition: ProviderDefinition, members: JsonObject, requestedAt: number): number {
  const ms = lifetimeMs(definition, members);
  return Math.floor(requestedAt + Math.min(Math.max(ms, 0), limits.accessTokenLifetimeMsMax));
}

function lifetimeMs(definition: ProviderDefinition, members: JsonObject): number {
  const { lifetimeSeconds, expiresInUnit } = definition.accessToken;
  const given = numberOf(members.get('expires_in'));
  const seconds = numberOf(members.get('expires_in_sec'));
  // Zoho's older answers carry seconds in `expires_in_sec`, and milliseconds under the usual name.
  if (seconds !== null) return Math.min(seconds * 1000, given ?? Infinity);
  if (given === null) return lifetimeSeconds * 1000;
  // A value of 1000 times the nominal lifetime is in milliseconds, in spite of the unit in the definition.
  if (expiresInUnit === 'ms' || given === lifetimeSeconds * 1000) return given;
  return given * 1000;
}

/** Parses a number, also one written as text. */
function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'string' || !/^\s*-?\d{1,15}(\.\d{1,9})?\s*$/.test(value)) return null;
  return Number(value);
}
