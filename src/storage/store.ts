import { Kysely, type RawBuilder, type Transaction } from 'kysely';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { randomFraction, type World } from '../base/world.ts';
import type { Engine, StoreKind, StoreLocation } from './engine/engine.ts';
import { Wall } from './engine/guarded-dialect.ts';
import { openSqlite } from './engine/sqlite.ts';
import type { Schema } from './schema.ts';

export type { StoreKind, StoreLocation } from './engine/engine.ts';
export { isBusy, isUniqueViolation } from './engine/failures.ts';

export interface StoreOptions {
  /** `sqlite:PATH`, `sqlite::memory:` or `postgres://…`. */
  database: string;
  world: World;
  logger?: Logger | undefined;
  /** PostgreSQL: connections at most; 10 when left out. */
  poolMax?: number | undefined;
  /** SQLite: the file is read as it is, and neither made nor changed in any way. For a look ahead alone. */
  readOnly?: boolean | undefined;
  /** Says why a server that may lose what it confirmed will do: for throw-away servers of tests alone. */
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
  /** For single statements. Inside {@link Store.transaction} use what it hands in. */
  readonly db: Kysely<Schema>;
  /**
   * Runs `fn` in one transaction: all of it is kept, or nothing.
   *
   * `fn` awaits nothing but its own statements, and may run more than once: PostgreSQL undoes one of two transactions that
   * stand in each other's way.
   */
  transaction<T>(fn: (tx: Transaction<Schema>) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Runs statements outside of any transaction that may take as long as they need. */
  unhurried<T>(fn: () => Promise<T>): Promise<T>;
  /** The database's clock, in milliseconds, to be used inside a statement. SQLite's is this host's. */
  now(): RawBuilder<number>;
  nowMs(): Promise<number>;
  /** SQLite: a number that changes with every commit of another connection. PostgreSQL has none: null. */
  changeCounter(): Promise<number | null>;
  location(): Promise<StoreLocation>;
  /** Waits for what is under way; whatever is asked for afterwards fails. */
  close(): Promise<void>;
}

/**
 * Opens a database; its schema is the business of `migrations.ts`.
 *
 * @throws {GrantryError} `invalid_request` when the name or the database cannot be used, `storage_unavailable` when the
 * database does not answer
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const engine = await openEngine(options);
  const wall = new Wall(engine);
  const db = new Kysely<Schema>({ dialect: wall.dialect() });
  return {
    kind: engine.kind,
    db,
    transaction: (fn, { long = false } = {}) => runTransaction({ db, wall, engine, world: options.world, long }, fn),
    unhurried: (fn) => wall.inScope(true, fn),
    now: () => engine.now(),
    nowMs: async () => {
      const { now } = await db.selectNoFrom(engine.now().as('now')).executeTakeFirstOrThrow();
      return now;
    },
    changeCounter: () => engine.changeCounter(db),
    location: () => engine.location(db),
    close: () => wall.close(),
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
    const { poolMax = limits.postgresConnectionsMax, unsafeAllowFsyncOff } = options;
    return openPostgres({ url: database, world, logger, poolMax, unsafeAllowFsyncOff });
  }
  throw notADatabase();
}

/** The name itself is not repeated: it may hold a password. */
function notADatabase(): GrantryError {
  return new GrantryError('invalid_request', 'The database is not named as sqlite:PATH or postgres://USER@HOST/NAME.', {
    action: 'Set GRANTRY_DATABASE to sqlite:PATH or to a postgres:// URL.',
  });
}

interface TransactionContext {
  db: Kysely<Schema>;
  wall: Wall;
  engine: Engine;
  world: World;
  long: boolean;
}

async function runTransaction<T>(context: TransactionContext, fn: (tx: Transaction<Schema>) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runOnce(context, fn);
    } catch (error) {
      if (!context.engine.isRepeatable(error) || attempt >= limits.transactionAttemptsMax) throw error;
    }
    await context.world.sleep(10 * attempt * (0.5 + randomFraction(context.world)));
  }
}

function runOnce<T>(
  { db, wall, world, long }: TransactionContext,
  fn: (tx: Transaction<Schema>) => Promise<T>,
): Promise<T> {
  return wall.inScope(long, (scope) =>
    db.transaction().execute(async (tx) => {
      const start = world.monotonic();
      scope.open = true;
      try {
        const result = await fn(tx);
        // Other processes read changes again only so far back: what commits later than that, nobody would see.
        if (!long && world.monotonic() - start > limits.transactionMs) {
          throw new GrantryError('storage_unavailable', 'The transaction took too long and was undone.');
        }
        return result;
      } finally {
        scope.open = false;
      }
    }),
  );
}
