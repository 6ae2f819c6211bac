import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { GrantryError } from '../base/errors.ts';
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
} from '../storage/statements/api-keys.ts';
import { changing } from './changing.ts';
import { checkObject } from './checks.ts';
import type { VaultContext } from './context.ts';
import type { ApiKey, ApiKeyInput } from './types.ts';

/** What every key starts with, so that scanners find one that leaked: `gry_`, 43 characters, 8 of checksum. */
const keyPattern = /^gry_([A-Za-z0-9_-]{43})([0-9a-f]{8})$/;

/** A key that an operator made by other means must be as hard to guess: 192 bits at least. */
const foreignKeyPattern = /^gry_[A-Za-z0-9_-]{32,256}$/;

/** Makes an API key; it is shown once and kept as a hash. */
export async function createApiKey(
  context: VaultContext,
  name: string,
  input: ApiKeyInput,
): Promise<{ apiKey: ApiKey; key: Secret }> {
  const row = checkApiKey(context, name, input);
  const key = newKeyText(context);
  if (!(await keepApiKey(context, { ...row, key_hash: hashApiKey(key) }))) {
    throw new GrantryError('invalid_request', `There is a key ${name} already.`, {
      action: 'Choose another name, or revoke that key first.',
    });
  }
  const kept = await findApiKeyByHash(context.store.db, hashApiKey(key));
  if (kept === undefined) throw new GrantryError('internal', 'A key that was just made is gone.');
  return { apiKey: describeApiKey(kept), key: new Secret(key) };
}

/**
 * Takes an administrator's key that was put on the machine from outside, while no other one is there.
 *
 * `known` is a key that was taken before: a revoked one stays revoked.
 */
export async function adoptAdminKey(context: VaultContext, key: string): Promise<'taken' | 'known' | 'not_needed'> {
  if (!foreignKeyPattern.test(key)) {
    throw new GrantryError('invalid_request', 'The admin key file does not hold a key.', {
      action: 'It holds gry_ and at least 32 random characters of a-z A-Z 0-9 _ -, such as grantry key create prints.',
    });
  }
  const keyHash = hashApiKey(key);
  const { db } = context.store;
  if ((await findApiKeyByHash(db, keyHash)) !== undefined) return 'known';
  if (await hasLiveAdminKey(db)) return 'not_needed';
  const row = checkApiKey(context, `admin-file-${keyHash.slice(0, 8)}`, { role: 'admin' });
  // Of several servers that start at once one is first, and it is the same key.
  return (await keepApiKey(context, { ...row, key_hash: keyHash })) ? 'taken' : 'known';
}

async function keepApiKey(context: VaultContext, row: NewRow): Promise<boolean> {
  return changing(context, async ({ tx, recordOther }) => {
    const isNew = await insertApiKey(tx, row);
    if (isNew) recordOther({ type: 'key.created', details: { key: row.id, name: row.name, role: row.role } });
    return isNew;
  });
}

/** The live keys, without what opens doors. */
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

/** The live key with a hash, or null. */
export async function findApiKey(context: VaultContext, keyHash: string): Promise<ApiKey | null> {
  const row = await findApiKeyByHash(context.store.db, keyHash);
  if (row === undefined || row.revoked_at !== null) return null;
  return describeApiKey(row);
}

/** Notes when keys were last used. */
export async function noteUses(
  context: VaultContext,
  uses: readonly { readonly id: string; readonly at: number }[],
): Promise<void> {
  await changing(context, ({ tx }) => noteApiKeyUses(tx, uses));
}

/** How a key is kept and looked up. It holds 192 random bits at least: a slow hash would protect nothing more. */
export function hashApiKey(key: string): string {
  return hash('sha256', key);
}

/** Whether a text can be one of our keys at all; most garbage is turned away without a look at the database. */
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
  if (role === undefined) {
    throw new GrantryError('invalid_request', `A key's role is one of ${apiKeyRoles.join(', ')}.`);
  }
  const listed = role === 'reader' || role === 'caller';
  const tenants = checkNames('tenants', input.tenants, (each) => checkName('tenant', each));
  const providers = checkNames('providers', input.providers, checkProviderId);
  if (!listed && (tenants !== null || providers !== null)) {
    throw new GrantryError('invalid_request', `A key of the role ${role} acts for all tenants and providers.`, {
      action: 'Leave the lists out, or make it a reader or a caller.',
    });
  }
  const expiresAt = input.expiresAt?.getTime() ?? null;
  if (expiresAt !== null && !(expiresAt > context.world.now())) {
    throw new GrantryError('invalid_request', 'The key would have expired already.');
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
  given: readonly string[] | undefined,
  check: (name: unknown) => string,
): string[] | null {
  if (given === undefined) return null;
  if (!Array.isArray(given) || given.length > limits.apiKeyNamesMax) {
    throw new GrantryError('invalid_request', `A key's ${what} are a list of at most ${limits.apiKeyNamesMax} names.`);
  }
  return [...new Set(given.map(check))];
}

function describeApiKey(row: ApiKeyRow): ApiKey {
  const role = apiKeyRoles.find((known) => known === row.role);
  if (role === undefined) throw new GrantryError('internal', `The key ${row.name} has a role nobody knows.`);
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

/** Written by this file alone, as an array of strings. */
function namesIn(json: string | null): string[] | null {
  return json === null ? null : (JSON.parse(json) as string[]);
}
