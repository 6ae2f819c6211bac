import type { Kysely, Selectable } from 'kysely';
import { GrantryError } from '../../base/errors.ts';
import type { AppTable, Schema } from '../schema.ts';

export type AppRow = Selectable<AppTable>;

const columns = [
  'name',
  'provider',
  'client_id',
  'client_secrets',
  'dc',
  'redirect_uri',
  'scopes',
  'tenants',
  'return_to',
  'context',
  'generation',
  'created_at',
  'updated_at',
] as const satisfies readonly (keyof AppRow)[];

/**
 * Makes an app (generation 1), or replaces the one of the generation before.
 *
 * @throws {GrantryError} `invalid_request` when somebody else has changed the app since it was read: what the caller kept
 * of it, a secret perhaps, would undo that change
 */
export async function putApp(tx: Kysely<Schema>, row: AppRow): Promise<'created' | 'replaced'> {
  if (row.generation === 1 && (await insertApp(tx, row))) return 'created';
  if (await updateApp(tx, row)) return 'replaced';
  throw new GrantryError('invalid_request', `Somebody else has just changed the app ${row.name}.`, {
    action: 'Look at it, then try again.',
  });
}

/** Finds an app by its name. */
export async function findApp(db: Kysely<Schema>, name: string): Promise<AppRow | undefined> {
  return db.selectFrom('grantry_apps').select(columns).where('name', '=', name).executeTakeFirst();
}

/** Finds the app to whose own redirect URI a provider has sent somebody. */
export async function findAppByContext(db: Kysely<Schema>, context: string): Promise<AppRow | undefined> {
  return db.selectFrom('grantry_apps').select(columns).where('context', '=', context).executeTakeFirst();
}

/** All apps, by name. */
export async function listApps(db: Kysely<Schema>): Promise<AppRow[]> {
  return db.selectFrom('grantry_apps').select(columns).orderBy('name').execute();
}

/** All apps at one provider, by name. */
export async function listAppsOfProvider(db: Kysely<Schema>, provider: string): Promise<AppRow[]> {
  return db.selectFrom('grantry_apps').select(columns).where('provider', '=', provider).orderBy('name').execute();
}

/** Returns false when there is no such app. */
export async function deleteApp(tx: Kysely<Schema>, name: string): Promise<boolean> {
  const { numDeletedRows } = await tx.deleteFrom('grantry_apps').where('name', '=', name).executeTakeFirstOrThrow();
  return numDeletedRows === 1n;
}

async function insertApp(tx: Kysely<Schema>, row: AppRow): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('grantry_apps')
    .values(row)
    .onConflict((conflict) => conflict.column('name').doNothing())
    .executeTakeFirstOrThrow();
  return numInsertedOrUpdatedRows === 1n;
}

async function updateApp(tx: Kysely<Schema>, row: AppRow): Promise<boolean> {
  const { name, created_at: _, ...changes } = row;
  const { numUpdatedRows } = await tx
    .updateTable('grantry_apps')
    .set(changes)
    .where('name', '=', name)
    .where('generation', '=', row.generation - 1)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}
