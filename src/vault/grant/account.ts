import { Secret } from '../../base/secret.ts';
import { type AccountFacts, capturedFacts, capturedNames } from '../../oauth/account.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { findConsent } from '../../storage/statements/events.ts';
import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { fingerprinter, type VaultContext } from '../context.ts';

/** The relation of a new consent to the account of a stored grant, and the facts that differ. */
export interface AccountComparison {
  readonly relation: 'same' | 'other' | 'unknown';
  readonly differs: readonly string[];
}

/** Members of metadata that name an account, an organisation or its place at any provider. */
const identifying = [
  'api_domain',
  'instance_url',
  'org_id',
  'org_name',
  'organization_id',
  'owner',
  'owner_id',
  'realm_id',
  'team_id',
  'tenant_id',
  'user_id',
  'user_name',
  'workspace_id',
  'xero_tenant_id',
] as const;

/** Writes facts about an account for an event: names and keyed fingerprints, never a value. */
export async function describeAccount(context: VaultContext, facts: AccountFacts): Promise<string | null> {
  const fingerprint = await fingerprinter(context);
  const told = Object.entries(facts).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return told.map(([name, value]) => `${name}:${fingerprint(new Secret(`${name}=${value}`))}`).join(' ') || null;
}

/**
 * Compares the account of a new consent with that of a stored grant.
 *
 * One fact that differs tells another account, else one equal fact tells the same. Of host and data centre only a
 * difference counts, because many accounts share them. A provider that says nothing leaves the answer unknown.
 */
export async function compareAccount(
  context: VaultContext,
  definition: ProviderDefinition,
  old: GrantRow,
  news: { readonly account: AccountFacts; readonly metadata: Readonly<Record<string, unknown>> },
): Promise<AccountComparison> {
  const stored = await storedFacts(context, definition, old);
  const told = factsIn(await describeAccount(context, news.account));
  const shared = [...told.keys()].filter((name) => stored.has(name));
  const differs = shared.filter((name) => told.get(name) !== stored.get(name));
  if (differs.length > 0) return { relation: 'other', differs };
  if (shared.length > 0) return { relation: 'same', differs: [] };
  const oldMetadata = metadataOf(old);
  const places = ['dc', 'api_domain'].filter(
    (name) => oldMetadata[name] !== undefined && news.metadata[name] !== undefined,
  );
  const moved = places.filter((name) => oldMetadata[name] !== news.metadata[name]);
  if (moved.length > 0) return { relation: 'other', differs: moved };
  // What only one of them says cannot be compared.
  return { relation: 'unknown', differs: [...told.keys(), ...stored.keys()] };
}

/** Merges metadata. Members that name the former account, or that only its consent told, do not stay. */
export function mergeForAccount(
  definition: ProviderDefinition,
  old: Readonly<Record<string, unknown>>,
  news: Readonly<Record<string, unknown>>,
  { relation }: AccountComparison,
): Record<string, unknown> {
  if (relation === 'same') return { ...old, ...news };
  const captured = capturedNames(definition).filter((name) => name !== 'dc');
  const dropped = new Set<string>(relation === 'other' ? [...captured, ...identifying] : captured);
  const placeholders = relation === 'other' ? placesOf(definition) : [];
  for (const name of placeholders) dropped.add(name);
  return { ...Object.fromEntries(Object.entries(old).filter(([name]) => !dropped.has(name))), ...news };
}

/** The members of metadata to which a definition's calls refer. */
function placesOf({ api, products = [] }: ProviderDefinition): string[] {
  const ofProducts = products.flatMap(({ defaults }) => Object.values(defaults ?? {}));
  const own = Object.values({ ...api.defaults, ...api.headers });
  const templates = [api.base ?? '', api.basePath, ...own, ...ofProducts];
  return templates.flatMap((text) => [...text.matchAll(/\{metadata\.(\w+)\}/g)].map(([, name = '']) => name));
}

async function storedFacts(
  context: VaultContext,
  definition: ProviderDefinition,
  old: GrantRow,
): Promise<Map<string, string>> {
  const { client_id: tenant, id: grantId, authorized_generation: authorizedGeneration } = old;
  const consent = await findConsent(context.store.db, { tenant, grantId, authorizedGeneration });
  // Only `changing` writes this column, as an object.
  const details = consent === undefined ? {} : (JSON.parse(consent.details) as Record<string, unknown>);
  const told = factsIn(typeof details['account'] === 'string' ? details['account'] : null);
  // A grant that was stored by hand, or connected by an earlier version, has only its metadata.
  const captured = factsIn(await describeAccount(context, capturedFacts(definition, metadataOf(old))));
  return new Map([...captured, ...told]);
}

function factsIn(text: string | null): Map<string, string> {
  const pairs = (text ?? '').split(' ').filter(Boolean);
  return new Map(pairs.map((pair) => [pair.slice(0, pair.lastIndexOf(':')), pair.slice(pair.lastIndexOf(':') + 1)]));
}
