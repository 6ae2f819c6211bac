import { changedOne, type Reader, type WriteTx } from '../database.ts';
import type { Schema } from '../schema.ts';

/** A custom provider as it is stored. */
export type ProviderRow = Schema['grantry_providers'];

/** Adds or replaces a provider's definition. Returns true when it is new. */
export async function putProvider(
  tx: WriteTx,
  provider: { id: string; definition: string; at: number },
): Promise<boolean> {
  const { id, definition, at } = provider;
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('grantry_providers')
    .values({ id, definition, created_at: at, updated_at: at })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows === 1n) return true;
  const { numUpdatedRows } = await tx
    .updateTable('grantry_providers')
    .set({ definition, updated_at: at })
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  // Another process has removed it between the two statements, so it is new.
  return numUpdatedRows === 0n ? putProvider(tx, provider) : false;
}

export async function findProvider(db: Reader, id: string): Promise<ProviderRow | undefined> {
  return db.selectFrom('grantry_providers').selectAll().where('id', '=', id).executeTakeFirst();
}

/** All custom providers, by id. */
export async function listProviders(db: Reader): Promise<ProviderRow[]> {
  return db.selectFrom('grantry_providers').selectAll().orderBy('id').execute();
}

/** Returns false when there is no such custom provider. */
export async function deleteProvider(tx: WriteTx, id: string): Promise<boolean> {
  return changedOne(tx.deleteFrom('grantry_providers').where('id', '=', id));
}
