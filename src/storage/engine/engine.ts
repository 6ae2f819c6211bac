import type { DatabaseIntrospector, DialectAdapter, Kysely, QueryCompiler, RawBuilder } from 'kysely';
import type { GrantryError } from '../../base/errors.ts';
import type { Schema } from '../schema.ts';

export type StoreKind = 'sqlite' | 'postgres';

/** What a statement may bind: the kinds that mean the same in both databases. */
export type Binding = string | number | bigint | null | Uint8Array;

/** Where a database lives, to notice that it was copied or restored elsewhere. */
export interface StoreLocation {
  /** PostgreSQL: system identifier and database oid. SQLite: the file's inode and its birth. */
  location: string;
  /** PostgreSQL's timeline: it grows with each promotion of a standby. */
  timeline: number | null;
}

/** One database, seen from the wall: two implementations, `sqlite.ts` and `postgres.ts`. */
export interface Engine {
  readonly kind: StoreKind;
  readonly adapter: DialectAdapter;
  createQueryCompiler(): QueryCompiler;
  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector;
  acquire(): Promise<EngineConnection>;
  /** Waits for what is under way, then lets go of the database. */
  close(): Promise<void>;
  /** What a failure of this driver means; the only place that looks at foreign errors. */
  translate(error: unknown): GrantryError;
  /** True for a failure after which the same transaction, run again, may succeed: nothing of it was kept. */
  isRepeatable(error: unknown): boolean;
  now(): RawBuilder<number>;
  changeCounter(db: Kysely<Schema>): Promise<number | null>;
  location(db: Kysely<Schema>): Promise<StoreLocation>;
}

export interface EngineConnection {
  execute(statement: EngineStatement): Promise<EngineResult>;
  begin(long: boolean): Promise<void>;
  commit(): Promise<void>;
  /** Never fails: a connection that cannot roll back is thrown away, and the server rolls back. */
  rollback(): Promise<void>;
  release(): void;
}

export interface EngineStatement {
  sql: string;
  parameters: readonly Binding[];
  /** Part of a migration or the like: no time-out. */
  long: boolean;
}

export interface EngineResult {
  rows: unknown[];
  /** Of inserts, updates and deletes. */
  affected: bigint | undefined;
}
