import type { DeleteResult, InsertResult, Kysely, RawBuilder, SelectQueryBuilder, UpdateResult } from 'kysely';
import type { Rows } from './row-seal.ts';
import type { Schema } from './schema.ts';

/** `update` keeps others from changing the rows, `share` only from changing them; `skip` passes over rows that others hold. */
export type LockMode = 'update' | 'share' | 'skip';

/** Locks the rows of a query until the transaction ends. SQLite locks the whole database instead. */
export type Lock = <DB, TB extends keyof DB, O>(
  query: SelectQueryBuilder<DB, TB, O>,
  mode?: LockMode,
) => SelectQueryBuilder<DB, TB, O>;

export interface Clock {
  /** The database's clock in milliseconds, as a part of a statement. SQLite reads this host's clock. */
  readonly now: RawBuilder<number>;
}

/** The checks of rows that carry a MAC. */
export interface RowChecks {
  readonly rows: Rows;
}

/** A handle that only reads: single statements outside of a transaction, or a {@link WriteTx}. */
export type Reader = Pick<Kysely<Schema>, 'selectFrom' | 'selectNoFrom' | 'getExecutor'> & Clock & RowChecks;

/** Marks the transactions that may write. Only `Store.transaction` sets it. */
export const writes: unique symbol = Symbol('writes');

/** A transaction. Every statement that writes takes one, so that the compiler refuses a write outside of it. */
export type WriteTx = Reader &
  Pick<Kysely<Schema>, 'insertInto' | 'updateTable' | 'deleteFrom'> & {
    readonly locked: Lock;
    /** The value of `changed_at` for a change that other processes must see. */
    readonly changeMark: RawBuilder<number>;
    readonly [writes]: true;
  };

type WriteResult = InsertResult | UpdateResult | DeleteResult;

/** Reads the database's clock, for a row whose MAC holds a time. */
export async function clockOf(db: Reader): Promise<number> {
  return (await db.selectNoFrom(db.now.as('now')).executeTakeFirstOrThrow()).now;
}

/** Runs a statement that writes. Returns how many rows it inserted, updated or deleted. */
export async function changedRows(query: { execute(): Promise<readonly WriteResult[]> }): Promise<number> {
  const [result] = await query.execute();
  return Number(result === undefined ? 0 : writtenBy(result));
}

/** Runs a statement that writes at most one row. Returns true when it wrote that row. */
export async function changedOne(query: { execute(): Promise<readonly WriteResult[]> }): Promise<boolean> {
  return (await changedRows(query)) === 1;
}

/** Tells whether a query finds a row. */
export async function findsOne<DB, TB extends keyof DB, O>(query: SelectQueryBuilder<DB, TB, O>): Promise<boolean> {
  return (await query.limit(1).executeTakeFirst()) !== undefined;
}

/** Counts the rows of a query. */
export async function countRows<DB, TB extends keyof DB, O>(query: SelectQueryBuilder<DB, TB, O>): Promise<number> {
  const counted = query.select(({ fn }) => fn.countAll().as('count')).$castTo<{ count: number | string | bigint }>();
  return Number((await counted.executeTakeFirstOrThrow()).count);
}

function writtenBy(result: WriteResult): bigint {
  if ('numUpdatedRows' in result) return result.numUpdatedRows;
  if ('numDeletedRows' in result) return result.numDeletedRows;
  return result.numInsertedOrUpdatedRows ?? 0n;
}
