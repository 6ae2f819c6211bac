import type { Selectable } from 'kysely';
import { type GrantryError, invalidRequest } from '../../base/errors.ts';
import { changedOne, type Reader, type WriteTx } from '../database.ts';
import { intact, type Listed, marked, onlyIntact } from '../row-seal.ts';
import type { AppTable } from '../schema.ts';

export type AppRow = Omit<Selectable<AppTable>, 'mac'>;

const table = 'grantry_apps';

/**
 * Makes an app (generation 1), or replaces the one of the generation before.
 *
 * @throws {GrantryError} `invalid_request` when another caller has changed the app since it was read: writing what was read
 * would undo that change
 */
export async function putApp(tx: WriteTx, row: AppRow): Promise<'created' | 'replaced'> {
  const insert = tx.insertInto(table).values({ ...row, mac: tx.rows.mac(table, row) });
  const isNew = insert.onConflict((conflict) => conflict.column('name').doNothing());
  if (row.generation === 1 && (await changedOne(isNew))) return 'created';
  const old = tx.selectFrom(table).select('created_at').where('name', '=', row.name);
  const { created_at = row.created_at } = (await tx.locked(old).executeTakeFirst()) ?? {};
  const { name, ...changes } = { ...row, created_at };
  const mac = tx.rows.mac(table, { ...row, created_at });
  const update = tx
    .updateTable(table)
    .set({ ...changes, mac })
    .where('name', '=', name);
  if (await changedOne(update.where('generation', '=', row.generation - 1))) return 'replaced';
  throw changedMeanwhile(row.name);
}

/** The error for a change to an app that is another one by now: writing what was read would undo the other change. */
export function changedMeanwhile(name: string): GrantryError {
  return invalidRequest(`The app ${name} was changed by another caller in the meantime.`, {
    action: 'Read the app again, then repeat the change.',
  });
}

/** Finds an app by its name. @throws {GrantryError} `integrity_failed` */
export async function findApp(db: Reader, name: string): Promise<AppRow | undefined> {
  const found = await db.selectFrom(table).selectAll().where('name', '=', name).executeTakeFirst();
  return intact(db, table, found);
}

/** Finds an app by its name, to replace or to show it. An altered one is marked. */
export async function findMarkedApp(db: Reader, name: string): Promise<Listed<AppRow> | undefined> {
  const found = await db.selectFrom(table).selectAll().where('name', '=', name).executeTakeFirst();
  return found === undefined ? undefined : (await marked(db, table, [found]))[0];
}

/** Finds the app that owns a redirect URI, by the last segment of its path. @throws {GrantryError} `integrity_failed` */
export async function findAppByContext(db: Reader, context: string): Promise<AppRow | undefined> {
  const found = await db.selectFrom(table).selectAll().where('context', '=', context).executeTakeFirst();
  return intact(db, table, found);
}

/** All apps, by name. Altered ones are marked. */
export async function listApps(db: Reader): Promise<Listed<AppRow>[]> {
  return marked(db, table, await db.selectFrom(table).selectAll().orderBy('name').execute());
}

/** The apps at one provider that may serve a tenant, by name. Altered ones are left out. */
export async function listAppsFor(db: Reader, of: { provider: string; tenant: string }): Promise<AppRow[]> {
  const found = await db.selectFrom(table).selectAll().where('provider', '=', of.provider).orderBy('name').execute();
  // Each of ten thousand tenants may have an app of its own, and only this tenant's are checked.
  const named = JSON.stringify(of.tenant);
  const serving = found.filter(({ tenants }) => tenants === null || tenants.includes(named));
  return onlyIntact(db, table, serving);
}

/** The names of all apps at one provider, altered ones too. */
export async function namesOfApps(db: Reader, provider: string): Promise<string[]> {
  const found = await db.selectFrom(table).select('name').where('provider', '=', provider).orderBy('name').execute();
  return found.map(({ name }) => name);
}

/** Returns false when there is no such app. */
export async function deleteApp(tx: WriteTx, name: string): Promise<boolean> {
  return changedOne(tx.deleteFrom(table).where('name', '=', name));
}
