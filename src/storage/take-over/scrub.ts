import { sql } from 'kysely';
import type { Reader } from '../database.ts';
import { isBusy } from '../engine/failures.ts';
import type { OpenedStore, Store } from '../store.ts';

/** `busy`: other programs use the database, and the same may succeed later. */
export type Scrubbed =
  | { readonly outcome: 'done' | 'busy' }
  /** All that this role may rewrite is rewritten. A superuser or the database's owner must run the statement. */
  | { readonly outcome: 'partly'; readonly statement: string };

/** Two processes that scrub at once would wait for each other. The number is arbitrary. */
const scrubLockKey = 7_238_946_110_202;
const lockWaitMs = 3_000;
const snapshotPollMs = 50;

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
  // The settings and the lock belong to one connection, and none of these statements may run in a transaction.
  return store.unhurried(() =>
    store.db.connection().execute(async (db) => {
      const { rows } = await sql<{ got: boolean }>`select pg_try_advisory_lock(${scrubLockKey}) as got`.execute(db);
      if (rows[0]?.got !== true) return { outcome: 'busy' as const };
      try {
        await sql`select set_config('lock_timeout', ${String(lockWaitMs)}, false)`.execute(db);
        return await rewritePostgres(db);
      } finally {
        await sql`reset lock_timeout`.execute(db);
        await sql`select pg_advisory_unlock(${scrubLockKey})`.execute(db);
      }
    }),
  );
}

type Connection = Pick<Reader, 'getExecutor'>;

async function rewritePostgres(db: Connection): Promise<Scrubbed> {
  if (!(await oldSnapshotsEnd(db))) return { outcome: 'busy' };
  // The planner's samples of the table are copies of its values: take new ones, then rewrite the old ones.
  for (const statement of [sql`analyze oauth_tokens`, sql`vacuum (full, analyze) oauth_tokens`]) {
    if (!(await isFree(() => statement.execute(db)))) return { outcome: 'busy' };
  }
  if (!(await mayVacuumCatalogue(db))) return { outcome: 'partly', statement: 'vacuum full pg_catalog.pg_statistic' };
  const rewritten = await isFree(() => sql`vacuum full pg_catalog.pg_statistic`.execute(db));
  return { outcome: rewritten ? 'done' : 'busy' };
}

/**
 * Waits until no snapshot is older than this moment: VACUUM FULL keeps a dead tuple, plaintext included, while a snapshot
 * may still see it. Such a snapshot needs no lock on the table; autovacuum and standbys have some, too.
 */
async function oldSnapshotsEnd(db: Connection): Promise<boolean> {
  const { rows } = await sql<{ now: string }>`
    select (pg_snapshot_xmax(pg_current_snapshot())::text::bigint % 4294967296)::text as now`.execute(db);
  const now = sql`${rows[0]?.now}::text::xid`;
  for (let waitedMs = 0; waitedMs < lockWaitMs; waitedMs += snapshotPollMs) {
    const { rows: older } = await sql`
      select from pg_stat_activity where pid <> pg_backend_pid() and age(backend_xmin) > age(${now})
        and (datname = current_database() or backend_type = 'walsender')
      union all select from pg_replication_slots where age(xmin) > age(${now})`.execute(db);
    if (older.length === 0) return true;
    await sql`select pg_sleep(${snapshotPollMs / 1_000})`.execute(db);
  }
  return false;
}

async function mayVacuumCatalogue(db: Connection): Promise<boolean> {
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
