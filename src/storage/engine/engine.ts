import type { DatabaseIntrospector, DialectAdapter, Kysely, QueryCompiler, RawBuilder } from 'kysely';
import type { GrantryError } from '../../base/errors.ts';
import type { Lock, Reader } from '../database.ts';

export type StoreKind = 'sqlite' | 'postgres';

/** The kinds of value that mean the same in both databases. */
export type Binding = string | number | bigint | null | Uint8Array;

/** The place of a database: a copy or a restore elsewhere changes it. */
export interface StoreLocation {
  /**
   * SQLite: the file's inode and its birth. PostgreSQL: system identifier and database oid, and what a managed service
   * tells besides, such as `neon:TIMELINE`. A role that may not read the identifier leaves its place empty.
   */
  location: string;
  /** PostgreSQL's timeline: it grows with each promotion of a standby. */
  timeline: number | null;
}

/** Tells whether a power failure may cost what the database confirmed. */
export interface Durability {
  /** The settings that decide it, for people. */
  readonly settings: string;
  /** The change that an operator must make; null when none. */
  readonly weakness: string | null;
}

/** The parts in which databases differ; `sqlite.ts` and `postgres.ts` implement it. */
export interface Engine {
  readonly kind: StoreKind;
  readonly adapter: DialectAdapter;
  createQueryCompiler(): QueryCompiler;
  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector;
  acquire(): Promise<EngineConnection>;
  /** Waits for running statements, then lets go of the database. */
  close(): Promise<void>;
  /** Translates a failure of this driver; no other code looks at foreign errors. */
  translate(error: unknown): GrantryError;
  /** True for a failure after which the same transaction may succeed: the database kept nothing of it. */
  isRepeatable(error: unknown): boolean;
  /** True for a failure of a commit that may have succeeded, or may succeed later. */
  leavesCommitOpen(error: unknown): boolean;
  readonly now: RawBuilder<number>;
  /** The mark of a change of a grant, for its `changed_at`; see {@link ChangeMark}. */
  readonly changeMark: RawBuilder<number>;
  readonly locked: Lock;
  /** The pause between two looks for changes of other processes. */
  readonly feedPauseMs: number;
  changeCounter(db: Reader): Promise<number | null>;
  latestChange(db: Reader): Promise<ChangeMark>;
  location(db: Reader): Promise<StoreLocation>;
  durability(db: Reader): Promise<Durability>;
}

/**
 * A point in the order in which changes become visible. Who has read all changes up to `at`, and later reads those from `at`
 * on, misses none but those of the transactions in `open`. They may be committed later, with an earlier mark.
 */
export interface ChangeMark {
  /** The mark of the newest change, or an upper bound of it, by the clock of the database. */
  readonly at: number;
  /** The transactions that were in progress. SQLite has none: its writers take turns. */
  readonly open: readonly string[];
}

export interface EngineConnection {
  execute(statement: EngineStatement): Promise<EngineResult>;
  begin(long: boolean): Promise<void>;
  commit(): Promise<void>;
  /** Never fails: the pool drops a connection that cannot roll back, and the server rolls back. */
  rollback(): Promise<void>;
  release(): void;
}

export interface EngineStatement {
  sql: string;
  parameters: readonly Binding[];
  /** Part of a long job such as a migration: it has no time-out. */
  long: boolean;
}

export interface EngineResult {
  rows: unknown[];
  /** The rows that an insert, update or delete wrote. */
  affected: bigint | undefined;
}
