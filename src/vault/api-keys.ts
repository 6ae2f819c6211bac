import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { GrantryError, invalidRequest } from '../base/errors.ts';
import { checkName, checkProviderId, newRandomText, newUuid } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import { apiKeyRoles } from '../schemas/words.ts';
import {
  type ApiKeyRow,
  findApiKeyByHash,
  hasLiveAdminKey,
  insertApiKey,
  listApiKeys,
  noteApiKeyUses,
  revokeApiKey,
  revokedKeyHashes,
} from '../storage/statements/api-keys.ts';
import { changing } from './changing.ts';
import { checkObject } from './checks.ts';
import type { VaultContext } from './context.ts';
import { isGuessable } from './guessable.ts';
import type { ApiKey, ApiKeyInput } from './types.ts';

/** `gry_`, 43 characters and 8 of checksum. The prefix lets scanners find a leaked key. */
const keyPattern = /^gry_([A-Za-z0-9_-]{43})([0-9a-f]{8})$/;

/** A key that an operator made by other means; it must have at least 192 bits too. */
const foreignKeyPattern = /^gry_[A-Za-z0-9_-]{32,256}$/;

/** Makes an API key. It is shown once, and only its hash is stored. */
export async function createApiKey(
  context: VaultContext,
  name: string,
  input: ApiKeyInput,
): Promise<{ apiKey: ApiKey; key: Secret }> {
  const row = checkApiKey(context, name, input);
  const key = newKeyText(context);
  if (!(await keepApiKey(context, { ...row, key_hash: hashApiKey(key) }))) {
    throw invalidRequest(`The key ${name} already exists.`, {
      action: 'Choose another name, or revoke that key first.',
    });
  }
  const stored = await findApiKeyByHash(context.store.db, hashApiKey(key));
  if (stored === undefined) throw new GrantryError('internal', 'The API key was stored but cannot be read back.');
  return { apiKey: describeApiKey(stored), key: new Secret(key) };
}

/**
 * Takes an administrator's key that was put on the machine from outside, if there is no other admin key.
 *
 * Returns `known` for a key that was taken before. If it was revoked, it stays revoked.
 */
export async function adoptAdminKey(context: VaultContext, key: string): Promise<'taken' | 'known' | 'not_needed'> {
  if (!foreignKeyPattern.test(key)) {
    throw invalidRequest('The admin key file does not hold a key.', {
      action: 'Write gry_ and at least 32 random characters of a-z A-Z 0-9 _ - into it, as grantry key create prints.',
    });
  }
  if (isGuessable(key.slice('gry_'.length))) {
    throw invalidRequest('The admin key can be guessed: it has few different characters, or follows a pattern.', {
      action: 'Put random characters into the file, such as the output of: echo "gry_$(openssl rand -hex 32)".',
    });
  }
  const keyHash = hashApiKey(key);
  const { db } = context.store;
  if ((await findApiKeyByHash(db, keyHash)) !== undefined) return 'known';
  if (await hasLiveAdminKey(db)) return 'not_needed';
  const row = checkApiKey(context, `admin-file-${keyHash.slice(0, 8)}`, { role: 'admin' });
  // If several servers start at once, the first one inserts the key, and the others know it.
  return (await keepApiKey(context, { ...row, key_hash: keyHash })) ? 'taken' : 'known';
}

/** True if a key exists with which the other keys can be made. */
export async function hasAdminKey(context: VaultContext): Promise<boolean> {
  return hasLiveAdminKey(context.store.db);
}

async function keepApiKey(context: VaultContext, row: NewRow): Promise<boolean> {
  return changing(context, async ({ tx, recordOther }) => {
    const isNew = await insertApiKey(tx, row);
    if (isNew) recordOther({ type: 'key.created', details: { key: row.id, name: row.name, role: row.role } });
    return isNew;
  });
}

/** Lists the live keys, without their texts. */
export async function listAllApiKeys(context: VaultContext): Promise<ApiKey[]> {
  return (await listApiKeys(context.store.db)).map(describeApiKey);
}

/** @throws {GrantryError} `not_found` */
export async function revokeApiKeyOf(context: VaultContext, idOrName: string): Promise<void> {
  const checked = checkName('key', idOrName);
  const revoked = await changing(context, async ({ tx, recordOther }) => {
    const key = await revokeApiKey(tx, checked);
    if (key !== undefined) recordOther({ type: 'key.revoked', details: { key: key.id, name: key.name } });
    return key;
  });
  if (revoked === undefined) throw new GrantryError('not_found', `There is no key ${checked}.`);
}

/** Finds the live key with a hash, or null. */
export async function findApiKey(context: VaultContext, keyHash: string): Promise<ApiKey | null> {
  const row = await findApiKeyByHash(context.store.db, keyHash);
  if (row === undefined || row.revoked_at !== null) return null;
  return describeApiKey(row);
}

/** Finds the hashes of all revoked keys; null if there are still as many as `known`. */
export async function findRevokedKeys(context: VaultContext, known: number): Promise<readonly string[] | null> {
  return revokedKeyHashes(context.store.db, known);
}

/** Writes the times at which keys were last used. */
export async function noteUses(
  context: VaultContext,
  uses: readonly { readonly id: string; readonly at: number }[],
): Promise<void> {
  await changing(context, ({ tx }) => noteApiKeyUses(tx, uses));
}

/** Hashes a key for storage and look-up. With at least 192 random bits, a slow hash would add no protection. */
export function hashApiKey(key: string): string {
  return hash('sha256', key);
}

/** True if a text has the form of our keys. Most invalid texts are then refused without a look at the database. */
export function isWellFormedKey(key: string): boolean {
  const found = keyPattern.exec(key);
  return found !== null && checksumOf(found[1] ?? '') === found[2];
}

function newKeyText(context: VaultContext): string {
  const random = newRandomText(context.world);
  return `gry_${random}${checksumOf(random)}`;
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function checkApiKey(context: VaultContext, name: string, input: ApiKeyInput): Omit<NewRow, 'key_hash'> {
  checkName('key', name);
  checkObject('key', input);
  const role = apiKeyRoles.find((known) => known === input.role);
  if (role === undefined) throw invalidRequest(`A key's role must be one of ${apiKeyRoles.join(', ')}.`);
  const listed = role === 'reader' || role === 'caller';
  const tenants = checkNames('tenants', input.tenants, (each) => checkName('tenant', each));
  const providers = checkNames('providers', input.providers, checkProviderId);
  if (!listed && (tenants !== null || providers !== null)) {
    throw invalidRequest(`A key of the role ${role} acts for all tenants and providers.`, {
      action: 'Leave out tenants and providers, or choose the role reader or caller.',
    });
  }
  const expiresAt = input.expiresAt?.getTime() ?? null;
  if (expiresAt !== null && !(expiresAt > context.world.now())) {
    throw invalidRequest("The key's expiry is in the past.");
  }
  return {
    id: newUuid(context.world),
    name,
    role,
    tenants: tenants === null ? null : JSON.stringify(tenants),
    providers: providers === null ? null : JSON.stringify(providers),
    expires_at: expiresAt,
  };
}

type NewRow = Omit<ApiKeyRow, 'created_at' | 'last_used_at' | 'revoked_at'>;

function checkNames(
  what: string,
  names: readonly string[] | undefined,
  check: (name: unknown) => string,
): string[] | null {
  if (names === undefined) return null;
  if (!Array.isArray(names) || names.length > limits.apiKeyNamesMax) {
    throw invalidRequest(`A key's ${what} must be a list of at most ${limits.apiKeyNamesMax} names.`);
  }
  return [...new Set(names.map(check))];
}

function describeApiKey(row: ApiKeyRow): ApiKey {
  const role = apiKeyRoles.find((known) => known === row.role);
  if (role === undefined) throw new GrantryError('internal', `The key ${row.name} has an unknown role.`);
  return {
    id: row.id,
    name: row.name,
    role,
    tenants: namesIn(row.tenants) ?? [],
    providers: namesIn(row.providers),
    createdAt: new Date(row.created_at),
    expiresAt: row.expires_at === null ? null : new Date(row.expires_at),
    lastUsedAt: row.last_used_at === null ? null : new Date(row.last_used_at),
  };
}

/** Reads a list column, which only this file writes, as an array of strings. */
function namesIn(json: string | null): string[] | null {
  return json === null ? null : (JSON.parse(json) as string[]);
}
