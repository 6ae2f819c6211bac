import { Kysely } from 'kysely';
import { GrantryError, invalidRequest } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { randomFraction, type World } from '../base/world.ts';
import { type Clock, clockOf, type Reader, type RowChecks, type WriteTx, writes } from './database.ts';
import type { ChangeMark, Durability, Engine, StoreKind, StoreLocation } from './engine/engine.ts';
import { GuardedDialect } from './engine/guarded-dialect.ts';
import { openSqlite } from './engine/sqlite.ts';
import { noSeal, RowKeyMissing, type RowSeal, rowsWith } from './row-seal.ts';
import type { Schema } from './schema.ts';

export type { ChangeMark, StoreKind, StoreLocation } from './engine/engine.ts';
export { isBusy, isUniqueViolation, mayBeCommitted } from './engine/failures.ts';

export interface StoreOptions {
  /** `sqlite:PATH`, `sqlite::memory:` or `postgres://…`. */
  database: string;
  world: World;
  logger?: Logger | undefined;
  /** PostgreSQL: connections at most; 10 when left out. */
  poolMax?: number | undefined;
  /** SQLite: only reads the file, and neither makes nor changes it. For a dry run. */
  readOnly?: boolean | undefined;
  /** PostgreSQL: opens an engine that Grantry was never tried on, with a warning. */
  allowUntriedEngine?: boolean | undefined;
  /** Says why a server may be used that can lose what it confirmed. Only for throw-away servers of tests. */
  unsafeAllowFsyncOff?: string | undefined;
}

export interface TransactionOptions {
  /** A migration or another job that may take its time. Everything else ends within `limits.transactionMs`. */
  long?: boolean;
}

/**
 * An open database. Every failure of it is a {@link GrantryError}: `storage_unavailable` when it does not answer, is
 * closed or stays busy, `internal` when it refuses a statement.
 */
export interface Store {
  readonly kind: StoreKind;
  /** Reads, one statement at a time. Inside {@link Store.transaction} use what it hands in. */
  readonly db: Reader;
  /**
   * Runs `fn` in one transaction: the database keeps all of it, or nothing. The vault calls this only in `changing`.
   *
   * `fn` awaits only its own statements. It may run more than once: PostgreSQL undoes one of two transactions that block
   * each other.
   */
  transaction: <T>(fn: (tx: WriteTx) => Promise<T>, options?: TransactionOptions) => Promise<T>;
  /** The pause between two looks for changes of other processes. */
  readonly feedPauseMs: number;
  nowMs(): Promise<number>;
  /** SQLite: a number that changes with every commit of another connection. PostgreSQL has none: null. */
  changeCounter(): Promise<number | null>;
  /** The place in the order of changes up to which everything that was committed can be read now. */
  latestChange(): Promise<ChangeMark>;
  location(): Promise<StoreLocation>;
  durability(): Promise<Durability>;
  /** Waits for running statements; later ones fail. */
  close(): Promise<void>;
}

/** A store for those who make or repair databases: its handle may write, and statements may take as long as they need. */
export interface OpenedStore extends Store {
  readonly db: Kysely<Schema> & Clock & RowChecks;
  /** Gives the store the vault's key for the MACs of rows. Before that, statements refuse to read rows that carry one. */
  protect(seal: RowSeal): void;
  /** Runs statements outside of any transaction without a time-out. */
  unhurried<T>(fn: () => Promise<T>): Promise<T>;
}

/**
 * Opens a database; `migrate` makes its schema.
 *
 * @throws {GrantryError} `invalid_request` when the name or the database cannot be used, `storage_unavailable` when the
 * database does not answer
 */
export async function openStore(options: StoreOptions): Promise<OpenedStore> {
  const engine = await openEngine(options);
  const dialect = new GuardedDialect(engine);
  let seal: RowSeal = noSeal;
  const outside = rowsWith(() => seal, { prepare: true });
  const db = Object.assign(new Kysely<Schema>({ dialect: dialect.dialect() }), { now: engine.now, rows: outside });
  const context = { db, dialect, engine, world: options.world, seal: () => seal };
  return {
    kind: engine.kind,
    db,
    protect: (given) => {
      seal = given;
    },
    transaction: (fn, { long = false } = {}) => runTransaction({ ...context, long }, fn),
    unhurried: (fn) => dialect.inScope(true, fn),
    feedPauseMs: engine.feedPauseMs,
    nowMs: () => clockOf(db),
    changeCounter: () => engine.changeCounter(db),
    latestChange: () => engine.latestChange(db),
    location: () => engine.location(db),
    durability: () => engine.durability(db),
    close: () => dialect.close(),
  };
}

async function openEngine(options: StoreOptions): Promise<Engine> {
  const { database, world, logger = silentLogger } = options;
  if (database.startsWith('sqlite:')) {
    return openSqlite({ path: database.slice('sqlite:'.length), world, logger, readOnly: options.readOnly === true });
  }
  if (/^postgres(ql)?:\/\//.test(database)) {
    if (!URL.canParse(database)) throw notADatabase();
    // Loaded with the first PostgreSQL database: a program that uses SQLite never pays for it.
    const { openPostgres } = await import('./engine/postgres.ts');
    const { poolMax = limits.postgresConnectionsMax, unsafeAllowFsyncOff, allowUntriedEngine = false } = options;
    return openPostgres({ url: database, world, logger, poolMax, unsafeAllowFsyncOff, allowUntriedEngine });
  }
  throw notADatabase();
}

/** The message leaves the name out: it may hold a password. */
function notADatabase(): GrantryError {
  return invalidRequest('The database is not named as sqlite:PATH or postgres://USER@HOST/NAME.', {
    action: 'Set GRANTRY_DATABASE to sqlite:PATH or to a postgres:// URL.',
  });
}

interface TransactionContext {
  db: Kysely<Schema>;
  dialect: GuardedDialect;
  engine: Engine;
  world: World;
  seal: () => RowSeal;
  long: boolean;
}

async function runTransaction<T>(context: TransactionContext, fn: (tx: WriteTx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runOnce(context, fn);
    } catch (error) {
      if (error instanceof RowKeyMissing) {
        // Another transaction may have loaded it meanwhile; once loaded it stays.
        if (!context.seal().isReady) await context.seal().prepare();
        continue;
      }
      if (!context.engine.isRepeatable(error) || attempt >= limits.transactionAttemptsMax) throw error;
    }
    await context.world.sleep(10 * attempt * (0.5 + randomFraction(context.world)));
  }
}

function runOnce<T>(
  { db, dialect, engine, world, seal, long }: TransactionContext,
  fn: (tx: WriteTx) => Promise<T>,
): Promise<T> {
  return dialect.inScope(long, (scope) =>
    db.transaction().execute(async (tx) => {
      const start = world.monotonic();
      scope.open = true;
      try {
        const { now, changeMark, locked } = engine;
        const rows = rowsWith(seal, { prepare: false });
        const result = await fn(Object.assign(tx, { now, changeMark, locked, rows, [writes]: true } as const));
        // Its locks have kept others for long enough.
        if (!long && world.monotonic() - start > limits.transactionMs) {
          throw new GrantryError('storage_unavailable', 'The transaction took too long and was rolled back.');
        }
        return result;
      } finally {
        scope.open = false;
      }
    }),
  );
}
