import type { Selectable } from 'kysely';
import { invalidRequest } from '../../base/errors.ts';
import { changedOne, type Reader, type WriteTx } from '../database.ts';
import type { AppTable } from '../schema.ts';

export type AppRow = Selectable<AppTable>;

/**
 * Makes an app (generation 1), or replaces the one of the generation before.
 *
 * @throws {GrantryError} `invalid_request` when another caller has changed the app since it was read: writing what was read
 * would undo that change
 */
export async function putApp(tx: WriteTx, row: AppRow): Promise<'created' | 'replaced'> {
  const { name, created_at: _, ...changes } = row;
  const insert = tx.insertInto('grantry_apps').values(row);
  const isNew = insert.onConflict((conflict) => conflict.column('name').doNothing());
  if (row.generation === 1 && (await changedOne(isNew))) return 'created';
  const update = tx.updateTable('grantry_apps').set(changes).where('name', '=', name);
  if (await changedOne(update.where('generation', '=', row.generation - 1))) return 'replaced';
  throw invalidRequest(`The app ${row.name} was changed by another caller in the meantime.`, {
    action: 'Read the app again, then repeat the change.',
  });
}

/** Finds an app by its name. */
export async function findApp(db: Reader, name: string): Promise<AppRow | undefined> {
  return db.selectFrom('grantry_apps').selectAll().where('name', '=', name).executeTakeFirst();
}

/** Finds the app that owns a redirect URI, by the last segment of its path. */
export async function findAppByContext(db: Reader, context: string): Promise<AppRow | undefined> {
  return db.selectFrom('grantry_apps').selectAll().where('context', '=', context).executeTakeFirst();
}

/** All apps, by name. */
export async function listApps(db: Reader): Promise<AppRow[]> {
  return db.selectFrom('grantry_apps').selectAll().orderBy('name').execute();
}

/** All apps at one provider, by name. */
export async function listAppsOfProvider(db: Reader, provider: string): Promise<AppRow[]> {
  return db.selectFrom('grantry_apps').selectAll().where('provider', '=', provider).orderBy('name').execute();
}

/** Returns false when there is no such app. */
export async function deleteApp(tx: WriteTx, name: string): Promise<boolean> {
  return changedOne(tx.deleteFrom('grantry_apps').where('name', '=', name));
}
