import type { Selectable } from 'kysely';
import { changedOne, clockOf, countRows, type Reader, type WriteTx } from '../database.ts';
import { intact, type Listed, marked, onlyIntact } from '../rows/row-seal.ts';
import type { ApiKeyTable } from '../schema.ts';

export type ApiKeyRow = Omit<Selectable<ApiKeyTable>, 'mac'>;

const table = 'grantry_api_keys';

/** Keeps a new key. Returns false when a live key has that name, or the key itself is known. */
export async function insertApiKey(
  tx: WriteTx,
  key: Omit<ApiKeyRow, 'created_at' | 'last_used_at' | 'revoked_at'>,
): Promise<boolean> {
  const row = { ...key, created_at: await clockOf(tx), last_used_at: null, revoked_at: null };
  return tx
    .insertInto(table)
    .values({ ...row, mac: tx.rows.mac(table, row) })
    .onConflict((conflict) => conflict.doNothing())
    .$call(changedOne);
}

/**
 * Finds a key by its hash, also a revoked or expired one. Keys belong to the installation, not to a tenant.
 *
 * @throws {GrantryError} `integrity_failed`
 */
export async function findApiKeyByHash(db: Reader, hash: string): Promise<ApiKeyRow | undefined> {
  const found = await db.selectFrom(table).selectAll().where('key_hash', '=', hash).executeTakeFirst();
  return intact(db, table, found);
}

/** Lists the keys that are not revoked, oldest first. Altered ones are marked. */
export async function listApiKeys(db: Reader): Promise<Listed<ApiKeyRow>[]> {
  const found = await db
    .selectFrom(table)
    .selectAll()
    .where('revoked_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return marked(db, table, found);
}

/**
 * Revokes a key by its id or its name. Returns undefined when there is no such live key. A row that somebody else altered
 * is deleted: a new MAC would make its contents good.
 */
export async function revokeApiKey(tx: WriteTx, idOrName: string): Promise<Pick<ApiKeyRow, 'id' | 'name'> | undefined> {
  const query = tx
    .selectFrom(table)
    .selectAll()
    .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
    .where('revoked_at', 'is', null);
  const found = await tx.locked(query).executeTakeFirst();
  if (found === undefined) return undefined;
  if (!(await tx.rows.isIntact(table, found))) await tx.deleteFrom(table).where('id', '=', found.id).execute();
  else {
    const revoked_at = await clockOf(tx);
    const mac = tx.rows.mac(table, { ...found, revoked_at });
    await tx.updateTable(table).set({ revoked_at, mac }).where('id', '=', found.id).execute();
  }
  return { id: found.id, name: found.name };
}

/** Lists the hashes of all revoked keys. Returns null if there are still as many as `known`. */
export async function revokedKeyHashes(db: Reader, known: number): Promise<string[] | null> {
  // Unchecked: a row that only claims to be revoked takes a key's rights away, and gives none.
  const revoked = db.selectFrom(table).where('revoked_at', 'is not', null);
  if ((await revoked.$call(countRows)) === known) return null;
  return (await revoked.select('key_hash').execute()).map((row) => row.key_hash);
}

/** Tells whether an admin key exists that is neither expired nor revoked. */
export async function hasLiveAdminKey(db: Reader): Promise<boolean> {
  const found = await db
    .selectFrom(table)
    .selectAll()
    .where('role', '=', 'admin')
    .where('revoked_at', 'is', null)
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', db.now)]))
    .execute();
  return (await onlyIntact(db, table, found)).length > 0;
}

/** Notes when keys were last used. An older time never replaces a newer one. */
export async function noteApiKeyUses(
  tx: WriteTx,
  uses: readonly { readonly id: string; readonly at: number }[],
): Promise<void> {
  for (const { id, at } of uses) {
    await tx
      .updateTable(table)
      .set({ last_used_at: at })
      .where('id', '=', id)
      .where((where) => where.or([where('last_used_at', 'is', null), where('last_used_at', '<', at)]))
      .execute();
  }
}
