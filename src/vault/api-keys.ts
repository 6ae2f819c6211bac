import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { GrantryError, invalidRequest } from '../base/errors.ts';
import { checkName, checkProviderId, newRandomText, newUuid } from '../base/ids.ts';
import { Secret } from '../base/secret.ts';
import type { WriteTx } from '../storage/database.ts';
import { isAlteredRow, type Listed } from '../storage/row-seal.ts';
import {
  type ApiKeyRow,
  apiKeyChanges,
  type ChangedApiKey,
  deleteChildKeys,
  findApiKeyByHash,
  hasLiveAdminKey,
  insertApiKey,
  isApiKeyNameTaken,
  listApiKeys,
  listChangedApiKeys,
  listChildKeys,
  listPageApiKeys,
  lockApiKey,
  lockIntactApiKey,
  type NewApiKeyRow,
  noteApiKeyUses,
  revokeApiKey,
  stampOf,
  updateApiKey,
} from '../storage/statements/api-keys.ts';
import { changing } from './changing.ts';
import { checkObject } from './checks.ts';
import type { VaultContext } from './context.ts';
import { isGuessable } from './guessable.ts';
import { checkRights, describeAltered, describeApiKey, isWithin, type KeyRights, rightsColumns } from './key/rights.ts';
import type { ApiKey, ApiKeyInput, ApiKeyUpdate } from './types.ts';

/** `gry_`, 43 characters and 8 of checksum. The prefix lets scanners find a leaked key. */
const keyPattern = /^gry_([A-Za-z0-9_-]{43})([0-9a-f]{8})$/;

/** A key that an operator made by other means; it must have at least 192 bits too. */
const foreignKeyPattern = /^gry_[A-Za-z0-9_-]{32,256}$/;

/**
 * Makes an API key. It is shown once, and only its hash is stored.
 *
 * @throws {GrantryError} `invalid_request`; `not_found` for a provider that there is not
 */
export async function createApiKey(
  context: VaultContext,
  name: string,
  input: ApiKeyInput,
): Promise<{ apiKey: ApiKey; key: Secret }> {
  const row = checkApiKey(context, name, input);
  await context.providers.assertKnown(input.providers ?? []);
  const key = newKeyText(context);
  if (!(await keepApiKey(context, { ...row, key_hash: hashApiKey(key) }))) throw nameTaken(name);
  return { apiKey: await readBack(context, key), key: new Secret(key) };
}

/** Returns a key that was just stored. */
export async function readBack(context: VaultContext, key: string): Promise<ApiKey> {
  const stored = await findApiKeyByHash(context.store.db, hashApiKey(key));
  if (stored === undefined) throw new GrantryError('internal', 'The API key was stored but cannot be read back.');
  return describeApiKey(stored.row);
}

export function nameTaken(name: string): GrantryError {
  return invalidRequest(`The key ${name} already exists.`, {
    action: 'Choose another name, or revoke that key first.',
  });
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

async function keepApiKey(context: VaultContext, row: NewApiKeyRow): Promise<boolean> {
  return changing(context, async ({ tx, recordOther }) => {
    const isNew = await insertApiKey(tx, row);
    if (isNew) recordOther({ type: 'key.created', details: { key: row.id, name: row.name, role: row.role } });
    return isNew;
  });
}

/** Lists the live keys, without their texts. A row that was altered outside of Grantry is marked, and gives no right. */
export async function listAllApiKeys(context: VaultContext): Promise<ApiKey[]> {
  return (await listApiKeys(context.store.db)).map((row) =>
    row.isIntact ? describeApiKey(row) : describeAltered(row),
  );
}

/**
 * Changes a key by its id or its name; see `Vault.keys.update`. Children that are now wider than the key end.
 *
 * @throws {GrantryError} `not_found`, `invalid_request`
 */
export async function updateApiKeyOf(context: VaultContext, idOrName: string, changes: ApiKeyUpdate): Promise<ApiKey> {
  const checked = checkName('key', idOrName);
  checkObject('change', changes);
  const wanted = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
  // Read before: a transaction awaits only its own statements. It refuses what is no list.
  if (Array.isArray(changes.providers)) await context.providers.assertKnown(changes.providers.map(checkProviderId));
  const row = await changing(context, async ({ tx, recordOther }) => {
    const found = await lockIntactApiKey(tx, checked);
    if (found === undefined) throw noSuchKey(checked);
    if (found.parent !== null) {
      throw invalidRequest('A child key cannot be changed.', { action: 'Revoke it, and let its parent make another.' });
    }
    const { name, ...rights }: ApiKeyUpdate = { ...describeApiKey(found), ...wanted };
    const key = changedRow(context, found, checkName('key', name), rights);
    if (await isApiKeyNameTaken(tx, key)) throw nameTaken(key.name);
    const changed = await updateApiKey(tx, found, key);
    const ended = await endWiderChildren(tx, changed);
    const members = Object.keys(wanted).join();
    const details = { key: key.id, name: key.name, role: key.role, changed: members, ended };
    recordOther({ type: 'key.updated', details });
    return changed;
  });
  return describeApiKey(row);
}

function changedRow(context: VaultContext, found: ApiKeyRow, name: string, wanted: ApiKeyUpdate): NewApiKeyRow {
  const { role, tenants, ...rest } = wanted;
  // An admin or operator has no list of tenants, which reads as an empty one.
  const named = tenants?.length === 0 ? null : tenants;
  // A key that has expired may get another name.
  const isSameEnd = rest.expiresAt?.getTime() === found.expires_at;
  const now = isSameEnd ? Number.NEGATIVE_INFINITY : context.world.now();
  const rights = checkRights({ role, tenants: named, ...rest }, now);
  return { id: found.id, name, key_hash: found.key_hash, parent: found.parent, ...rightsColumns(rights) };
}

async function endWiderChildren(tx: WriteTx, parent: Listed<ApiKeyRow>): Promise<number> {
  const rights = describeApiKey(parent);
  const children = await listChildKeys(tx, parent.id);
  const wider = children.filter((child) => !child.isIntact || !isWithin(describeApiKey(child), rights));
  await deleteChildKeys(
    tx,
    parent,
    wider.map(({ id }) => id),
  );
  return wider.length;
}

/** Ends a key and its children. @throws {GrantryError} `not_found` */
export async function revokeApiKeyOf(context: VaultContext, idOrName: string): Promise<void> {
  const checked = checkName('key', idOrName);
  await changing(context, async ({ tx, recordOther }) => {
    const found = await lockApiKey(tx, checked);
    if (found === undefined) throw noSuchKey(checked);
    const parent = found.parent === null ? undefined : await lockApiKey(tx, found.parent);
    const children = (await listChildKeys(tx, found.id)).map(({ id }) => id);
    // A child's row goes away. An altered row may only claim to be one, so it stays, revoked.
    if (parent !== undefined && found.isIntact) await deleteChildKeys(tx, parent, [found.id]);
    else await deleteChildKeys(tx, await revokeApiKey(tx, found), children);
    recordOther({ type: 'key.revoked', details: { key: found.id, name: found.name, ended: children.length } });
  });
}

function noSuchKey(idOrName: string): GrantryError {
  return new GrantryError('not_found', `There is no key ${idOrName}.`);
}

/** A live key as the database has it. */
export interface FoundApiKey {
  readonly apiKey: ApiKey;
  /** The id of the key whose changes end this one or change it: its parent's, or its own. */
  readonly root: string;
  /** The last change of that key. */
  readonly stamp: number;
}

/**
 * Finds the live key with a hash, or null. A child is live while its parent is, and has all that the child has. A row that
 * was altered outside of Grantry is no key; the log names it.
 */
export async function findApiKey(context: VaultContext, keyHash: string): Promise<FoundApiKey | null> {
  const found = await findApiKeyByHash(context.store.db, keyHash).catch((error: unknown) => {
    if (isAlteredRow(error)) return undefined;
    throw error;
  });
  if (found === undefined || found.row.revoked_at !== null || found.parent === null) return null;
  const { row, parent } = found;
  const apiKey = describeApiKey(row);
  if (parent === undefined) return { apiKey, root: row.id, stamp: stampOf(row) };
  const isLive = parent.revoked_at === null && parent.parent === null && isWithin(apiKey, describeApiKey(parent));
  return isLive ? { apiKey, root: parent.id, stamp: stampOf(parent) } : null;
}

/** Lists the origins whose pages some live key is for. */
export async function listKeyOrigins(context: VaultContext): Promise<string[]> {
  const found = await listPageApiKeys(context.store.db);
  return found.flatMap((row) => describeApiKey(row).origins ?? []);
}

export type { ChangedApiKey } from '../storage/statements/api-keys.ts';

/** The keys that were ever changed or revoked. */
export interface KeyChanges {
  /** Grows with every change. */
  readonly count: string;
  readonly keys: readonly ChangedApiKey[];
}

/** Finds all keys that were ever changed or revoked; null if there are still as many changes as `known`. */
export async function findChangedKeys(context: VaultContext, known: string): Promise<KeyChanges | null> {
  const count = await apiKeyChanges(context.store.db);
  // The keys are read later than the number: a change in between comes once more with the next look.
  return count === known ? null : { count, keys: await listChangedApiKeys(context.store.db) };
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

/** Makes the text of a new key. */
export function newKeyText(context: VaultContext): string {
  const random = newRandomText(context.world);
  return `gry_${random}${checksumOf(random)}`;
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function checkApiKey(context: VaultContext, name: string, input: ApiKeyInput): Omit<NewApiKeyRow, 'key_hash'> {
  checkObject('key', input);
  return newRow(context, checkName('key', name), checkRights(input, context.world.now()), null);
}

/** A new key's columns, without its hash. */
export function newRow(
  context: VaultContext,
  name: string,
  rights: KeyRights,
  parent: string | null,
): Omit<NewApiKeyRow, 'key_hash'> {
  return { id: newUuid(context.world), name, parent, ...rightsColumns(rights) };
}
