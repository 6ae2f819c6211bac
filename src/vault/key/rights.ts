import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { checkName, checkProviderId } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { apiKeyRoles, callMethods } from '../../schemas/words.ts';
import type { ApiKeyRow } from '../../storage/statements/api-keys.ts';
import type { ApiKey, ApiKeyInput, ApiKeyRole, ApiKeyUpdate } from '../types.ts';
import { checkMethods, checkPaths, pathsWithin } from './call-rules.ts';
import { checkOrigins } from './origins.ts';

/** The permissions of an API key, and its end. */
export type KeyRights = Pick<ApiKey, 'role' | 'tenants' | 'providers' | 'methods' | 'paths' | 'origins' | 'expiresAt'>;

/** The columns of a key's rights. */
export type RightsColumns = Pick<
  ApiKeyRow,
  'role' | 'tenants' | 'providers' | 'methods' | 'paths' | 'origins' | 'expires_at'
>;

/** All tenants, as the column has it. */
const allTenants = JSON.stringify('*');

/** The roles that act only for the tenants on the key. */
export function isListed(role: ApiKeyRole): boolean {
  return role === 'reader' || role === 'caller' || role === 'connector';
}

/** The roles of children. None makes keys of its own or adopts, since that would outlast its hour. */
export const childRoles: Readonly<Record<ApiKeyRole, readonly ApiKeyRole[]>> = {
  admin: ['operator', 'reader', 'caller', 'connector'],
  operator: ['operator', 'connector'],
  reader: ['reader', 'caller'],
  caller: ['caller'],
  connector: ['connector'],
};

/** Checks the rights of a key that is made or changed. @throws {GrantryError} `invalid_request` */
export function checkRights(input: ApiKeyInput | ApiKeyUpdate, nowMs: number): KeyRights {
  const role = apiKeyRoles.find((known) => known === input.role);
  if (role === undefined) throw invalidRequest(`A key's role must be one of ${apiKeyRoles.join(', ')}.`);
  const tenants =
    input.tenants === '*' ? '*' : checkNames('tenants', input.tenants, (each) => checkName('tenant', each));
  const providers = checkNames('providers', input.providers, checkProviderId);
  if (!isListed(role) && (tenants !== null || providers !== null)) {
    throw invalidRequest(`A key of the role ${role} acts for all tenants and providers.`, {
      action: 'Leave out tenants and providers, or choose the role reader, caller or connector.',
    });
  }
  const methods = checkMethods(input.methods);
  const paths = checkPaths(input.paths);
  if (role !== 'reader' && role !== 'caller' && (methods !== null || paths !== null)) {
    throw invalidRequest(`A key of the role ${role} cannot be held to methods and paths.`, {
      action: 'Leave out methods and paths, or choose the role caller.',
    });
  }
  const origins = checkOrigins(input.origins);
  if (role !== 'caller' && origins !== null) {
    throw invalidRequest(`A key of the role ${role} is not for pages in browsers.`, {
      action: 'Leave out origins, or choose the role caller.',
    });
  }
  const expiresAt = input.expiresAt ?? null;
  if (expiresAt !== null && !(expiresAt instanceof Date)) throw invalidRequest("The key's expiry must be a date.");
  if (expiresAt !== null && !(expiresAt.getTime() > nowMs)) throw invalidRequest("The key's expiry is in the past.");
  return { role, tenants: tenants ?? [], providers, methods, paths, origins, expiresAt };
}

/** Tells whether a child may have rights beside those of its parent; otherwise throws what is wider. */
export function assertWithin(child: KeyRights, parent: KeyRights): void {
  const [wider] = widerParts(child, parent);
  if (wider === undefined) return;
  throw new GrantryError('forbidden', `A child key may not have ${wider} than its parent.`, {
    action: 'Leave it out, or choose less than the parent has.',
  });
}

/** Tells whether a child has nothing that its parent has not. */
export function isWithin(child: KeyRights, parent: KeyRights): boolean {
  return widerParts(child, parent).length === 0;
}

function widerParts(child: KeyRights, parent: KeyRights): string[] {
  const wider: string[] = [];
  if (!childRoles[parent.role].includes(child.role)) wider.push('a wider role');
  const own = tenantsOf(parent);
  const wanted = tenantsOf(child);
  if (own !== '*' && (wanted === '*' || !wanted.every((tenant) => own.includes(tenant)))) wider.push('more tenants');
  if (!isSubset(child.providers, parent.providers)) wider.push('more providers');
  // Only readers and callers call APIs.
  const calls = child.role === 'reader' || child.role === 'caller';
  if (calls && !isSubset(child.methods, parent.methods)) wider.push('more methods');
  if (calls && !pathsWithin(child.paths, parent.paths)) wider.push('wider paths');
  // A key without origins is for servers, which may make children for their own pages.
  if (parent.origins !== null && !isSubset(child.origins ?? [], parent.origins)) wider.push('other origins');
  const end = child.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
  if (end > (parent.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY)) wider.push('a later end');
  return wider;
}

function tenantsOf({ role, tenants }: KeyRights): readonly string[] | '*' {
  return isListed(role) ? tenants : '*';
}

/** `null` means all. */
function isSubset(narrow: readonly string[] | null, wide: readonly string[] | null): boolean {
  return wide === null || (narrow !== null && narrow.every((name) => wide.includes(name)));
}

function checkNames(
  what: string,
  names: readonly string[] | null | undefined,
  check: (name: unknown) => string,
): string[] | null {
  if (names === undefined || names === null) return null;
  if (!Array.isArray(names) || names.length > limits.apiKeyNamesMax) {
    throw invalidRequest(`A key's ${what} must be a list of at most ${limits.apiKeyNamesMax} names.`);
  }
  return [...new Set(names.map(check))];
}

/** Writes rights as columns. */
export function rightsColumns(rights: KeyRights): RightsColumns {
  const { role, tenants, providers, methods, paths, origins, expiresAt } = rights;
  const write = (list: readonly string[] | string | null): string | null =>
    list === null ? null : JSON.stringify(list);
  return {
    role,
    tenants: isListed(role) ? write(tenants) : null,
    providers: write(providers),
    methods: write(methods),
    paths: write(paths),
    origins: write(origins),
    expires_at: expiresAt?.getTime() ?? null,
  };
}

/** Reads the row of a key. */
export function describeApiKey(row: ApiKeyRow): ApiKey {
  const role = apiKeyRoles.find((known) => known === row.role);
  if (role === undefined) throw new GrantryError('internal', `The key ${row.name} has an unknown role.`);
  const methods = readList(row.methods);
  return {
    id: row.id,
    name: row.name,
    role,
    tenants: row.tenants === allTenants ? '*' : (readList(row.tenants) ?? []),
    providers: readList(row.providers),
    methods: methods === null ? null : callMethods.filter((method) => methods.includes(method)),
    paths: readList(row.paths),
    origins: readList(row.origins),
    parent: row.parent,
    createdAt: new Date(row.created_at),
    expiresAt: row.expires_at === null ? null : new Date(row.expires_at),
    lastUsedAt: usedAt(row.last_used_at),
  };
}

/** Shows which row was altered. The rest may be anything, so it is left out. */
export function describeAltered(row: ApiKeyRow): ApiKey {
  const none = { tenants: [], providers: [], methods: [], paths: [], origins: null, parent: null, lastUsedAt: null };
  const times = { createdAt: new Date(0), expiresAt: new Date(0) };
  return { id: row.id, name: row.name, role: 'caller', ...none, ...times, integrityFailed: true };
}

/** The column has no MAC, so it may hold a number that is no time. */
function usedAt(ms: number | null): Date | null {
  return ms === null || Number.isNaN(new Date(ms).getTime()) ? null : new Date(ms);
}

/** Reads a list column, which only `rightsColumns` writes. */
function readList(json: string | null): readonly string[] | null {
  return json === null ? null : (JSON.parse(json) as string[]);
}
