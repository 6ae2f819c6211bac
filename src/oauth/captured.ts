import { limits } from '../base/limits.ts';
import { hideTokens } from '../base/scrub.ts';
import { holdsSecret, isSecretInAnswer, secretTexts } from '../base/secret-names.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { apiOrigin } from '../providers/hosts.ts';
import type { JsonObject } from './json.ts';

/** Members of an answer or a callback that were captured for the grant's metadata, and those that were dropped. */
export interface Captured {
  readonly metadata: Readonly<Record<string, string>>;
  /** One line for each dropped member: its name, never its value. */
  readonly notes: readonly string[];
}

/**
 * Captures the members that the definition names, under the names it gives them.
 *
 * A URL is kept only when its origin is one of the provider's hosts, and `api_domain` is always a URL. Otherwise an
 * answer could send the tenant's token to another host. Metadata is not sealed, so no secret becomes part of it: none by its
 * name, none that stands elsewhere in the same answer, and none by its form.
 *
 * @param around what else came with the members, and may hold secrets
 */
export function capture(
  definition: ProviderDefinition,
  names: Readonly<Record<string, string>> | undefined,
  members: JsonObject,
  around: readonly unknown[] = [],
): Captured {
  const metadata: Record<string, string> = {};
  const notes: string[] = [];
  const secrets = names === undefined ? [] : [members, ...around].flatMap((each) => secretTexts(each));
  for (const [name, as] of Object.entries(names ?? {})) {
    const value = textOf(members.get(name));
    if (value === null) continue;
    if (isSecretInAnswer(name) || isSecretInAnswer(as) || holdsSecret(value, secrets) || hideTokens(value) !== value) {
      notes.push(`${name} is a secret, or holds one`);
      continue;
    }
    const kept = as === 'api_domain' || looksLikeUrl(value) ? apiOrigin(definition, value) : value;
    if (kept === null) notes.push(`${name} is not one of the provider's hosts`);
    else if (!isPlainText(kept)) notes.push(`${name} is too long or not plain text`);
    else metadata[as] = kept;
  }
  return { metadata, notes };
}

function textOf(value: unknown): string | null {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value !== '' ? value : null;
}

function looksLikeUrl(value: string): boolean {
  return /^\s*[a-z][a-z0-9+.-]*:|^\s*[\\/]{2}/i.test(value);
}

/**
 * Control characters are refused: captured values become parts of requests. So are lone surrogates, which a provider makes
 * when it cuts a name, and which PostgreSQL does not store.
 */
function isPlainText(value: string): boolean {
  return value.length <= limits.urlCharsMax && value.isWellFormed() && !/[\p{Cc}\u2028\u2029]/u.test(value);
}
