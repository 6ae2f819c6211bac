import type { Selectable } from 'kysely';
import { changedOne, countRows, findsOne, type Reader, type WriteTx } from '../database.ts';
import type { ApiKeyTable } from '../schema.ts';

export type ApiKeyRow = Selectable<ApiKeyTable>;

/** Keeps a new key. Returns false when a live key has that name, or the key itself is known. */
export async function insertApiKey(
  tx: WriteTx,
  key: Omit<ApiKeyRow, 'created_at' | 'last_used_at' | 'revoked_at'>,
): Promise<boolean> {
  return tx
    .insertInto('grantry_api_keys')
    .values({ ...key, created_at: tx.now, last_used_at: null, revoked_at: null })
    .onConflict((conflict) => conflict.doNothing())
    .$call(changedOne);
}

/** Finds a key by its hash, also a revoked or expired one. Keys belong to the installation, not to a tenant. */
export async function findApiKeyByHash(db: Reader, hash: string): Promise<ApiKeyRow | undefined> {
  return db.selectFrom('grantry_api_keys').selectAll().where('key_hash', '=', hash).executeTakeFirst();
}

/** Lists the keys that are not revoked, oldest first. */
export async function listApiKeys(db: Reader): Promise<ApiKeyRow[]> {
  return db
    .selectFrom('grantry_api_keys')
    .selectAll()
    .where('revoked_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

/** Revokes a key by its id or its name. Returns undefined when there is no such live key. */
export async function revokeApiKey(tx: WriteTx, idOrName: string): Promise<Pick<ApiKeyRow, 'id' | 'name'> | undefined> {
  return tx
    .updateTable('grantry_api_keys')
    .set({ revoked_at: tx.now })
    .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
    .where('revoked_at', 'is', null)
    .returning(['id', 'name'])
    .executeTakeFirst();
}

/** Lists the hashes of all revoked keys. Returns null if there are still as many as `known`. */
export async function revokedKeyHashes(db: Reader, known: number): Promise<string[] | null> {
  const revoked = db.selectFrom('grantry_api_keys').where('revoked_at', 'is not', null);
  if ((await revoked.$call(countRows)) === known) return null;
  return (await revoked.select('key_hash').execute()).map((row) => row.key_hash);
}

/** Tells whether an admin key exists that is neither expired nor revoked. */
export async function hasLiveAdminKey(db: Reader): Promise<boolean> {
  return db
    .selectFrom('grantry_api_keys')
    .select('id')
    .where('role', '=', 'admin')
    .where('revoked_at', 'is', null)
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', db.now)]))
    .$call(findsOne);
}

/** Notes when keys were last used. An older time never replaces a newer one. */
export async function noteApiKeyUses(
  tx: WriteTx,
  uses: readonly { readonly id: string; readonly at: number }[],
): Promise<void> {
  for (const { id, at } of uses) {
    await tx
      .updateTable('grantry_api_keys')
      .set({ last_used_at: at })
      .where('id', '=', id)
      .where((where) => where.or([where('last_used_at', 'is', null), where('last_used_at', '<', at)]))
      .execute();
  }
}
