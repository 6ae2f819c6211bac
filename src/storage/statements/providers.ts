import type { Kysely } from 'kysely';
import type { Schema } from '../schema.ts';

/** A custom provider as it is stored. */
export type ProviderRow = Schema['grantry_providers'];

const columns = ['id', 'definition', 'created_at', 'updated_at'] as const satisfies readonly (keyof ProviderRow)[];

/** Adds a provider's definition or replaces it. Returns true when it is new. */
export async function putProvider(
  db: Kysely<Schema>,
  provider: { id: string; definition: string; at: number },
): Promise<boolean> {
  const { id, definition, at } = provider;
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('grantry_providers')
    .values({ id, definition, created_at: at, updated_at: at })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows === 1n) return true;
  const { numUpdatedRows } = await db
    .updateTable('grantry_providers')
    .set({ definition, updated_at: at })
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  // Somebody has removed it between the two statements, so it is new after all.
  return numUpdatedRows === 0n ? putProvider(db, provider) : false;
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
