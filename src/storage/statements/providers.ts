import type { Selectable } from 'kysely';
import { changedOne, findsOne, type Reader, type WriteTx } from '../database.ts';
import { intact, type Listed, marked } from '../row-seal.ts';
import type { ProviderTable } from '../schema.ts';

/** A custom provider as it is stored. */
export type ProviderRow = Omit<Selectable<ProviderTable>, 'mac'>;

const table = 'grantry_providers';

/** Adds or replaces a provider's definition. Returns true when it is new. */
export async function putProvider(
  tx: WriteTx,
  provider: { id: string; definition: string; at: number },
): Promise<boolean> {
  const { id, definition, at } = provider;
  const row = { id, definition, created_at: at, updated_at: at };
  const insert = tx.insertInto(table).values({ ...row, mac: tx.rows.mac(table, row) });
  if (await changedOne(insert.onConflict((conflict) => conflict.column('id').doNothing()))) return true;
  const query = tx.selectFrom(table).select('created_at').where('id', '=', id);
  const old = await tx.locked(query).executeTakeFirst();
  // Another process has removed it between the two statements, so it is new.
  if (old === undefined) return putProvider(tx, provider);
  const mac = tx.rows.mac(table, { ...row, created_at: old.created_at });
  await tx.updateTable(table).set({ definition, updated_at: at, mac }).where('id', '=', id).execute();
  return false;
}

/** Finds a custom provider. @throws {GrantryError} `integrity_failed` */
export async function findProvider(db: Reader, id: string): Promise<ProviderRow | undefined> {
  return intact(db, table, await db.selectFrom(table).selectAll().where('id', '=', id).executeTakeFirst());
}

/** Tells whether there is a custom provider. An altered one counts too. */
export async function hasProvider(db: Reader, id: string): Promise<boolean> {
  return findsOne(db.selectFrom(table).select('id').where('id', '=', id));
}

/** All custom providers, by id. Altered ones are marked. */
export async function listProviders(db: Reader): Promise<Listed<ProviderRow>[]> {
  return marked(db, table, await db.selectFrom(table).selectAll().orderBy('id').execute());
}

/** Returns false when there is no such custom provider. */
export async function deleteProvider(tx: WriteTx, id: string): Promise<boolean> {
  return changedOne(tx.deleteFrom(table).where('id', '=', id));
}
