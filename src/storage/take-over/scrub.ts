import { sql } from 'kysely';
import type { Reader } from '../database.ts';
import { isBusy } from '../engine/failures.ts';
import type { OpenedStore, Store } from '../store.ts';

/** `busy`: other programs use the database, and the same may succeed later. */
export type Scrubbed =
  | { readonly outcome: 'done' | 'busy' }
  /** All that this role may rewrite is rewritten. A superuser or the database's owner must run the statement. */
  | { readonly outcome: 'partly'; readonly statement: string };

const lockWaitMs = 3_000;
const pollMs = 50;

/** Makes SQLite overwrite with zeros what it deletes; PostgreSQL has no such setting. */
export async function overwriteDeleted(store: Store, on: boolean): Promise<void> {
  if (store.kind === 'sqlite') await sql`pragma secure_delete = ${sql.raw(on ? 'on' : 'off')}`.execute(store.db);
}

/**
 * Rewrites all places that may still hold plaintext of rows that were taken over: SQLite's free pages and write-ahead log,
 * PostgreSQL's dead tuples and statistics.
 */
export async function scrubPlaintext(store: OpenedStore): Promise<Scrubbed> {
  return store.kind === 'sqlite' ? scrubSqlite(store) : scrubPostgres(store);
}

async function scrubSqlite(store: Store): Promise<Scrubbed> {
  if (!(await isFree(() => sql`vacuum`.execute(store.db)))) return { outcome: 'busy' };
  const { rows } = await sql<{ busy: number }>`pragma wal_checkpoint(truncate)`.execute(store.db);
  return { outcome: rows[0]?.busy === 0 ? 'done' : 'busy' };
}

async function scrubPostgres(store: OpenedStore): Promise<Scrubbed> {
  // A transaction pooler may give each statement another connection. So no lock and no setting here belongs to a session.
  return store.unhurried(() => rewritePostgres(store));
}

async function rewritePostgres(store: OpenedStore): Promise<Scrubbed> {
  const { db } = store;
  if (!(await oldSnapshotsEnd(db))) return { outcome: 'busy' };
  // The planner's samples of the table are copies of its values: take new ones, then rewrite the old ones.
  if (!(await isFree(() => resample(store)))) return { outcome: 'busy' };
  if (!(await isRewritten(db, 'oauth_tokens'))) return { outcome: 'busy' };
  if (!(await mayVacuumCatalogue(db))) return { outcome: 'partly', statement: 'vacuum full pg_catalog.pg_statistic' };
  return { outcome: (await isRewritten(db, 'pg_catalog.pg_statistic')) ? 'done' : 'busy' };
}

async function resample(store: OpenedStore): Promise<void> {
  await store.transaction(
    async (tx) => {
      await sql`set local lock_timeout = ${sql.raw(String(lockWaitMs))}`.execute(tx);
      await sql`analyze oauth_tokens`.execute(tx);
    },
    { long: true },
  );
}

/**
 * Rewrites a table into a new file. A table that another connection holds is skipped without an error, and keeps its file: then
 * this tries again for a while.
 */
async function isRewritten(db: Reader, table: 'oauth_tokens' | 'pg_catalog.pg_statistic'): Promise<boolean> {
  const before = await fileOf(db, table);
  for (let waitedMs = 0; waitedMs < lockWaitMs; waitedMs += pollMs) {
    await isFree(() => sql`vacuum (full, skip_locked) ${sql.raw(table)}`.execute(db));
    if ((await fileOf(db, table)) !== before) return true;
    await pause(db);
  }
  return false;
}

async function fileOf(db: Reader, table: string): Promise<number | undefined> {
  const { rows } = await sql<{ file: number }>`select pg_relation_filenode(${table}::regclass)::bigint as file`.execute(
    db,
  );
  return rows[0]?.file;
}

async function pause(db: Reader): Promise<void> {
  await sql`select pg_sleep(${pollMs / 1_000})`.execute(db);
}

/**
 * Waits until no snapshot is older than this moment: VACUUM FULL keeps a dead tuple, plaintext included, while a snapshot
 * may still see it. Such a snapshot needs no lock on the table; autovacuum and standbys have some, too.
 */
async function oldSnapshotsEnd(db: Reader): Promise<boolean> {
  const { rows } = await sql<{ now: string }>`
    select (pg_snapshot_xmax(pg_current_snapshot())::text::bigint % 4294967296)::text as now`.execute(db);
  const now = sql`${rows[0]?.now}::text::xid`;
  for (let waitedMs = 0; waitedMs < lockWaitMs; waitedMs += pollMs) {
    const { rows: older } = await sql`
      select from pg_stat_activity where pid <> pg_backend_pid() and age(backend_xmin) > age(${now})
        and (datname = current_database() or backend_type = 'walsender')
      union all select from pg_replication_slots where age(xmin) > age(${now})`.execute(db);
    if (older.length === 0) return true;
    await pause(db);
  }
  return false;
}

async function mayVacuumCatalogue(db: Reader): Promise<boolean> {
  const { rows } = await sql<{ may: boolean }>`select pg_has_role(datdba, 'usage')
      or (select rolsuper from pg_roles where rolname = current_user) as may
    from pg_database where datname = current_database()`.execute(db);
  return rows[0]?.may === true;
}

/** Returns false when a lock could not be taken. */
async function isFree(run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}
