import { closestName } from '../base/closest.ts';
import type { ProviderDefinition, ScopeEntry } from './definition.ts';
import { comparable, hasScope } from './scopes.ts';

/** The kinds of findings about a scope. */
export const scopeFindingKinds = [
  /** No provider of this kind can have it. */
  'impossible',
  /** The table has no such scope, and one that is nearly the same. */
  'misspelt',
  /** The table has no such scope. Tables are not complete. */
  'unknown',
  /** It belongs to another provider of the catalogue. */
  'other_product',
  /** The provider no longer honours it. */
  'retired',
  /** Another scope of the list includes it. */
  'covered',
  /** It reaches far, and no reason is kept for it. */
  'broad',
  /** It also allows to write and delete. */
  'all_operations',
  /** The provider spells it with other capitals. */
  'spelling',
  /** The scopes are of several products. */
  'several_products',
  /** The provider separates scopes in another way. */
  'separator',
] as const;
/** A kind of finding about a scope; see {@link scopeFindingKinds}. */
export type ScopeFindingKind = (typeof scopeFindingKinds)[number];

/** `error`: the scopes are refused. `warning`: a person should look. `hint`: good to know. */
export const scopeFindingLevels = ['error', 'warning', 'hint'] as const;
/** The weight of a finding; see {@link scopeFindingLevels}. */
export type ScopeFindingLevel = (typeof scopeFindingLevels)[number];

/** Something about a scope that a person should know. */
export interface ScopeFinding {
  readonly scope: string;
  readonly kind: ScopeFindingKind;
  readonly level: ScopeFindingLevel;
  readonly message: string;
  /** A scope to use instead. */
  readonly suggestion?: string | undefined;
}

/** The knowledge of a provider's scopes. Without a table nothing is said. */
export interface ScopeKnowledge {
  readonly definition: ProviderDefinition;
  readonly table: readonly ScopeEntry[];
  /** Prefixes of other providers, in lower case, with the provider's id and name. */
  readonly others: ReadonlyMap<string, { readonly id: string; readonly name: string }>;
}

/** The reasons for broad scopes, by scope. */
export type ScopeReasons = Readonly<Record<string, string>>;

export interface ScopeLint {
  /** The scopes as the provider spells them, each once. */
  readonly scopes: readonly string[];
  readonly findings: readonly ScopeFinding[];
}

/** Signs of a pattern or a placeholder, which no scope of a dotted provider has. */
const placeholder = /[*{}<>[\]]/;

/** Operations that any family of a dotted provider may have, also where its table does not list them. */
const usualOperations = new Set(['all', 'read', 'create', 'update', 'delete', 'write']);

/** Prefixes whose scopes tell who the user is: each product's grant may have them. */
const identityPrefixes = new Set(['aaaserver']);
/** The scopes of OpenID Connect (its section 5.4), which have no product. */
const identityScopes = new Set(['openid', 'email', 'profile', 'phone', 'address', 'offline_access']);

/**
 * Checks a list of scopes against what is known of the provider. A scope is never refused because the table lacks it.
 *
 * @param reasons the reasons that are kept for broad scopes
 */
export function lintScopes(known: ScopeKnowledge, given: readonly string[], reasons: ScopeReasons = {}): ScopeLint {
  if (known.table.length === 0) return { scopes: given, findings: [] };
  const { definition } = known;
  const listed = new Map(known.table.map((entry) => [comparable(definition, entry.name), entry]));
  const findings: ScopeFinding[] = [];
  const scopes = new Map<string, string>();
  for (const scope of given) {
    const entry = listed.get(comparable(definition, scope));
    const name = entry?.name ?? scope;
    if (name !== scope) findings.push(hint('spelling', scope, `${definition.id} spells ${scope} as ${name}.`, name));
    scopes.set(comparable(definition, scope), name);
  }
  const names = [...scopes.values()];
  const reasoned = new Set(Object.keys(reasons).map((scope) => comparable(definition, scope)));
  for (const scope of names) {
    const found = existence(known, listed, scope) ?? reach(known, { listed, names, reasoned }, scope);
    if (found !== null) findings.push(found);
  }
  findings.push(...products(known, names));
  return { scopes: names, findings };
}

/** The broad scopes of a list for which no reason is kept. */
export function scopesWithoutReason(known: ScopeKnowledge, scopes: readonly string[], reasons: ScopeReasons): string[] {
  return lintScopes(known, scopes, reasons)
    .findings.filter(({ kind }) => kind === 'broad')
    .map(({ scope }) => scope);
}

type Listed = ReadonlyMap<string, ScopeEntry>;

/** Judges if the provider can have the scope. */
function existence(known: ScopeKnowledge, listed: Listed, scope: string): ScopeFinding | null {
  const { definition, table } = known;
  const isDotted = definition.scopeMatching === 'dotted';
  const retired = table.find((entry) => entry.retired !== undefined && isBelow(definition, scope, entry.name));
  if (retired !== undefined) return warning('retired', scope, `${scope} is retired: ${retired.retired ?? ''}`);
  if (listed.has(comparable(definition, scope))) return null;
  const parts = scope.split('.');
  if (isDotted && (parts.includes('') || placeholder.test(scope))) {
    return {
      scope,
      kind: 'impossible',
      level: 'error',
      message: `${scope} is no scope: it has an empty part or a placeholder.`,
    };
  }
  if (isDotted && isOfNoProduct(known, scope)) return null;
  const other = isDotted ? otherOf(known, scope) : undefined;
  if (other !== undefined) {
    const message = `${scope} is a scope of ${other.name} (${other.id}), not of ${nameOf(definition)}.`;
    return warning('other_product', scope, message);
  }
  if (isDotted && isUsualOperation(listed, parts)) return null;
  const near = closestScope(table, scope);
  if (near !== null) return warning('misspelt', scope, `${scope} is not known. Did you mean ${near}?`, near);
  return warning(
    'unknown',
    scope,
    `${scope} is not in Grantry's table of ${nameOf(definition)}. A scope that does not exist shows the user an error page.`,
  );
}

/** Judges how far the scope reaches. */
function reach(
  { definition, table }: ScopeKnowledge,
  { listed, names, reasoned }: { listed: Listed; names: readonly string[]; reasoned: ReadonlySet<string> },
  scope: string,
): ScopeFinding | null {
  const wider = names.find((other) => other !== scope && hasScope(definition, [other], scope));
  if (wider !== undefined) return warning('covered', scope, `${scope} adds nothing: ${wider} includes it.`);
  const entry = listed.get(comparable(definition, scope));
  if (isBroad(definition, entry, scope)) {
    if (reasoned.has(comparable(definition, scope))) return null;
    const what = entry === undefined ? '' : `: ${entry.words.charAt(0).toLowerCase()}${entry.words.slice(1)}`;
    return warning('broad', scope, `${scope} reaches far${what}. No reason is kept for it.`);
  }
  if (definition.scopeMatching !== 'dotted' || !/\.all$/i.test(scope)) return null;
  const read = scope.replace(/all$/i, 'READ').toLowerCase();
  const narrower = table.find(({ name }) => name.toLowerCase() === read)?.name;
  if (narrower === undefined) return null;
  return hint(
    'all_operations',
    scope,
    `${scope} may also write and delete. For reading, ${narrower} is enough.`,
    narrower,
  );
}

function isBroad(definition: ProviderDefinition, entry: ScopeEntry | undefined, scope: string): boolean {
  if (entry?.broad === true) return true;
  return definition.scopeMatching === 'dotted' && /^[^.]+\.fullaccess\./i.test(scope);
}

/** Scopes of several products in one grant end together. */
function products({ definition }: ScopeKnowledge, names: readonly string[]): ScopeFinding[] {
  if (definition.scopeMatching !== 'dotted') return [];
  const prefixes = new Map<string, string>();
  for (const name of names) {
    const prefix = prefixOf(name);
    if (!identityPrefixes.has(prefix) && name.includes('.') && !prefixes.has(prefix)) prefixes.set(prefix, name);
  }
  const [, second] = [...prefixes.values()];
  if (second === undefined) return [];
  const count = prefixes.size;
  return [
    hint(
      'several_products',
      second,
      `The scopes are of ${count} products: one revocation ends the grant for all of them.`,
    ),
  ];
}

/** True for a scope about which the table cannot know: of the user's identity, or of a product without rows. */
function isOfNoProduct({ definition, table, others }: ScopeKnowledge, scope: string): boolean {
  const prefix = prefixOf(scope);
  if (identityPrefixes.has(prefix) || identityScopes.has(scope.toLowerCase())) return true;
  const isOfSeveral = definition.scopePrefix === undefined;
  return isOfSeveral && others.has(prefix) && !table.some(({ name }) => prefixOf(name) === prefix);
}

function otherOf({ definition, table, others }: ScopeKnowledge, scope: string) {
  const prefix = prefixOf(scope);
  const isOwn = prefix === definition.scopePrefix?.toLowerCase() || table.some(({ name }) => prefixOf(name) === prefix);
  return isOwn ? undefined : others.get(prefix);
}

/** True for a family of the table with an operation that families usually have. */
function isUsualOperation(listed: Listed, parts: readonly string[]): boolean {
  const operation = parts.at(-1)?.toLowerCase() ?? '';
  if (parts.length < 3 || !usualOperations.has(operation)) return false;
  const family = `${parts.slice(0, -1).join('.').toLowerCase()}.`;
  return [...listed.keys()].some((name) => name.startsWith(family) && !name.slice(family.length).includes('.'));
}

/** The scope of the table that differs least. Each of its parts is nearly the same. */
function closestScope(table: readonly ScopeEntry[], scope: string): string | null {
  const parts = scope.split('.');
  const near = table.filter(({ name, retired }) => {
    const others = name.split('.');
    if (retired !== undefined || others.length !== parts.length) return false;
    return parts.every((part, index) => closestName(part, [others[index] ?? '']) !== null);
  });
  return closestName(
    scope,
    near.map(({ name }) => name),
  );
}

function isBelow(definition: ProviderDefinition, scope: string, name: string): boolean {
  const [one, other] = [comparable(definition, scope), comparable(definition, name)];
  return one === other || one.startsWith(`${other}.`);
}

function prefixOf(scope: string): string {
  return (scope.split('.')[0] ?? '').toLowerCase();
}

function nameOf({ id, name }: ProviderDefinition): string {
  return name ?? id;
}

function warning(kind: ScopeFindingKind, scope: string, message: string, suggestion?: string): ScopeFinding {
  return { scope, kind, level: 'warning', message, ...(suggestion === undefined ? {} : { suggestion }) };
}

function hint(kind: ScopeFindingKind, scope: string, message: string, suggestion?: string): ScopeFinding {
  return { ...warning(kind, scope, message, suggestion), level: 'hint' };
}
