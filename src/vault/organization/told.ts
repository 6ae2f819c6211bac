import { GrantryError } from '../../base/errors.ts';
import type { Metadata } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { expand } from '../../providers/expand.ts';
import { atPointer } from '../../providers/invalid-token.ts';

/** One organisation that an API names. */
export interface ToldOrganization {
  /** Its ids; several where the API has more than one. The first is the one that is kept. */
  readonly ids: readonly string[];
  readonly name: string | null;
  /** True if the API says that it counts unless a call names another. */
  readonly isDefault: boolean;
}

const nameCharsMax = 200;

/** The organisations in the answer to a provider's health call; none if its definition has no place for them. */
export function organizationsIn(definition: ProviderDefinition, metadata: Metadata, body: unknown): ToldOrganization[] {
  const rule = definition.api.health?.organizations;
  const found = rule === undefined ? undefined : atPointer(body, rule.list);
  if (rule === undefined || typeof found !== 'object' || found === null) return [];
  const list: readonly unknown[] = Array.isArray(found) ? found : [found];
  return list
    .map((organization) => ({
      ids: rule.ids.flatMap((id) => idOf(definition, metadata, organization, id)),
      name: nameOf(rule.name === undefined ? undefined : atPointer(organization, rule.name)),
      isDefault: rule.default !== undefined && atPointer(organization, rule.default) === true,
    }))
    .filter(({ ids }) => ids.length > 0);
}

/** The id at a pointer. A path that names the organisation proves it: its id then stands in the metadata. */
function idOf(definition: ProviderDefinition, metadata: Metadata, organization: unknown, pointer: string): string[] {
  if (!pointer.startsWith('{')) return textOf(atPointer(organization, pointer)) ?? [];
  try {
    return textOf(expand(definition, pointer, { dc: null, metadata })) ?? [];
  } catch (error) {
    if (error instanceof GrantryError) return [];
    throw error;
  }
}

/** A number beyond the safe ones has lost digits, and says nothing. */
function textOf(value: unknown): string[] | null {
  if (typeof value === 'string' && value !== '') return [value.slice(0, 128)];
  return Number.isSafeInteger(value) ? [String(value)] : null;
}

/** A name for people, without what would break a line or a column of the database. */
export function nameOf(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const name = value
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .slice(0, nameCharsMax)
    .toWellFormed()
    .trim();
  return name === '' ? null : name;
}

/**
 * The organisation that the person picked at the consent, as far as the API tells: the only one, else the default. Null if
 * several could be meant.
 */
export function picked(told: readonly ToldOrganization[]): ToldOrganization | null {
  if (told.length === 1) return told[0] ?? null;
  const defaults = told.filter(({ isDefault }) => isDefault);
  return defaults.length === 1 ? (defaults[0] ?? null) : null;
}

/** Finds the organisation with an id. */
export function withId(told: readonly ToldOrganization[], id: string): ToldOrganization | null {
  return told.find(({ ids }) => ids.includes(id)) ?? null;
}

/** The member of metadata with the id that a provider's calls carry. */
export function organizationMember(definition: ProviderDefinition): string {
  return definition.api.health?.organizations?.member ?? 'org_id';
}

/** The id of the grant's organisation, as its calls carry it; null if none is known. */
export function organizationIdOf(definition: ProviderDefinition, metadata: Metadata): string | null {
  return idText(metadata[organizationMember(definition)]) ?? idText(metadata['org_id']);
}

function idText(value: unknown): string | null {
  const [text = null] = textOf(value) ?? [];
  return text;
}

/** Writes organisations for a message: each with its name and its id. */
export function listed(told: readonly ToldOrganization[]): string {
  const shown = told.slice(0, 5).map(({ ids: [id = ''], name }) => (name === null ? id : `${name} (${id})`));
  return told.length > shown.length ? `${shown.join(', ')} and others` : shown.join(', ');
}

/** Tells whether a token reaches the organisation that its grant names; `unknown` if no answer tells. */
export type Reach = 'reached' | 'unreached' | 'unknown';

/** Compares the organisation that a grant names with the answer that its own provider gives. */
export function ownReach(definition: ProviderDefinition, metadata: Metadata, told: readonly ToldOrganization[]): Reach {
  const own = organizationIdOf(definition, metadata);
  if (own === null || told.length === 0) return 'unknown';
  return withId(told, own) === null ? 'unreached' : 'reached';
}

function unreachedWords(definition: ProviderDefinition, own: string): string {
  return `The grant's ${organizationMember(definition)} is ${own}, and the API does not name it among the user's organisations.`;
}

/**
 * The ids of the grant's organisation as the API tells them. An id that only a person chose counts where the API tells none.
 * Empty if several organisations could be meant.
 */
export function toldIds(
  definition: ProviderDefinition,
  metadata: Metadata,
  told: readonly ToldOrganization[],
): readonly string[] {
  const own = organizationIdOf(definition, metadata);
  if (told.length > 0) return ((own === null ? null : withId(told, own)) ?? picked(told))?.ids ?? [];
  const [id] = textOf(metadata['org_told_id']) ?? [own];
  return typeof id === 'string' ? [id] : [];
}

/**
 * Compares the organisations that an API names with the grant's own. Returns what a person should know, in words.
 *
 * Where every call carries the organisation, another one is a failure: the token is of another customer, or the id is wrong.
 * Elsewhere the id may be one of another product, so the answer is only a hint.
 *
 * @param reach tells whether another product names the grant's own organisation
 * @throws {GrantryError} `provider_misconfigured`
 */
export function compareOrganization(
  definition: ProviderDefinition,
  metadata: Metadata,
  { told, reach }: { readonly told: readonly ToldOrganization[]; readonly reach: Reach },
): string | undefined {
  const own = organizationIdOf(definition, metadata);
  if (told.length === 0) return reach === 'unreached' && own !== null ? unreachedWords(definition, own) : undefined;
  if (own === null) {
    if (told.length === 1) return undefined;
    return `The grant has no org_id, and its user has ${told.length} organisations: ${listed(told)}. Choose one.`;
  }
  if (reach === 'reached') return undefined;
  const words = `The grant's ${organizationMember(definition)} is ${own}, and the API names ${listed(told)}.`;
  if (!isAlwaysCarried(definition)) return words;
  throw new GrantryError('provider_misconfigured', words, {
    action: 'Set the right org_id in the metadata of the grant, or connect the right customer. No grant is harmed.',
  });
}

/**
 * True if calls of a provider carry the organisation: then the id decides whose data is reached. Where one grant serves
 * several products, those of one are enough.
 */
export function isCarried(definition: ProviderDefinition): boolean {
  return (
    isAlwaysCarried(definition) || (definition.products ?? []).some((product) => product.organization !== undefined)
  );
}

/** True if every call of a provider carries the organisation. */
function isAlwaysCarried(definition: ProviderDefinition): boolean {
  const { organization, headers } = definition.api;
  const member = organizationMember(definition);
  return organization !== undefined || Object.values(headers).some((text) => text.includes(`{metadata.${member}}`));
}
