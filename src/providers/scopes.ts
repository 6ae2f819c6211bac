import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { ProviderDefinition } from './definition.ts';

/**
 * Splits a text or list into scopes, each once, in the given order. Text is split at the provider's separator and at
 * spaces.
 *
 * @throws {GrantryError} `invalid_request` for an invalid scope (RFC 6749 section 3.3), or for too many.
 */
export function splitScopes(definition: ProviderDefinition, scopes: string | readonly string[]): string[] {
  const given = typeof scopes === 'string' ? [scopes] : scopes;
  const separator = definition.scopeSeparator.trim();
  const words = given.flatMap((text) => (separator === '' ? text : text.replaceAll(separator, ' ')).split(/\s+/));
  const seen = new Map<string, string>();
  for (const word of words) {
    if (word === '') continue;
    if (word.length > limits.scopeCharsMax || !/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(word)) {
      throw new GrantryError('invalid_request', 'A scope is too long or contains an invalid character.');
    }
    const key = comparable(definition, word);
    if (!seen.has(key)) seen.set(key, word);
  }
  if (seen.size > limits.scopesMax) {
    throw new GrantryError('invalid_request', `Too many scopes: at most ${limits.scopesMax} are allowed.`);
  }
  return [...seen.values()];
}

/** Joins scopes as this provider expects them in an authorization request. */
export function joinScopes(definition: ProviderDefinition, scopes: readonly string[]): string {
  return scopes.join(definition.scopeSeparator);
}

/** Difference between the granted and the requested scopes. */
export interface ScopeDifference {
  /** Requested but not granted. */
  readonly missing: string[];
  /** Granted but not requested. */
  readonly extra: string[];
}

/** Compares the granted scopes with the requested ones, by the provider's rules. */
export function compareScopes(
  definition: ProviderDefinition,
  asked: readonly string[],
  granted: readonly string[],
): ScopeDifference {
  return {
    missing: asked.filter((scope) => !hasScope(definition, granted, scope)),
    extra: granted.filter((scope) => !hasScope(definition, asked, scope)),
  };
}

/** Tells whether `granted` includes the scope, or a scope that covers it under the provider's rules. */
export function hasScope(definition: ProviderDefinition, granted: readonly string[], scope: string): boolean {
  const wanted = comparable(definition, scope);
  return granted.some((one) => {
    const held = comparable(definition, one);
    return held === wanted || (definition.scopeMatching === 'dotted' && covers(held, wanted));
  });
}

/** `a.modules.all` covers `a.modules.read` and `a.modules.leads.all`; `a.modules.read` covers `a.modules.leads.read`. */
function covers(held: string, wanted: string): boolean {
  const heldParts = held.split('.');
  const wantedParts = wanted.split('.');
  const heldOperation = heldParts.pop();
  const wantedOperation = wantedParts.pop();
  if (heldParts.length === 0 || heldParts.length > wantedParts.length) return false;
  if (heldOperation !== 'all' && !operationCovers(heldOperation, wantedOperation)) return false;
  if (heldParts.length === 2 && heldParts[1] === 'fullaccess') return heldParts[0] === wantedParts[0];
  return heldParts.every((part, index) => part === wantedParts[index]);
}

function operationCovers(held: string | undefined, wanted: string | undefined): boolean {
  return held === wanted || (held === 'write' && ['create', 'update', 'delete'].includes(wanted ?? ''));
}

/** The text by which scopes are compared, by the provider's rules. */
export function comparable(definition: ProviderDefinition, scope: string): string {
  return definition.scopeMatching === 'dotted' ? scope.toLowerCase() : scope;
}
