import { sql } from 'kysely';
import { isGrantryError } from '../../base/errors.ts';
import type { Reader } from '../database.ts';
import type { Store, StoreKind } from '../store.ts';

// Apart from the migrations, whose texts a start without a migration never needs.

/** The version of this program's schema: the number of its migrations. */
export const schemaVersionLatest = 9;

/** The version from which on rows carry MACs. */
export const rowMacsVersion = 2;

/** Returns the version of Grantry's schema in this database; 0 when there is none. */
export async function schemaVersion(store: Store): Promise<number> {
  try {
    // Nearly always the table is there: asking for it first would double the questions of every start.
    return await latestVersion(store.db);
  } catch (error) {
    if (isGrantryError(error, 'storage_unavailable')) throw error;
    // Another process may have made it between the two questions.
    if (await hasTable(store.db, store.kind, 'grantry_schema')) return latestVersion(store.db);
    return 0;
  }
}

/** Tells whether the table of grants is missing, Grantry's, or another program's. */
export async function inspectGrantTable(store: Store): Promise<'absent' | 'ours' | 'foreign'> {
  // In this order: a process that migrates at this moment makes both tables, and must not look like another program.
  const exists = await hasTable(store.db, store.kind, 'oauth_tokens');
  if (!exists) return 'absent';
  return (await schemaVersion(store)) > 0 ? 'ours' : 'foreign';
}

/** Tells whether a table is there, by the catalogue, of which each database has one of its own. */
export async function hasTable(db: Reader, kind: StoreKind, name: string): Promise<boolean> {
  const found =
    kind === 'sqlite'
      ? sql<number>`(select count(*) from sqlite_schema where type in ('table', 'view') and name = ${name})`
      : sql<number>`(select count(*) where to_regclass(${name}) is not null)`;
  const row = await db.selectNoFrom(found.as('found')).executeTakeFirstOrThrow();
  return row.found === 1;
}

/** Returns the version that the schema's own table names. */
export async function latestVersion(db: Reader): Promise<number> {
  const row = await db
    .selectFrom('grantry_schema')
    .select((expression) => expression.fn.max('version').as('version'))
    .executeTakeFirst();
  return row?.version ?? 0;
}
