import type { Kysely } from 'kysely';
import type { Schema } from './schema.ts';

/** A custom provider as it is stored. */
export type ProviderRow = Schema['grantry_providers'];

const columns = [
  'id',
  'definition',
  'pinned',
  'created_at',
  'updated_at',
] as const satisfies readonly (keyof ProviderRow)[];

/** Adds a provider's definition or replaces it, with what was pinned of it. Returns true when it is new. */
export async function putProvider(
  db: Kysely<Schema>,
  provider: { id: string; definition: string; pinned?: string | null; at: number },
): Promise<boolean> {
  const { id, definition, pinned = null, at } = provider;
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('grantry_providers')
    .values({ id, definition, pinned, created_at: at, updated_at: at })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows === 1n) return true;
  const { numUpdatedRows } = await db
    .updateTable('grantry_providers')
    .set({ definition, pinned, updated_at: at })
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  // Somebody has removed it between the two statements, so it is new after all.
  return numUpdatedRows === 0n ? putProvider(db, provider) : false;
}

/** Keeps what an issuer's metadata said at first use. Returns false when something is pinned already: that one counts. */
export async function pinProvider(
  db: Kysely<Schema>,
  provider: { id: string; pinned: string; at: number },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_providers')
    .set({ pinned: provider.pinned, updated_at: provider.at })
    .where('id', '=', provider.id)
    .where('pinned', 'is', null)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

export async function findProvider(db: Kysely<Schema>, id: string): Promise<ProviderRow | undefined> {
  return db.selectFrom('grantry_providers').select(columns).where('id', '=', id).executeTakeFirst();
}

/** All custom providers, by id. */
export async function listProviders(db: Kysely<Schema>): Promise<ProviderRow[]> {
  return db.selectFrom('grantry_providers').select(columns).orderBy('id').execute();
}

/** Returns false when there is no such custom provider. */
export async function deleteProvider(db: Kysely<Schema>, id: string): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom('grantry_providers').where('id', '=', id).executeTakeFirstOrThrow();
  return numDeletedRows === 1n;
}
