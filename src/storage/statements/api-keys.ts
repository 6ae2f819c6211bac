import type { Kysely, RawBuilder, Selectable } from 'kysely';
import type { ApiKeyTable, Schema } from '../schema.ts';

export type ApiKeyRow = Selectable<ApiKeyTable>;

const columns = [
  'id',
  'name',
  'role',
  'key_hash',
  'tenants',
  'providers',
  'created_at',
  'expires_at',
  'last_used_at',
  'revoked_at',
] as const satisfies readonly (keyof ApiKeyRow)[];

/** Keeps a new key; false when a live key has that name, or the key itself is known already. */
export async function insertApiKey(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  key: Omit<ApiKeyRow, 'created_at' | 'last_used_at' | 'revoked_at'>,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('grantry_api_keys')
    .values({ ...key, created_at: now, last_used_at: null, revoked_at: null })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow();
  return Number(numInsertedOrUpdatedRows ?? 0) === 1;
}

/** The key with that hash, a revoked or expired one too. Keys belong to the installation, so no tenant names them. */
export async function findApiKeyByHash(db: Kysely<Schema>, hash: string): Promise<ApiKeyRow | undefined> {
  return db.selectFrom('grantry_api_keys').select(columns).where('key_hash', '=', hash).executeTakeFirst();
}

/** The keys that may still be used, or have expired; the oldest first. */
export async function listApiKeys(db: Kysely<Schema>): Promise<ApiKeyRow[]> {
  return db
    .selectFrom('grantry_api_keys')
    .select(columns)
    .where('revoked_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

/** Ends a key, named by its id or its name; undefined when no live key is called so. */
export async function revokeApiKey(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  idOrName: string,
): Promise<Pick<ApiKeyRow, 'id' | 'name'> | undefined> {
  return db
    .updateTable('grantry_api_keys')
    .set({ revoked_at: now })
    .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
    .where('revoked_at', 'is', null)
    .returning(['id', 'name'])
    .executeTakeFirst();
}

/** Whether an administrator's key is there that has neither expired nor been revoked. */
export async function hasLiveAdminKey(db: Kysely<Schema>, now: RawBuilder<number>): Promise<boolean> {
  const row = await db
    .selectFrom('grantry_api_keys')
    .select('id')
    .where('role', '=', 'admin')
    .where('revoked_at', 'is', null)
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', now)]))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Notes when keys were last used, many at once; an older time never replaces a newer one. */
export async function noteApiKeyUses(
  tx: Kysely<Schema>,
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
