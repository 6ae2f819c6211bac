import { type Selectable, sql } from 'kysely';
import { changedOne, changedRows, countRows, findsOne, type Reader, type WriteTx } from '../database.ts';
import type { ApiKeyTable } from '../schema.ts';

export type ApiKeyRow = Selectable<ApiKeyTable>;

/** The columns that say what a key is. Only {@link insertApiKey} and {@link updateApiKey} write them. */
export type NewApiKeyRow = Omit<ApiKeyRow, 'created_at' | 'last_used_at' | 'revoked_at' | 'revision'>;

/** Keeps a new key. Returns false when a live key has that name, or the key itself is known. */
export async function insertApiKey(tx: WriteTx, key: NewApiKeyRow): Promise<boolean> {
  return tx
    .insertInto('grantry_api_keys')
    .values({ ...key, created_at: tx.now, last_used_at: null, revoked_at: null, revision: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .$call(changedOne);
}

/** Changes a key that the caller has locked. Servers read it again. */
export async function updateApiKey(tx: WriteTx, { id, ...columns }: NewApiKeyRow): Promise<boolean> {
  return tx
    .updateTable('grantry_api_keys')
    .set((column) => ({ ...columns, revision: column('revision', '+', 1) }))
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .$call(changedOne);
}

/** A key and the key that made it, as one statement reads them. */
export interface FoundApiKeyRow {
  readonly row: ApiKeyRow;
  /** Undefined for a key that has none; null for one whose parent is gone. */
  readonly parent: ApiKeyRow | null | undefined;
}

/** Finds a key by its hash, also a revoked or expired one. Keys belong to the installation, not to a tenant. */
export async function findApiKeyByHash(db: Reader, hash: string): Promise<FoundApiKeyRow | undefined> {
  // One statement: between two of them a child could end, and its parent would already say so.
  const rows = await db
    .selectFrom('grantry_api_keys')
    .selectAll()
    .where((where) =>
      where.or([
        where('key_hash', '=', hash),
        where('id', '=', where.selectFrom('grantry_api_keys').select('parent').where('key_hash', '=', hash)),
      ]),
    )
    .execute();
  const row = rows.find((each) => each.key_hash === hash);
  if (row === undefined) return undefined;
  const parent = row.parent === null ? undefined : (rows.find((each) => each.id === row.parent) ?? null);
  return { row, parent };
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

/** Finds a live key by its id or its name, and keeps others from changing it until the transaction ends. */
export async function lockApiKey(tx: WriteTx, idOrName: string): Promise<ApiKeyRow | undefined> {
  const query = tx
    .selectFrom('grantry_api_keys')
    .selectAll()
    .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
    .where('revoked_at', 'is', null);
  const rows = await tx.locked(query).execute();
  return rows.find((row) => row.id === idOrName) ?? rows[0];
}

/** Tells whether another live key has a name. */
export async function isApiKeyNameTaken(db: Reader, { id, name }: Pick<ApiKeyRow, 'id' | 'name'>): Promise<boolean> {
  return db
    .selectFrom('grantry_api_keys')
    .select('id')
    .where('name', '=', name)
    .where('id', '<>', id)
    .where('revoked_at', 'is', null)
    .$call(findsOne);
}

/** Revokes a key that the caller has locked. The row stays, so that every server hears of it. */
export async function revokeApiKey(tx: WriteTx, id: string): Promise<boolean> {
  return tx
    .updateTable('grantry_api_keys')
    .set((column) => ({ revoked_at: tx.now, revision: column('revision', '+', 1) }))
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .$call(changedOne);
}

/** Lists the children of a key. */
export async function listChildKeys(db: Reader, parent: string): Promise<ApiKeyRow[]> {
  return db.selectFrom('grantry_api_keys').selectAll().where('parent', '=', parent).execute();
}

/** Deletes children of a key that the caller has locked, and lets every server read the others again. */
export async function deleteChildKeys(
  tx: WriteTx,
  { parent, ids }: { parent: string; ids: readonly string[] },
): Promise<number> {
  if (ids.length === 0) return 0;
  await tx
    .updateTable('grantry_api_keys')
    .set((column) => ({ revision: column('revision', '+', 1) }))
    .where('id', '=', parent)
    .execute();
  return tx.deleteFrom('grantry_api_keys').where('parent', '=', parent).where('id', 'in', ids).$call(changedRows);
}

/** Deletes child keys that have expired, of one key or of all. No server trusts them, so none needs to hear of it. */
export async function purgeChildKeys(tx: WriteTx, nowMs: number, parent?: string): Promise<number> {
  return tx
    .deleteFrom('grantry_api_keys')
    .where('parent', 'is not', null)
    .$if(parent !== undefined, (query) => query.where('parent', '=', parent ?? ''))
    .where('expires_at', '<=', nowMs)
    .$call(changedRows);
}

/** A key that was changed or revoked, or of which a child has ended. */
export interface ChangedApiKey {
  readonly id: string;
  readonly hash: string;
  /** Grows with every change. */
  readonly stamp: number;
  readonly isRevoked: boolean;
}

/** Grows with every change of a key. Children are left out: their ends are changes of their parents. */
export async function apiKeyChanges(db: Reader): Promise<number> {
  // A program of version 0.1.0 revokes without a revision.
  const sum = sql<number | string>`coalesce(sum(revision), 0) + count(revoked_at)`;
  const counted = await db
    .selectFrom('grantry_api_keys')
    .select(sum.as('changes'))
    .where('parent', 'is', null)
    .executeTakeFirstOrThrow();
  return Number(counted.changes);
}

/** Lists the keys that were ever changed or revoked. */
export async function listChangedApiKeys(db: Reader): Promise<ChangedApiKey[]> {
  const rows = await db
    .selectFrom('grantry_api_keys')
    .select(['id', 'key_hash', 'revision', 'revoked_at'])
    .where('parent', 'is', null)
    .where((where) => where.or([where('revision', '>', 0), where('revoked_at', 'is not', null)]))
    .execute();
  return rows.map((row) => ({
    id: row.id,
    hash: row.key_hash,
    stamp: stampOf(row),
    isRevoked: row.revoked_at !== null,
  }));
}

/** The stamp of a key that has no parent. */
export function stampOf({ revision, revoked_at }: Pick<ApiKeyRow, 'revision' | 'revoked_at'>): number {
  return revision * 2 + (revoked_at === null ? 0 : 1);
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

/** Counts the children of a key. */
export async function countChildKeys(db: Reader, parent: string): Promise<number> {
  return db.selectFrom('grantry_api_keys').where('parent', '=', parent).$call(countRows);
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
