import { type Kysely, sql, type Transaction } from 'kysely';
import { assert, GrantryError, isGrantryError } from '../../base/errors.ts';
import type { Schema } from '../schema.ts';
import type { Store } from '../store.ts';
import { createVaultTables } from './0001-vault.ts';
import { columnTypes } from './columns.ts';
import { createGrantIndexes, createGrantTable } from './grant-table.ts';

/** Forward only and never edited once released. The version of a migration is its place in this list, from 1. */
const migrations: ReadonlyArray<{ name: string; up: (run: MigrationRun) => Promise<void> }> = [
  { name: 'vault', up: createVault },
];

export const schemaVersionLatest = migrations.length;

/** Any number will do, as long as no other program takes the same lock. */
const postgresLockKey = 7_238_946_110_201;

interface MigrationRun {
  tx: Transaction<Schema>;
  store: Store;
  takeOver: MigrateOptions['takeOver'];
  afterTakeOver: MigrateOptions['afterTakeOver'];
}

export interface MigrateOptions {
  /** `off`: for runtime roles that may not change the schema; refuses when something is to be done. */
  mode: 'auto' | 'off';
  /**
   * Turns an `oauth_tokens` table that another program made into ours, within the transaction of the first migration:
   * afterwards it has the columns of {@link createGrantTable} and no index named as {@link createGrantIndexes} names them.
   */
  takeOver?: ((tx: Transaction<Schema>) => Promise<void>) | undefined;
  /** What is written together with a take-over, once all tables are there. */
  afterTakeOver?: ((tx: Transaction<Schema>) => Promise<void>) | undefined;
}

export interface Migrated {
  /** The schema's version before; 0 when there was none. */
  from: number;
  to: number;
}

/**
 * Brings Grantry's schema up to date. Any number of processes may do so at once: one works, the others step aside.
 *
 * @throws {GrantryError} `invalid_request` when the schema is newer than this program, belongs to another program, or is
 * behind while `mode` is `off`
 */
export async function migrate(store: Store, options: MigrateOptions): Promise<Migrated> {
  const from = await schemaVersion(store);
  refuseNewer(from);
  if (from === schemaVersionLatest) return { from, to: from };
  if (options.takeOver === undefined && (await inspectGrantTable(store)) === 'foreign') throw foreign();
  if (options.mode === 'off') throw behind(from);
  const { takeOver, afterTakeOver } = options;
  for (let version = from + 1; version <= schemaVersionLatest; version += 1) {
    await store.transaction((tx) => migrateOne({ tx, store, takeOver, afterTakeOver }, version), { long: true });
  }
  return { from, to: schemaVersionLatest };
}

/** The version of Grantry's schema in this database; 0 when there is none. */
export async function schemaVersion(store: Store): Promise<number> {
  try {
    // Almost always the table is there: asking first would double what every start asks.
    return await latestVersion(store.db);
  } catch (error) {
    if (isGrantryError(error, 'storage_unavailable')) throw error;
    // Another process may have made it between the two questions.
    if (await hasTable(store.db, store.kind, 'grantry_schema')) return latestVersion(store.db);
    return 0;
  }
}

/** Whose the table of grants is: nobody made one yet, Grantry did, or another program. */
export async function inspectGrantTable(store: Store): Promise<'absent' | 'ours' | 'foreign'> {
  // In this order: a process that migrates just now makes both at once, and must not look like another program.
  const exists = await hasTable(store.db, store.kind, 'oauth_tokens');
  if (!exists) return 'absent';
  return (await schemaVersion(store)) > 0 ? 'ours' : 'foreign';
}

async function migrateOne(run: MigrationRun, version: number): Promise<void> {
  const { tx, store } = run;
  const migration = migrations[version - 1];
  assert(migration, 'the list of migrations has no gap');
  // PostgreSQL can fail when two transactions make the same table at once; SQLite lets only one write.
  if (store.kind === 'postgres') await sql`select pg_advisory_xact_lock(${postgresLockKey})`.execute(tx);
  await createVersionTable(run);
  const { now } = await tx.selectNoFrom(store.now().as('now')).executeTakeFirstOrThrow();
  // The version comes first: whoever finds it taken leaves the work to the one who took it.
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('grantry_schema')
    .values({ version, name: migration.name, applied_at: now })
    .onConflict((conflict) => conflict.column('version').doNothing())
    .executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows === 0n) {
    refuseNewer(await latestVersion(tx));
    return;
  }
  await migration.up(run);
}

async function createVersionTable({ tx, store }: MigrationRun): Promise<void> {
  const { text, integer, tableEnd } = columnTypes(store.kind);
  await tx.schema
    .createTable('grantry_schema')
    .ifNotExists()
    .addColumn('version', integer, (column) => column.primaryKey().notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('applied_at', integer, (column) => column.notNull())
    .modifyEnd(tableEnd)
    .execute();
}

async function createVault({ tx, store, takeOver, afterTakeOver }: MigrationRun): Promise<void> {
  const taken = await hasTable(tx, store.kind, 'oauth_tokens');
  if (!taken) await createGrantTable(tx, store.kind);
  else if (takeOver) await takeOver(tx);
  else throw foreign();
  await createGrantIndexes(tx, store.kind);
  await createVaultTables(tx, store.kind);
  if (taken) await afterTakeOver?.(tx);
}

/** The only two statements of a catalogue: each database has one of its own. */
async function hasTable(db: Kysely<Schema>, kind: Store['kind'], name: string): Promise<boolean> {
  const query =
    kind === 'sqlite'
      ? sql<{
          found: number;
        }>`select count(*) as found from sqlite_schema where type in ('table', 'view') and name = ${name}`
      : sql<{
          found: number;
        }>`select count(*) as found from (select to_regclass(${name}) as oid) as t where oid is not null`;
  const { rows } = await query.execute(db);
  return rows[0]?.found === 1;
}

async function latestVersion(db: Kysely<Schema>): Promise<number> {
  const row = await db
    .selectFrom('grantry_schema')
    .select((expression) => expression.fn.max('version').as('version'))
    .executeTakeFirst();
  return row?.version ?? 0;
}

function refuseNewer(version: number): void {
  if (version <= schemaVersionLatest) return;
  throw new GrantryError(
    'invalid_request',
    `The database has version ${version} of Grantry's schema, and this program knows ${schemaVersionLatest} at most.`,
    { action: 'Run a newer Grantry.' },
  );
}

function behind(version: number): GrantryError {
  const has = version === 0 ? 'has no schema of Grantry' : `has version ${version} of Grantry's schema`;
  return new GrantryError('invalid_request', `The database ${has}; version ${schemaVersionLatest} is needed.`, {
    action: 'Run grantry migrate with a role that may change the schema.',
  });
}

function foreign(): GrantryError {
  return new GrantryError('invalid_request', 'The database has an oauth_tokens table that another program made.', {
    action: 'Stop the programs that write to it, then take it over: grantry init, or openVault({ takeOver: true }).',
  });
}
