import { type GrantryError, invalidRequest } from '../../base/errors.ts';
import { refuseRounded } from '../../base/exact-json.ts';
import { limits } from '../../base/limits.ts';
import { hideTokens } from '../../base/scrub.ts';
import type { Secret } from '../../base/secret.ts';
import { findSecretName, holdsSecret } from '../../base/secret-names.ts';
import { isStorableJson } from '../../base/storable.ts';
import { isObject } from '../checks.ts';

/** Checks a grant's metadata: a plain JSON object, within the limits, without members that look like secrets. */
export function checkMetadata(value: unknown): Record<string, unknown> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidRequest('The metadata must be an object.');
  }
  let json: string;
  try {
    // JSON.stringify returns undefined if the object's toJSON method does.
    json = JSON.stringify(value) ?? 'null';
  } catch (error) {
    throw invalidRequest('The metadata cannot be written as JSON.', { cause: error });
  }
  checkMetadataSize(value, json);
  if (!isStorableJson(json)) throw invalidRequest('The metadata contains a NUL character or invalid Unicode.');
  // Parse the JSON again, so that the stored value is exactly the checked one, without members that JSON drops.
  const parsed: unknown = JSON.parse(json, refuseRounded);
  if (!isObject(parsed)) throw invalidRequest('The metadata must be a plain object.');
  const secretName = findSecretName(parsed);
  if (secretName !== null) {
    const shown = hideTokens(secretName.slice(0, limits.nameCharsMax));
    throw invalidRequest(`The metadata's member ${shown} looks like a secret; metadata is stored unencrypted.`);
  }
  if (hideTokens(json) !== json) throw holdsToken();
  return parsed;
}

/**
 * Checks that metadata repeats none of the tokens that came with it: it is stored unencrypted.
 *
 * @throws {GrantryError} `invalid_request`
 */
export function checkHoldsNone(metadata: object, tokens: readonly (Secret | null)[]): void {
  const revealed = tokens.flatMap((token) => (token === null ? [] : [token.reveal()]));
  for (const text of textsIn(metadata)) if (holdsSecret(text, revealed)) throw holdsToken();
}

function holdsToken(): GrantryError {
  return invalidRequest('The metadata holds a token; metadata is stored unencrypted.');
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/** Checks that metadata is within its limits. */
export function checkMetadataSize(metadata: object, json = JSON.stringify(metadata)): void {
  if (Buffer.byteLength(json) <= limits.metadataBytesMax && Object.keys(metadata).length <= limits.metadataKeysMax) {
    return;
  }
  throw invalidRequest(
    `The metadata is larger than ${limits.metadataBytesMax} bytes or ${limits.metadataKeysMax} members.`,
  );
}
