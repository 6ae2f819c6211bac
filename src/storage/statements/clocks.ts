import { type RawBuilder, sql } from 'kysely';
import { changedOne, changedRows, type Reader, type WriteTx } from '../database.ts';
import type { GrantRow } from './grants.ts';

/** The longest times that can stand in a grant's row, in milliseconds from now, and the error that is allowed for. */
export interface LongestTimes {
  readonly leaseMs: number;
  readonly overlapMs: number;
  readonly retryMs: number;
  readonly marginMs: number;
}

/** The columns that show that the database's clock was ahead. */
export type TimedRow = Pick<
  GrantRow,
  'lease_until' | 'overlap_until' | 'retry_at' | 'doubt_since' | 'condemned_at' | 'changed_at'
>;

/** Tells whether a row has a time that only a clock can have written that was ahead and was set back since. */
export function isAhead(row: TimedRow, longest: LongestTimes, now: number): boolean {
  return limitsOf(longest).some(([column, ms]) => (row[column] ?? 0) > now + ms);
}

/**
 * Cuts the times of such a row, in case it still has them. A back-off is over. A lease ends after its longest time from
 * now, as its holder may have a request under way.
 */
export async function cutGrantTimes(
  tx: WriteTx,
  grant: { tenant: string; grantId: string },
  longest: LongestTimes,
): Promise<boolean> {
  const ahead = new Map(limitsOf(longest).map(([column, ms]) => [column, isBeyond(tx, column, ms)] as const));
  const any = sql.join([...ahead.values()], sql` or `);
  const isLeased = isBeyond(tx, 'lease_until', longest.leaseMs + longest.marginMs);
  const leaseEnd = sql<number>`${tx.now} + ${longest.leaseMs}`;
  const cut = (column: keyof TimedRow, to: RawBuilder<number>) =>
    sql<number>`case when ${ahead.get(column)} then ${to} else ${sql.ref(column)} end`;
  return tx
    .updateTable('oauth_tokens')
    .set({
      lease_until: cut('lease_until', leaseEnd),
      overlap_until: cut('overlap_until', sql<number>`${tx.now} + ${longest.overlapMs}`),
      retry_at: sql<number>`case when ${isLeased} and retry_at is not null then ${leaseEnd} end`,
      doubt_since: cut('doubt_since', tx.now),
      condemned_at: cut('condemned_at', tx.now),
      changed_at: cut('changed_at', tx.now),
      due_at: sql<number>`case when state = 'disconnected' then due_at when ${isLeased} then ${leaseEnd} else ${tx.now} end`,
    })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.grantId)
    .where(sql<boolean>`(${any})`)
    .$call(changedOne);
}

/** Lists grants that were changed or claimed by a clock that was ahead, of all tenants. Both searches use an index. */
export async function listAhead(
  db: Reader,
  { marginMs, limit }: { marginMs: number; limit: number },
): Promise<Pick<GrantRow, 'client_id' | 'id' | 'provider'>[]> {
  const ahead = sql<number>`(select ${db.now} + ${marginMs})`;
  const columns = ['client_id', 'id', 'provider'] as const;
  const changed = db.selectFrom('oauth_tokens').select(columns).where('changed_at', '>', ahead).limit(limit);
  const claimed = db
    .selectFrom('oauth_tokens')
    .select(columns)
    .where((where) =>
      where(
        where.refTuple('client_id', 'id'),
        'in',
        where
          .selectFrom('grantry_attempts')
          .select(['tenant', 'grant_id'])
          .where('started_at', '>', ahead)
          .limit(limit)
          .$asTuple('tenant', 'grant_id'),
      ),
    );
  return [...(await changed.execute()), ...(await claimed.execute())];
}

/** Dates attempts that a clock began that was ahead as begun now: they count for as long as any other from here. */
export async function cutAttemptTimes(tx: WriteTx, marginMs: number): Promise<number> {
  return tx
    .updateTable('grantry_attempts')
    .set({ started_at: tx.now, finished_at: sql<number>`case when finished_at is not null then ${tx.now} end` })
    .where('started_at', '>', sql<number>`(select ${tx.now} + ${marginMs})`)
    .$call(changedRows);
}

/** Each column with the most that it can lie ahead. */
function limitsOf({ leaseMs, overlapMs, retryMs, marginMs }: LongestTimes): readonly [keyof TimedRow, number][] {
  return [
    ['lease_until', leaseMs + marginMs],
    ['overlap_until', overlapMs + marginMs],
    ['retry_at', retryMs + marginMs],
    ['doubt_since', marginMs],
    ['condemned_at', marginMs],
    ['changed_at', marginMs],
  ];
}

function isBeyond(tx: WriteTx, column: keyof TimedRow, ms: number): RawBuilder<boolean> {
  return sql<boolean>`(${sql.ref(column)} is not null and ${sql.ref(column)} > ${tx.now} + ${ms})`;
}
