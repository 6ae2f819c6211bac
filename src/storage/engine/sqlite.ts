import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler, sql } from 'kysely';
import { LRUCache } from 'lru-cache';
import { invalidRequest } from '../../base/errors.ts';
import { limits, timesOf } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { systemCodeOf } from '../../base/system-error.ts';
import { randomFraction, type World } from '../../base/world.ts';
import type { Reader } from '../database.ts';
import type { Durability, Engine, EngineConnection, EngineResult, EngineStatement } from './engine.ts';
import { isSqliteBusy, sqliteFailure } from './failures.ts';
import { Mutex } from './mutex.ts';
import { safeInteger } from './safe-integer.ts';
import { placeOf, prepareSqliteFile } from './sqlite-file.ts';

/** Opens the SQLite file `path` (or `:memory:`). Makes a missing file, readable only by its owner. */
export async function openSqlite(options: {
  path: string;
  world: World;
  logger: Logger;
  readOnly?: boolean;
}): Promise<Engine> {
  const { world, readOnly = false } = options;
  const file = options.path === ':memory:' ? undefined : prepareSqliteFile(options.path, options.logger, readOnly);
  const database = await openDatabase(file ?? ':memory:', world, readOnly);
  // A function, not a parameter: a statement may wait for the connection, and a time read before that would be old.
  database.function('grantry_now', () => BigInt(Math.floor(world.now())));
  const connection = new SqliteConnection(database, world);
  return {
    kind: 'sqlite',
    adapter: new SqliteAdapter(),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    acquire: () => connection.acquire(),
    close: () => connection.close(),
    translate: sqliteFailure,
    isRepeatable: () => false,
    // A commit that fails is undone: by SQLite itself, or by the roll-back that follows.
    leavesCommitOpen: () => false,
    now: sql<number>`grantry_now()`,
    // Writers take turns, so these marks grow from commit to commit, also while the clock is set back.
    changeMark: sql<number>`max(grantry_now(), (select coalesce(max(changed_at), 0) + 1 from oauth_tokens))`,
    // Every transaction is `BEGIN IMMEDIATE` and holds the only write lock.
    locked: (query) => query,
    feedPauseMs: timesOf(world).feedSqliteMs,
    changeCounter: async (db) => {
      const { rows } = await sql<{ data_version: number }>`pragma data_version`.execute(db);
      return rows[0]?.data_version ?? null;
    },
    latestChange: async (db) => {
      const { rows } = await sql<{ at: number | null }>`select max(changed_at) as at from oauth_tokens`.execute(db);
      return { at: rows[0]?.at ?? 0, open: [] };
    },
    location: async () => ({ location: file === undefined ? 'memory' : placeOf(file), timeline: null }),
    durability,
  };
}

/** The only connection of a store. Callers use it one after the other. */
class SqliteConnection implements EngineConnection {
  readonly #database: DatabaseSync;
  readonly #world: World;
  readonly #mutex = new Mutex();
  readonly #statements = new LRUCache<string, Prepared>({ max: limits.sqliteStatementsMax });

  constructor(database: DatabaseSync, world: World) {
    this.#database = database;
    this.#world = world;
  }

  async acquire(): Promise<EngineConnection> {
    await this.#mutex.acquire();
    return this;
  }

  release(): void {
    this.#mutex.release();
  }

  async execute({ sql: text, parameters }: EngineStatement): Promise<EngineResult> {
    const run = (): EngineResult => {
      const { statement, reads, writes } = this.#prepare(text);
      if (!reads) return { rows: [], affected: BigInt(statement.run(...parameters).changes) };
      // The driver's rows have no prototype, PostgreSQL's have one: callers must not see a difference.
      const rows = readRows(statement, parameters, writes).map((row) => ({ ...row }));
      return { rows, affected: writes ? BigInt(rows.length) : undefined };
    };
    return this.#database.isTransaction ? run() : this.#patiently(run);
  }

  async begin(): Promise<void> {
    // Immediate: a transaction that begins by reading may find at its first write that another one was faster.
    await this.#patiently(() => this.#database.exec('begin immediate'));
  }

  async commit(): Promise<void> {
    this.#database.exec('commit');
  }

  async rollback(): Promise<void> {
    // SQLite rolls back by itself after some failures, a full disk among them.
    if (this.#database.isTransaction) this.#database.exec('rollback');
  }

  async close(): Promise<void> {
    await this.#mutex.acquire();
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
    this.#mutex.release();
  }

  /** Tries again while another process writes. Waiting inside SQLite would stop this process's event loop. */
  async #patiently<T>(run: () => T): Promise<T> {
    const start = this.#world.monotonic();
    const busyMs = timesOf(this.#world).storageBusyMs;
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 32)) {
      try {
        return run();
      } catch (error) {
        if (!isSqliteBusy(error) || this.#world.monotonic() - start >= busyMs) throw error;
      }
      // Other callers of this process may read meanwhile: a writer does not stop a reader.
      this.#mutex.release();
      await this.#world.sleep(pauseMs * (0.5 + randomFraction(this.#world)));
      await this.#mutex.acquire();
    }
  }

  #prepare(text: string): Prepared {
    const known = this.#statements.get(text);
    if (known) return known;
    const statement = this.#database.prepare(text);
    const prepared = {
      statement,
      reads: statement.columns().length > 0,
      writes: /^\s*(insert|update|delete)/i.test(text),
    };
    this.#statements.set(text, prepared);
    return prepared;
  }
}

/**
 * Reads the rows of a statement. The driver fails at an integer beyond 2^53, which the vault never writes. Then the
 * statement runs again and reads large integers; one that writes cannot run twice, so it reads them at once.
 */
function readRows(statement: StatementSync, parameters: readonly SQLInputValue[], writes: boolean): Row[] {
  if (!writes) {
    try {
      return statement.all(...parameters);
    } catch (error) {
      if (systemCodeOf(error) !== 'ERR_OUT_OF_RANGE') throw error;
    }
  }
  statement.setReadBigInts(true);
  try {
    return statement.all(...parameters).map((row) => {
      for (const [name, value] of Object.entries(row)) {
        if (typeof value === 'bigint') row[name] = safeInteger(Number(value));
      }
      return row;
    });
  } finally {
    statement.setReadBigInts(false);
  }
}

type Row = ReturnType<StatementSync['all']>[number];

interface Prepared {
  statement: StatementSync;
  /** It returns rows. */
  reads: boolean;
  writes: boolean;
}

async function openDatabase(path: string, world: World, readOnly: boolean): Promise<DatabaseSync> {
  const start = world.monotonic();
  for (;;) {
    try {
      if (readOnly) return new DatabaseSync(path, { readOnly, timeout: limits.sqliteOpenBusyMs });
      return configured(path);
    } catch (error) {
      // SQLite does not wait where it sees a deadlock: two processes that both switch to WAL are one.
      if (!isSqliteBusy(error) || world.monotonic() - start >= timesOf(world).storageBusyMs) throw sqliteFailure(error);
    }
    await world.sleep(5 + 20 * randomFraction(world));
  }
}

function configured(path: string): DatabaseSync {
  // The time-out comes before the switch to WAL: else processes that start together fail.
  const database = new DatabaseSync(path, { timeout: limits.sqliteOpenBusyMs, enableForeignKeyConstraints: true });
  try {
    const mode = database.prepare('pragma journal_mode = wal').get()?.['journal_mode'];
    if (path !== ':memory:' && mode !== 'wal') {
      throw invalidRequest('The file system of the SQLite database does not support a write-ahead log.', {
        action: 'Put the database on a local disk.',
      });
    }
    database.exec('pragma synchronous = full; pragma trusted_schema = off; pragma busy_timeout = 0');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

async function durability(db: Reader): Promise<Durability> {
  const { rows } = await sql<{ journal: string; synchronous: number }>`select journal_mode as journal, synchronous
    from pragma_journal_mode, pragma_synchronous`.execute(db);
  const { journal = '', synchronous = 0 } = rows[0] ?? {};
  // 2 is FULL, 3 is EXTRA.
  if (journal === 'wal' && synchronous >= 2) return { settings: 'SQLite, WAL, synchronous=FULL', weakness: null };
  return {
    settings: `SQLite, journal_mode=${journal}, synchronous=${synchronous}`,
    weakness: 'Put the database into WAL mode with synchronous=FULL: a power failure could lose a confirmed refresh.',
  };
}
