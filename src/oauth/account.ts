import type { ProviderDefinition } from '../providers/definition.ts';
import { type JsonObject, parseJsonObject, toMembers } from './json.ts';
import type { RawAnswer } from './types.ts';

/** Facts that a provider states about the account of a consent, by their names. */
export type AccountFacts = Readonly<Record<string, string>>;

/** Members of token answers that name a user, an organisation or an installation. */
const telling = [
  'sub',
  'user_id',
  'userid',
  'uid',
  'account_id',
  'owner_id',
  'org_id',
  'organization_id',
  'workspace_id',
  'realm_id',
  'realmId',
  'tenant_id',
  'merchant_id',
  'stripe_user_id',
  'hub_id',
  'portal_id',
  'team.id',
  'enterprise.id',
  'authed_user.id',
  'associated_user.id',
  'owner.id',
  'owner.user.id',
  'athlete.id',
  'user.id',
] as const;

/** Claims of an id token that name the account. The issuer tells equal subjects of two servers apart. */
const claims = ['sub', 'tid', 'oid'] as const;

const valueCharsMax = 512;

/**
 * Reads the facts that a token answer states about the account that gave its consent. Other parts of the answer may be odd.
 *
 * The answer came from the token endpoint over a checked connection, so the id token's signature adds nothing (OpenID
 * Connect Core 3.1.3.7).
 */
export function accountFactsOf(raw: RawAnswer): AccountFacts {
  const members = parseJsonObject(raw.body?.reveal().trim() ?? '');
  if (members === null) return {};
  const facts: Record<string, string> = { ...claimsOf(members.get('id_token')) };
  for (const path of telling) add(facts, path, at(members, path.split('.')));
  const id = members.get('id');
  // Salesforce's `id` is a URL of organisation and user. Elsewhere an `id` may name the token.
  if (typeof id === 'string' && id.startsWith('https://')) add(facts, 'id', id);
  return facts;
}

/**
 * Takes the facts about the account from captured members. Host and data centre are none: many accounts share them.
 */
export function capturedFacts(
  definition: ProviderDefinition,
  metadata: Readonly<Record<string, unknown>>,
): AccountFacts {
  const facts: Record<string, string> = {};
  for (const name of capturedNames(definition)) {
    if (name !== 'api_domain' && name !== 'dc') add(facts, name, metadata[name]);
  }
  return facts;
}

/** The names in a grant's metadata under which the provider's own words are kept. */
export function capturedNames({ capture }: ProviderDefinition): readonly string[] {
  return [...new Set([...Object.values(capture?.callback ?? {}), ...Object.values(capture?.token ?? {})])];
}

function claimsOf(idToken: unknown): Record<string, string> {
  const [, payload] = typeof idToken === 'string' ? idToken.split('.') : [];
  const members = payload === undefined ? null : parseJsonObject(Buffer.from(payload, 'base64url').toString('utf8'));
  const facts: Record<string, string> = {};
  if (members === null) return facts;
  const issuer = members.get('iss');
  for (const claim of claims) {
    const value = members.get(claim);
    if (typeof value === 'string' && typeof issuer === 'string') add(facts, `id_token.${claim}`, `${issuer} ${value}`);
  }
  return facts;
}

function at(members: JsonObject, [name = '', ...rest]: readonly string[]): unknown {
  const value = members.get(name);
  if (rest.length === 0) return value;
  const inner = toMembers(value);
  return inner === null ? undefined : at(inner, rest);
}

function add(facts: Record<string, string>, name: string, value: unknown): void {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text === 'string' && text !== '' && text.length <= valueCharsMax) facts[name] = text;
}
