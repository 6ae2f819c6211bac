import { limits } from '../base/limits.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import type { JsonObject } from './json.ts';

/**
 * When the access token of an answer expires, in milliseconds since 1970; never later than the provider meant.
 *
 * Counted from before the request, since the provider counts from some moment after it. A missing or unreadable
 * lifetime is the definition's; a negative one is none; one beyond `limits.accessTokenLifetimeMsMax` is cut.
 */
export function expiryOf(definition: ProviderDefinition, members: JsonObject, requestedAt: number): number {
  const ms = lifetimeMs(definition, members);
  return Math.floor(requestedAt + Math.min(Math.max(ms, 0), limits.accessTokenLifetimeMsMax));
}

function lifetimeMs(definition: ProviderDefinition, members: JsonObject): number {
  const { lifetimeSeconds, expiresInUnit } = definition.accessToken;
  const given = numberOf(members.get('expires_in'));
  const seconds = numberOf(members.get('expires_in_sec'));
  // Zoho's older answers: seconds under a name of their own, and milliseconds under the usual name.
  if (seconds !== null) return Math.min(seconds * 1000, given ?? Infinity);
  if (given === null) return lifetimeSeconds * 1000;
  // The nominal lifetime a thousandfold is that lifetime in milliseconds, whatever the definition says of the unit.
  if (expiresInUnit === 'ms' || given === lifetimeSeconds * 1000) return given;
  return given * 1000;
}

/** A number, also one written as text. */
function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'string' || !/^\s*-?\d{1,15}(\.\d{1,9})?\s*$/.test(value)) return null;
  return Number(value);
}
