import { type Selectable, sql } from 'kysely';
import { rowName } from '../canonical-row.ts';
import { changedOne, changedRows, clockOf, findsOne, type Reader, type WriteTx } from '../database.ts';
import { intact, type Listed, marked, onlyIntact, rowFailed } from '../row-seal.ts';
import type { ApiKeyTable } from '../schema.ts';

export type ApiKeyRow = Omit<Selectable<ApiKeyTable>, 'mac'>;

/** The columns that say what a key is. */
export type NewApiKeyRow = Omit<ApiKeyRow, 'created_at' | 'last_used_at' | 'revoked_at' | 'revision'>;

const table = 'grantry_api_keys';

/** Keeps a new key. Returns false when a live key has that name, or the key itself is known. */
export async function insertApiKey(tx: WriteTx, key: NewApiKeyRow): Promise<boolean> {
  const row = { ...key, created_at: await clockOf(tx), last_used_at: null, revoked_at: null, revision: null };
  return tx
    .insertInto(table)
    .values({ ...row, mac: tx.rows.mac(table, row) })
    .onConflict((conflict) => conflict.doNothing())
    .$call(changedOne);
}

/**
 * Changes a key that the caller has locked, and counts that: every server hears of it. Returns the row as it is now.
 *
 * A row that was altered outside of Grantry gets no new MAC, which would make its contents good.
 */
async function change(tx: WriteTx, row: Listed<ApiKeyRow>, news: Partial<ApiKeyRow>): Promise<Listed<ApiKeyRow>> {
  const changed = { ...row, ...news, revision: (row.revision ?? 0) + 1 };
  const mac = row.isIntact ? { mac: tx.rows.mac(table, changed) } : {};
  await tx
    .updateTable(table)
    .set({ ...news, revision: changed.revision, ...mac })
    .where('id', '=', row.id)
    .execute();
  return changed;
}

/** Changes what a key is. */
export async function updateApiKey(tx: WriteTx, row: Listed<ApiKeyRow>, key: NewApiKeyRow): Promise<Listed<ApiKeyRow>> {
  return change(tx, row, key);
}

/** Revokes a key. The row stays, so that every server hears of it. Revoked, also an altered row is harmless. */
export async function revokeApiKey(tx: WriteTx, row: Listed<ApiKeyRow>): Promise<Listed<ApiKeyRow>> {
  return change(tx, { ...row, isIntact: true }, { parent: null, revoked_at: await clockOf(tx) });
}

/** A key and the key that made it, as one statement reads them. */
export interface FoundApiKeyRow {
  readonly row: ApiKeyRow;
  /** Undefined for a key that has none; null for one whose parent is gone. */
  readonly parent: ApiKeyRow | null | undefined;
}

/**
 * Finds a key by its hash, also a revoked or expired one. Keys belong to the installation, not to a tenant.
 *
 * @throws {GrantryError} `integrity_failed` for the key or its parent
 */
export async function findApiKeyByHash(db: Reader, hash: string): Promise<FoundApiKeyRow | undefined> {
  // One statement: between two of them a child could end, and its parent would already say so.
  const rows = await db
    .selectFrom(table)
    .selectAll()
    .where((where) =>
      where.or([
        where('key_hash', '=', hash),
        where('id', '=', where.selectFrom(table).select('parent').where('key_hash', '=', hash)),
      ]),
    )
    .execute();
  const row = await intact(
    db,
    table,
    rows.find((each) => each.key_hash === hash),
  );
  if (row === undefined) return undefined;
  if (row.parent === null) return { row, parent: undefined };
  const parent = rows.find((each) => each.id === row.parent);
  return { row, parent: (await intact(db, table, parent)) ?? null };
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

/** Finds a live key by its id or its name, and keeps others from changing it until the transaction ends. It may be altered. */
export async function lockApiKey(tx: WriteTx, idOrName: string): Promise<Listed<ApiKeyRow> | undefined> {
  const query = tx
    .selectFrom(table)
    .selectAll()
    .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
    .where('revoked_at', 'is', null);
  const rows = await marked(tx, table, await tx.locked(query).execute());
  return rows.find((row) => row.id === idOrName) ?? rows[0];
}

/** Does the same for a key that gives rights. @throws {GrantryError} `integrity_failed` */
export async function lockIntactApiKey(tx: WriteTx, idOrName: string): Promise<Listed<ApiKeyRow> | undefined> {
  const found = await lockApiKey(tx, idOrName);
  if (found?.isIntact === false) throw rowFailed(rowName(table, found));
  return found;
}

/** Tells whether another live key has a name. */
export async function isApiKeyNameTaken(db: Reader, { id, name }: Pick<ApiKeyRow, 'id' | 'name'>): Promise<boolean> {
  return db
    .selectFrom(table)
    .select('id')
    .where('name', '=', name)
    .where('id', '<>', id)
    .where('revoked_at', 'is', null)
    .$call(findsOne);
}

/** Lists the children of a key. Those that were altered are no keys. */
export async function listChildKeys(db: Reader, parent: string): Promise<Listed<ApiKeyRow>[]> {
  return marked(db, table, await db.selectFrom(table).selectAll().where('parent', '=', parent).execute());
}

/** Deletes children of a key that the caller has locked. Every server reads its other children again. */
export async function deleteChildKeys(tx: WriteTx, parent: Listed<ApiKeyRow>, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await change(tx, parent, {});
  await tx.deleteFrom(table).where('parent', '=', parent.id).where('id', 'in', ids).execute();
}

/** Deletes child keys that have expired, of one key or of all. No server trusts them, so none needs to hear of it. */
export async function purgeChildKeys(tx: WriteTx, nowMs: number, parent?: string): Promise<number> {
  return tx
    .deleteFrom(table)
    .where('parent', 'is not', null)
    .$if(parent !== undefined, (query) => query.where('parent', '=', parent ?? ''))
    .where('expires_at', '<=', nowMs)
    .$call(changedRows);
}

/** A key that was changed or revoked, or of which a child has ended. */
export interface ChangedApiKey {
  readonly id: string;
  /** Grows with every change. */
  readonly stamp: number;
  readonly isRevoked: boolean;
}

/**
 * Counts the changes of all keys, as a text. Children are left out: their ends are changes of their parents.
 *
 * Unchecked, as the list of changed keys is: a row that only claims a change takes rights away, and gives none.
 */
export async function apiKeyChanges(db: Reader): Promise<string> {
  // A program of version 0.1.0 revokes without a revision. Text keeps sums that no number keeps.
  const sum = sql<string>`cast(coalesce(sum(revision), 0) + count(revoked_at) as text)`;
  const counted = await db
    .selectFrom(table)
    .select(sum.as('changes'))
    .where('parent', 'is', null)
    .executeTakeFirstOrThrow();
  return counted.changes;
}

/** Lists the keys that were ever changed or revoked. */
export async function listChangedApiKeys(db: Reader): Promise<ChangedApiKey[]> {
  const rows = await db
    .selectFrom(table)
    .select(['id', 'revision', 'revoked_at'])
    .where('parent', 'is', null)
    .where((where) => where.or([where('revision', 'is not', null), where('revoked_at', 'is not', null)]))
    .execute();
  return rows.map((row) => ({ id: row.id, stamp: stampOf(row), isRevoked: row.revoked_at !== null }));
}

/** The stamp of a key that has no parent. */
export function stampOf({ revision, revoked_at }: Pick<ApiKeyRow, 'revision' | 'revoked_at'>): number {
  return (revision ?? 0) * 2 + (revoked_at === null ? 0 : 1);
}

/** Lists the live keys that pages may use. */
export async function listPageApiKeys(db: Reader): Promise<ApiKeyRow[]> {
  const found = await db
    .selectFrom(table)
    .selectAll()
    .where('origins', 'is not', null)
    .where('revoked_at', 'is', null)
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', db.now)]))
    .execute();
  return onlyIntact(db, table, found);
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
