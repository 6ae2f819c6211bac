import { sql } from 'kysely';
import { assert, type GrantryError, invalidRequest } from '../../base/errors.ts';
import { changedOne, type WriteTx } from '../database.ts';
import type { Store, StoreKind } from '../store.ts';
import * as postgres from './0001-vault.postgres.ts';
import * as sqlite from './0001-vault.sqlite.ts';
import { rowMacs } from './0002-row-macs.ts';
import { narrowKeys } from './0003-narrow-keys.ts';
import { scopes } from './0004-scopes.ts';
import { organizations } from './0005-organizations.ts';
import { slots } from './0006-slots.ts';
import { keyOrigins } from './0007-key-origins.ts';
import { lookups } from './0008-lookups.ts';
import { audit } from './0009-audit.ts';
import {
  hasTable,
  inspectGrantTable,
  latestVersion,
  rowMacsVersion,
  schemaVersion,
  type schemaVersionLatest,
} from './version.ts';

/** A step of the schema as plain text for each database: statements that end with a semicolon and a line break. */
export type Migration = { readonly name: string } & { readonly [kind in StoreKind]: string };

/** Forward only, and never edited once released. The version of a migration is its place in this list, from 1. */
export const releasedMigrations = [
  { name: 'vault', sqlite: sqlite.vaultTables, postgres: postgres.vaultTables },
  { name: 'row macs', ...rowMacs },
  { name: 'narrow keys', ...narrowKeys },
  { name: 'scopes', ...scopes },
  { name: 'organizations', ...organizations },
  { name: 'slots', ...slots },
  { name: 'key origins', ...keyOrigins },
  { name: 'lookups', ...lookups },
  { name: 'audit', ...audit },
] as const satisfies readonly Migration[] & { readonly length: typeof schemaVersionLatest };

export const versionTable: Readonly<Record<StoreKind, string>> = {
  sqlite: `create table if not exists grantry_schema (
  version integer not null primary key,
  name text not null,
  applied_at integer not null
) strict`,
  postgres: `create table if not exists grantry_schema (
  version bigint not null primary key,
  name text not null,
  applied_at bigint not null
)`,
};

/** The number is arbitrary; no other program may lock the same one. */
const postgresLockKey = 7_238_946_110_201;

/** The steps of the vault in the migration that adds the MACs. */
export interface RowAdoption {
  /** Seals values anew. It comes first: the migration's own text then keeps readers out, and this takes a while. */
  before(tx: WriteTx): Promise<void>;
  /** Writes the MACs. */
  after(tx: WriteTx): Promise<void>;
}

export interface MigrateOptions {
  /** `off`: for runtime roles that may not change the schema; refuses when something is to be done. */
  mode: 'auto' | 'off';
  /**
   * Turns an `oauth_tokens` table that another program made into ours, within the transaction of the first migration.
   * Afterwards it has the columns and checks of `grantTable`, and no index that `vaultTables` makes.
   */
  takeOver?: ((tx: WriteTx) => Promise<void>) | undefined;
  /** Writes what belongs to a take-over, in the same transaction, once all tables are there. */
  afterTakeOver?: ((tx: WriteTx) => Promise<void>) | undefined;
  /**
   * Gives the rows of an existing vault their MACs, in the transaction of the migration that adds them. Without it, these
   * rows have none and are never used.
   */
  adoptRows?: RowAdoption | undefined;
  /** Every migration; the released ones when left out. */
  migrations?: readonly Migration[] | undefined;
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
  const migrations: readonly Migration[] = options.migrations ?? releasedMigrations;
  const to = migrations.length;
  const from = await schemaVersion(store);
  refuseNewer(from, to);
  if (from === to) return { from, to };
  if (options.takeOver === undefined && (await inspectGrantTable(store)) === 'foreign') throw foreign();
  if (options.mode === 'off') throw behind(from, to);
  for (let version = from + 1; version <= to; version += 1) {
    await store.transaction(
      async (tx) => {
        const adoption = version === rowMacsVersion && from > 0 ? options.adoptRows : undefined;
        await migrateOne(tx, store, { ...options, adoptRows: adoption }, version);
      },
      { long: true },
    );
  }
  return { from, to };
}

/** Runs one migration, unless another process has run it. */
async function migrateOne(tx: WriteTx, store: Store, options: MigrateOptions, version: number): Promise<void> {
  const { adoptRows } = options;
  const migrations: readonly Migration[] = options.migrations ?? releasedMigrations;
  const migration = migrations[version - 1];
  assert(migration, 'the list of migrations has no gap');
  // PostgreSQL can fail when two transactions make the same table at once; SQLite lets only one write.
  if (store.kind === 'postgres') await sql`select pg_advisory_xact_lock(${postgresLockKey})`.execute(tx);
  await run(tx, versionTable[store.kind]);
  // The version comes first: a process that finds it taken leaves the work to the other one.
  const isFirst = await tx
    .insertInto('grantry_schema')
    .values({ version, name: migration.name, applied_at: tx.now })
    .onConflict((conflict) => conflict.column('version').doNothing())
    .$call(changedOne);
  if (!isFirst) {
    refuseNewer(await latestVersion(tx), migrations.length);
    return;
  }
  if (version === 1) return createVault(tx, store.kind, migration, options);
  await adoptRows?.before(tx);
  await run(tx, migration[store.kind]);
  await adoptRows?.after(tx);
}

async function createVault(
  tx: WriteTx,
  kind: StoreKind,
  migration: Migration,
  { takeOver, afterTakeOver }: MigrateOptions,
): Promise<void> {
  const isTaken = await hasTable(tx, kind, 'oauth_tokens');
  if (!isTaken) await run(tx, (kind === 'sqlite' ? sqlite : postgres).grantTable);
  else if (takeOver) await takeOver(tx);
  else throw foreign();
  await run(tx, migration[kind]);
  if (isTaken) await afterTakeOver?.(tx);
}

async function run(tx: WriteTx, text: string): Promise<void> {
  for (const statement of text.split(/;\s*\n/)) await sql.raw(statement.trim()).execute(tx);
}

function refuseNewer(version: number, known: number): void {
  if (version <= known) return;
  throw invalidRequest(`The database has schema version ${version}; this version of Grantry supports up to ${known}.`, {
    action: 'Install the Grantry version that migrated this database, or a newer one.',
  });
}

function behind(version: number, needed: number): GrantryError {
  const has = version === 0 ? 'has no schema of Grantry' : `has version ${version} of Grantry's schema`;
  return invalidRequest(`The database ${has}; version ${needed} is needed.`, {
    action: 'Run grantry migrate with a role that may change the schema.',
  });
}

function foreign(): GrantryError {
  return invalidRequest('The database has an oauth_tokens table that another program made.', {
    action: 'Stop the programs that write to it, then take it over: grantry init, or openVault({ takeOver: true }).',
  });
}
