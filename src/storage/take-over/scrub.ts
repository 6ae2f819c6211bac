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
  // The planner's samples of the table are copies of its values: take new ones, then rewrite the old ones.
  for (const statement of [sql`analyze oauth_tokens`, sql`vacuum (full, analyze) oauth_tokens`]) {
    if (!(await isFree(() => statement.execute(db)))) return { outcome: 'busy' };
  }
  if (!(await mayVacuumCatalogue(db))) return { outcome: 'partly', statement: 'vacuum full pg_catalog.pg_statistic' };
  const rewritten = await isFree(() => sql`vacuum full pg_catalog.pg_statistic`.execute(db));
  return { outcome: rewritten ? 'done' : 'busy' };
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
