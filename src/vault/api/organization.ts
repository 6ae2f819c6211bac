import { GrantryError } from '../../base/errors.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { atPointer } from '../../providers/invalid-token.ts';

/**
 * Compares the organisations that a health call names with the grant's `org_id`. Returns what a person should know, in words.
 *
 * Where every call carries the organisation, another one is a failure: the token is of another customer, or the id is wrong.
 * Elsewhere the id may be one of another product, so the answer is only a hint.
 *
 * @throws {GrantryError} `provider_misconfigured`
 */
export function compareOrganization(
  definition: ProviderDefinition,
  metadata: Readonly<Record<string, unknown>>,
  body: unknown,
): string | undefined {
  const known = organizationsIn(definition, body);
  if (known.length === 0) return undefined;
  const isSent = definition.api.organization !== undefined;
  const own = textOf(metadata['org_id']);
  if (own === null || own === '') {
    if (!isSent) return undefined;
    const [only, ...others] = known;
    if (others.length > 0) return `The grant has no org_id, and its user has ${known.length} organisations.`;
    return `The grant has no org_id. Its one organisation is ${only?.[0] ?? 'unknown'}: set that in its metadata.`;
  }
  if (known.some((ids) => ids.includes(own))) return undefined;
  const found = known.map(([id]) => id).slice(0, 5);
  const told = `The grant's org_id is ${own}, and the API names ${found.join(', ')}.`;
  if (!isSent) return told;
  throw new GrantryError('provider_misconfigured', told, {
    action: 'Set the right org_id in the metadata of the grant, or connect the right customer. No grant is harmed.',
  });
}

/** The ids of each organisation in an answer; several where the API has more than one id for it. */
function organizationsIn(definition: ProviderDefinition, body: unknown): string[][] {
  const rule = definition.api.health?.organizations;
  const list = rule === undefined ? undefined : atPointer(body, rule.list);
  if (rule === undefined || !Array.isArray(list)) return [];
  const each = list.map((organization: unknown) =>
    rule.ids.flatMap((pointer) => textOf(atPointer(organization, pointer)) ?? []),
  );
  return each.filter((ids) => ids.length > 0);
}

/** A number beyond the safe ones has lost digits, and says nothing. */
function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value.slice(0, 128);
  return Number.isSafeInteger(value) ? String(value) : null;
}
