import { z } from 'zod';
import { GrantryError, invalidRequest } from '../base/errors.ts';
import { issueWords } from '../base/issue-words.ts';
import { limits } from '../base/limits.ts';
import { isStorableJson } from '../base/storable.ts';
import { builtInProvider } from './catalogue.ts';
import { isSecretCapture, type ProviderDefinition, providerDefinition } from './definition.ts';
import { type BaseOf, extended, extendedId } from './extend.ts';

/**
 * Parses a custom provider's definition: JSON text or its value.
 *
 * Import this file only where a definition is read, because it loads the validator. `checkOrigins` checks the hosts
 * that would receive its tokens.
 *
 * @param baseOf finds the definition that this one extends; only the built-in ones by default
 * @throws {GrantryError} `invalid_request`, naming the member and the problem; `payload_too_large`.
 *
 * @example
 * const definition = parseProviderDefinition({
 *   id: 'example',
 *   endpoints: { token: 'https://as.example.com/token' },
 *   api: { hosts: ['https://api.example.com'] },
 * });
 */
export function parseProviderDefinition(json: unknown, baseOf: BaseOf = builtInProvider): ProviderDefinition {
  const whole = withBase(readJson(json), baseOf);
  const parsed = providerDefinition.safeParse(whole);
  if (!parsed.success) {
    const problems = parsed.error.issues.slice(0, 3).map((issue) => {
      const { path, code, message } = issue;
      const place = path.length === 0 ? '' : ` at ${path.map((part) => String(part).slice(0, 64)).join('.')}`;
      return `${code === 'invalid_type' ? issueWords(issue, whole) : message.slice(0, 200)}${place}`;
    });
    const more = parsed.error.issues.length > 3 ? `; and ${parsed.error.issues.length - 3} more` : '';
    throw invalidRequest(`The provider definition is not valid: ${problems.join('; ')}${more}.`);
  }
  if (!isStorableJson(JSON.stringify(parsed.data))) {
    throw invalidRequest('The provider definition contains a NUL character or invalid Unicode.');
  }
  return parsed.data;
}

/**
 * Parses a definition that was stored before. An older version accepted a `capture` of tokens: such a member is left out,
 * because the grants of the provider must go on.
 *
 * @returns the definition, and the names of the members of `capture` that were left out
 * @throws {GrantryError} as {@link parseProviderDefinition}
 */
export function parseStoredDefinition(
  json: string,
  baseOf: BaseOf = builtInProvider,
): { definition: ProviderDefinition; dropped: readonly string[] } {
  const dropped: string[] = [];
  const value = z.looseObject({ capture: z.record(z.string(), z.unknown()).optional() }).safeParse(readJson(json));
  if (!value.success) return { definition: parseProviderDefinition(json, baseOf), dropped };
  const { capture, ...rest } = value.data;
  if (capture === undefined) return { definition: parseProviderDefinition(rest, baseOf), dropped };
  const kept = Object.entries(capture).map(([from, names]) => [from, withoutSecrets(names, from, dropped)]);
  return { definition: parseProviderDefinition({ ...rest, capture: Object.fromEntries(kept) }, baseOf), dropped };
}

/** Completes a definition that extends another one. */
function withBase(value: unknown, baseOf: BaseOf): unknown {
  const id = extendedId(value);
  if (id === null || typeof value !== 'object' || value === null) return value;
  const base = baseOf(id);
  if (base === null) {
    throw invalidRequest(`The provider definition extends ${id.slice(0, 64)}, and no built-in provider has that id.`, {
      action: 'Name a built-in provider: grantry provider list shows them.',
    });
  }
  if ('id' in value && value.id === id) throw invalidRequest(`The provider definition ${id} extends itself.`);
  return extended(base, value);
}

function withoutSecrets(names: unknown, from: string, dropped: string[]): unknown {
  if (typeof names !== 'object' || names === null) return names;
  const kept = Object.entries(names).filter(([name, as]) => {
    if (!isSecretCapture(name, as)) return true;
    dropped.push(`${from}.${name}`);
    return false;
  });
  return Object.fromEntries(kept);
}

function readJson(json: unknown): unknown {
  const text = typeof json === 'string' ? json : toText(json);
  if (Buffer.byteLength(text) > limits.documentBytesMax) {
    throw new GrantryError('payload_too_large', `A provider definition has at most ${limits.documentBytesMax} bytes.`);
  }
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (cause) {
    throw invalidRequest('The provider definition is not JSON.', { cause });
  }
}

function toText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch (cause) {
    throw invalidRequest('The provider definition is not JSON.', { cause });
  }
}
