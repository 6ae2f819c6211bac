import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, sql } from 'kysely';
import { type CustomTypesConfig, Pool, type PoolClient, type PoolConfig, type QueryResult } from 'pg';
import { GrantryError } from '../../base/errors.ts';
import { limits, timesOf } from '../../base/limits.ts';
import type { World } from '../../base/world.ts';
import type { Lock, Reader } from '../database.ts';
import type { ChangeMark, Durability, Engine, EngineConnection, EngineResult, EngineStatement } from './engine.ts';
import { isPostgresRepeatable, leavesPostgresCommitOpen, sqlState } from './failures.ts';
import { postgresFailure } from './postgres-failures.ts';
import { type FitnessOptions, refuseUnfit } from './postgres-fitness.ts';
import { placeOf } from './postgres-place.ts';
import { postgresTypes } from './postgres-types.ts';
import { connectionUrl } from './postgres-url.ts';

export interface PostgresOptions extends FitnessOptions {
  url: string;
  world: World;
  /** Connections at most. */
  poolMax: number;
}

/** Opens a pool of connections to a PostgreSQL server, after a check that it is fit to keep grants. */
export async function openPostgres(options: PostgresOptions): Promise<Engine> {
  const pool = new Pool(poolConfig(options));
  // The pool drops an idle connection that breaks; without a listener the process would end.
  pool.on('error', (error) => options.logger.warn('an idle database connection broke', { state: sqlState(error) }));
  try {
    await refuseUnfit(pool, options);
  } catch (error) {
    await pool.end();
    throw postgresFailure(error);
  }
  return {
    kind: 'postgres',
    adapter: new PostgresAdapter(),
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    acquire: async () => new PostgresConnection(await pool.connect()),
    close: () => pool.end(),
    translate: postgresFailure,
    isRepeatable: isPostgresRepeatable,
    leavesCommitOpen: leavesPostgresCommitOpen,
    now,
    changeMark: now,
    locked,
    feedPauseMs: timesOf(options.world).feedPostgresMs,
    changeCounter: async () => null,
    latestChange,
    location: placeOf,
    durability,
  };
}

/**
 * One connection of the pool.
 *
 * Statements are unnamed and settings are local to a transaction, so that a transaction pooler may stand in between.
 */
class PostgresConnection implements EngineConnection {
  readonly #client: PoolClient;
  #broken: Error | undefined;
  readonly #onError = (error: Error): void => {
    this.#broken = error;
  };

  constructor(client: PoolClient) {
    this.#client = client;
    // The connection may break between two statements; the next one then says so.
    client.on('error', this.#onError);
  }

  async execute({ sql: text, parameters, long }: EngineStatement): Promise<EngineResult> {
    const { command, rowCount, rows } = await this.#query(text, parameters, long);
    const writes = command === 'INSERT' || command === 'UPDATE' || command === 'DELETE' || command === 'MERGE';
    return { rows, affected: writes ? BigInt(rowCount ?? 0) : undefined };
  }

  async begin(long: boolean): Promise<void> {
    const limit = long ? 0 : limits.transactionMs;
    await this.#query(
      `begin isolation level read committed; set local statement_timeout = ${limit}; set local idle_in_transaction_session_timeout = ${limit}`,
      [],
      long,
    );
  }

  async commit(): Promise<void> {
    const { command } = await this.#query('commit', [], false);
    if (command === 'COMMIT') return;
    // The server answers ROLLBACK, and no error, when a statement failed and the caller ignored that.
    throw new GrantryError('internal', 'PostgreSQL rolled a transaction back instead of committing it.');
  }

  async rollback(): Promise<void> {
    if (this.#broken) return;
    try {
      await this.#query('rollback', [], false);
    } catch (error) {
      this.#broken ??= asError(error);
    }
  }

  release(): void {
    this.#client.off('error', this.#onError);
    // A pool that gets an error with a connection closes it.
    this.#client.release(this.#broken);
  }

  async #query(text: string, parameters: readonly unknown[], long: boolean): Promise<QueryResult> {
    if (this.#broken) throw this.#broken;
    try {
      const values = [...parameters];
      // The time-out on this side is for a server that vanished.
      const timeout = long ? {} : { query_timeout: limits.transactionMs + limits.postgresGraceMs };
      return await this.#client.query(values.length === 0 ? { text, ...timeout } : { text, values, ...timeout });
    } catch (error) {
      const state = sqlState(error);
      // Without an SQLSTATE the answer may still be under way; 57P… says that the server goes down.
      if (state === undefined || state.startsWith('57P') || state.startsWith('08')) this.#broken ??= asError(error);
      throw error;
    }
  }
}

function poolConfig({ url, world, poolMax }: PostgresOptions): PoolConfig {
  const types: CustomTypesConfig = postgresTypes;
  return {
    connectionString: connectionUrl(url),
    application_name: 'grantry',
    max: poolMax,
    connectionTimeoutMillis: Math.max(limits.postgresConnectMsMin, timesOf(world).connectMs),
    idleTimeoutMillis: limits.postgresIdleMs,
    keepAlive: true,
    // A program that forgets to close its vault can still end.
    allowExitOnIdle: true,
    types,
  };
}

const now = sql<number>`floor(extract(epoch from clock_timestamp()) * 1000)::bigint`;

const locked: Lock = (query, mode = 'update') => {
  if (mode === 'share') return query.forShare();
  return mode === 'skip' ? query.forUpdate().skipLocked() : query.forUpdate();
};

async function durability(db: Reader): Promise<Durability> {
  const names = ['server_version', 'fsync', 'full_page_writes', 'synchronous_commit'] as const;
  const columns = names.map((name) => sql`current_setting(${name}) as ${sql.ref(name)}`);
  const { rows } = await sql<Record<(typeof names)[number], string>>`select ${sql.join(columns)}`.execute(db);
  const { server_version: version, ...settings } = rows[0] ?? { server_version: 'unknown' };
  const off = Object.entries(settings).filter(([, setting]) => setting === 'off');
  if (off.length === 0) {
    const commit = Object.entries(settings).find(([name]) => name === 'synchronous_commit')?.[1];
    return { settings: `PostgreSQL ${version}, synchronous_commit=${commit}`, weakness: null };
  }
  return {
    settings: `PostgreSQL ${version}, ${off.map(([name]) => `${name}=off`).join(', ')}`,
    weakness: 'Turn it on in the server: a crash could lose a confirmed refresh.',
  };
}

/**
 * Lists the transactions that had written, or were about to, and were not over. A snapshot, `xmin:xmax:a,b,c`, names those below
 * `xmax`: a transaction is missing until a later one has ended. Each holds a lock on its own id, of 32 bits, from its
 * start on. Any role may read both.
 */
async function latestChange(db: Reader): Promise<ChangeMark> {
  const { rows } = await sql<{ at: number; snapshot: string; writing: string | null }>`
    select ${now} as at, pg_current_snapshot()::text as snapshot, (
      select string_agg(transactionid::text, ',') from pg_locks
      where locktype = 'transactionid' and mode = 'ExclusiveLock' and granted
    ) as writing`.execute(db);
  const row = rows[0];
  if (row === undefined) throw new GrantryError('internal', 'PostgreSQL did not return its snapshot.');
  const listed = idsIn(row.snapshot.split(':')[2]).map((id) => String(BigInt.asUintN(32, BigInt(id))));
  return { at: row.at, open: [...new Set([...listed, ...idsIn(row.writing)])] };
}

function idsIn(list: string | null | undefined): string[] {
  return (list ?? '').split(',').filter((id) => id !== '');
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('unknown failure');
}
