import { sql } from 'kysely';
import { changedRows, type Reader, type WriteTx } from '../database.ts';
import type { TokenRequest } from '../schema.ts';

/**
 * Counts a request against the provider's limit, before it is sent. The row of the refresh token is locked until the
 * transaction ends, so that processes count one after the other, whichever grant of the token they refresh. A request from
 * further in the future than `marginMs` does not count: the clock that dated it was ahead.
 *
 * @returns undefined when the request is counted; else how long ago the request was sent that must leave the window first,
 * and the caller must undo the transaction
 */
export async function countTokenRequest(
  tx: WriteTx,
  request: { fingerprint: string; attemptId: string },
  limit: { requests: number; windowMs: number; marginMs: number },
): Promise<{ ageMs: number } | undefined> {
  const { fingerprint } = request;
  const row = await tx
    .insertInto('grantry_token_requests')
    .values({ fingerprint, requests: '[]', last_at: tx.now })
    .onConflict((conflict) => conflict.column('fingerprint').doUpdateSet({ last_at: tx.now }))
    .returning(['requests', 'last_at as now'])
    .executeTakeFirstOrThrow();
  const { windowMs, marginMs } = limit;
  const recent = read(row).filter(({ at }) => at > row.now - windowMs && at <= row.now + marginMs);
  const oldest = recent.at(-limit.requests);
  if (recent.length >= limit.requests && oldest !== undefined) return { ageMs: Math.max(0, row.now - oldest.at) };
  await write(tx, fingerprint, [...recent, { attempt: request.attemptId, at: row.now }]);
  return undefined;
}

/** The times of the requests of a refresh token within a window, oldest first. */
export async function tokenRequestsOf(
  db: Reader,
  fingerprint: string,
  { windowMs, marginMs }: { windowMs: number; marginMs: number },
): Promise<number[]> {
  const row = await db
    .selectFrom('grantry_token_requests')
    .select(['requests', db.now.as('now')])
    .where('fingerprint', '=', fingerprint)
    .executeTakeFirst();
  return row === undefined ? [] : sentRequests(row).sentWithin({ windowMs, marginMs });
}

/** The requests of a refresh token, as its row holds them. */
export interface SentRequests {
  /** Returns their times within a window that ends now, oldest first. */
  readonly sentWithin: (window: { windowMs: number; marginMs: number }) => number[];
}

export function sentRequests(row: { readonly requests: string; readonly now: number }): SentRequests {
  return {
    sentWithin: ({ windowMs, marginMs }) =>
      read(row).flatMap(({ at }) => (at > row.now - windowMs && at <= row.now + marginMs ? at : [])),
  };
}

/** Takes back a request that was certainly not sent. */
export async function deleteTokenRequest(
  tx: WriteTx,
  request: { fingerprint: string; attemptId: string },
): Promise<void> {
  const { fingerprint, attemptId } = request;
  const query = tx.selectFrom('grantry_token_requests').select('requests').where('fingerprint', '=', fingerprint);
  const row = await tx.locked(query).executeTakeFirst();
  if (row === undefined) return;
  const others = read(row).filter(({ attempt }) => attempt !== attemptId);
  await write(tx, fingerprint, others);
}

/**
 * Forgets the tokens whose last request is oldest, at most `limit` of them: nothing counts a replaced token again.
 * Returns how many it forgot.
 */
export async function purgeTokenRequests(
  tx: WriteTx,
  { keptMs, limit }: { keptMs: number; limit: number },
): Promise<number> {
  return changedRows(
    tx.deleteFrom('grantry_token_requests').where('fingerprint', 'in', (from) =>
      tx.locked(
        from
          .selectFrom('grantry_token_requests')
          .select('fingerprint')
          // As a subquery the clock is read once, and the index can serve.
          .where('last_at', '<=', sql<number>`(select ${tx.now} - ${keptMs})`)
          .orderBy('last_at')
          .limit(limit),
        'skip',
      ),
    ),
  );
}

function read({ requests }: { requests: string }): TokenRequest[] {
  // Only this file writes the column, as an array of requests.
  return JSON.parse(requests) as TokenRequest[];
}

async function write(tx: WriteTx, fingerprint: string, requests: readonly TokenRequest[]): Promise<void> {
  await tx
    .updateTable('grantry_token_requests')
    .set({ requests: JSON.stringify(requests) })
    .where('fingerprint', '=', fingerprint)
    .execute();
}
