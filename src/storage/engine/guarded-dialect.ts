import { AsyncLocalStorage } from 'node:async_hooks';
import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult } from 'kysely';
import { assert, GrantryError, invalidRequest } from '../../base/errors.ts';
import type { Binding, Engine, EngineConnection } from './engine.ts';
import { closed, markOpenCommit } from './failures.ts';

/**
 * A Kysely dialect that checks what statements bind and which transaction they belong to, and translates each failure once.
 */
export class GuardedDialect {
  readonly #engine: Engine;
  readonly #scopes = new AsyncLocalStorage<Scope>();
  #closing: Promise<void> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  dialect(): Dialect {
    const engine = this.#engine;
    return {
      createAdapter: () => engine.adapter,
      createDriver: () => this.#driver(),
      createIntrospector: (db) => engine.createIntrospector(db),
      createQueryCompiler: () => engine.createQueryCompiler(),
    };
  }

  /** Runs a transaction, begin to commit, in a scope that notices statements outside of it. */
  inScope<T>(long: boolean, run: (scope: Scope) => Promise<T>): Promise<T> {
    assert(this.#scopes.getStore()?.open !== true, 'a transaction inside a transaction');
    const scope: Scope = { open: false, long };
    return this.#scopes.run(scope, () => run(scope));
  }

  close(): Promise<void> {
    this.#closing ??= this.#engine.close();
    return this.#closing;
  }

  #driver(): Driver {
    return {
      init: async () => {},
      destroy: () => this.close(),
      acquireConnection: () => this.#acquire(),
      beginTransaction: (connection) => this.#begin(guarded(connection)),
      commitTransaction: (connection) => this.#commit(guarded(connection)),
      rollbackTransaction: (connection) => guarded(connection).inner.rollback(),
      releaseConnection: async (connection) => guarded(connection).inner.release(),
    };
  }

  async #acquire(): Promise<DatabaseConnection> {
    if (this.#closing) throw closed();
    // The statement would wait for the connection that its own transaction holds, or miss what the transaction wrote.
    assert(
      this.#scopes.getStore()?.open !== true,
      "a statement bypasses its own transaction: use the transaction's db",
    );
    const connection = await this.#translated(() => this.#engine.acquire());
    return new GuardedConnection(connection, (query, from) => this.#execute(from, query));
  }

  async #begin(connection: GuardedConnection): Promise<void> {
    connection.failed = false;
    await this.#translated(() => connection.inner.begin(this.#long()));
  }

  async #commit(connection: GuardedConnection): Promise<void> {
    // PostgreSQL would roll back in silence, and SQLite would keep the rest.
    assert(!connection.failed, 'a transaction goes on after one of its statements failed');
    try {
      await connection.inner.commit();
    } catch (error) {
      const translated = this.#engine.translate(error);
      throw this.#engine.leavesCommitOpen(error) ? markOpenCommit(translated) : translated;
    }
  }

  async #execute<R>(connection: GuardedConnection, query: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, affected } = await this.#translated(async () => {
      try {
        const parameters = query.parameters.map(checkBinding);
        return await connection.inner.execute({ sql: query.sql, parameters, long: this.#long() });
      } catch (error) {
        connection.failed = true;
        throw error;
      }
    });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Kysely made the statement and R from one type
    const typed = rows as R[];
    return affected === undefined ? { rows: typed } : { rows: typed, numAffectedRows: affected };
  }

  async #translated<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw this.#engine.translate(error);
    }
  }

  #long(): boolean {
    return this.#scopes.getStore()?.long === true;
  }
}

export interface Scope {
  /** The transaction has begun and not ended. */
  open: boolean;
  readonly long: boolean;
}

type Execute = <R>(query: CompiledQuery, from: GuardedConnection) => Promise<QueryResult<R>>;

class GuardedConnection implements DatabaseConnection {
  readonly inner: EngineConnection;
  /** A statement of the transaction has failed. */
  failed = false;
  readonly #execute: Execute;

  constructor(connection: EngineConnection, execute: Execute) {
    this.inner = connection;
    this.#execute = execute;
  }

  executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.#execute(query, this);
  }

  streamQuery(): never {
    assert(false, 'rows are read in pages, never streamed: a stream holds its connection');
  }
}

function guarded(connection: DatabaseConnection): GuardedConnection {
  assert(connection instanceof GuardedConnection, 'the connection was made by the guarded dialect');
  return connection;
}

/** Drivers differ in other kinds of value: a lone `Date` binds NULL, a boolean a number, an array a list. */
function checkBinding(value: unknown): Binding {
  if (value === null || typeof value === 'bigint') return value;
  if (typeof value === 'string') return checkText(value);
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (value instanceof Uint8Array) return value;
  const kind = typeof value === 'number' ? 'NaN or infinite' : typeof value;
  throw new GrantryError('internal', `Assertion failed: a statement binds a value that is ${kind}.`);
}

function checkText(value: string): string {
  if (!value.includes('\0')) return value;
  throw invalidRequest('A text holds a NUL character, which PostgreSQL cannot keep.');
}
