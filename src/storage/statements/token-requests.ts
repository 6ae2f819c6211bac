import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Schema } from '../schema.ts';

/**
 * Makes everybody who counts the requests made with one refresh token take turns until the transaction ends.
 *
 * Several rows may hold the same token, so no row lock serves; SQLite's transactions take turns anyway.
 */
export async function lockBudget(tx: Kysely<Schema>, kind: 'sqlite' | 'postgres', fingerprint: string): Promise<void> {
  if (kind === 'postgres') await sql`select pg_advisory_xact_lock(hashtextextended(${fingerprint}, 0))`.execute(tx);
}

/** The times of the requests made with a refresh token within the last `windowMs`, oldest first, with the time now. */
export async function recentTokenRequests(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  fingerprint: string,
  windowMs: number,
): Promise<number[]> {
  const rows = await tx
    .selectFrom('grantry_token_requests')
    .select('at')
    .where('fingerprint', '=', fingerprint)
    .where('at', '>', sql<number>`${now} - ${windowMs}`)
    .orderBy('at')
    .execute();
  return rows.map((row) => row.at);
}

/** Counts a request against the provider's limit, before it is sent. */
export async function insertTokenRequest(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  request: { fingerprint: string; attemptId: string },
): Promise<void> {
  await tx
    .insertInto('grantry_token_requests')
    .values({ fingerprint: request.fingerprint, attempt_id: request.attemptId, at: now })
    .execute();
}

/** Takes a request back that was certainly not sent. */
export async function deleteTokenRequest(
  tx: Kysely<Schema>,
  request: { fingerprint: string; attemptId: string },
): Promise<void> {
  await tx
    .deleteFrom('grantry_token_requests')
    .where('fingerprint', '=', request.fingerprint)
    .where('attempt_id', '=', request.attemptId)
    .execute();
}

/** Forgets requests that no limit looks at any more. */
export async function pruneTokenRequests(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  fingerprint: string,
  windowMs: number,
): Promise<void> {
  await tx
    .deleteFrom('grantry_token_requests')
    .where('fingerprint', '=', fingerprint)
    .where('at', '<=', sql<number>`${now} - ${windowMs}`)
    .execute();
}

/**
 * Forgets the oldest requests of all tokens, so many at most: a token that was replaced is never counted again. Returns how
 * many went.
 */
export async function purgeTokenRequests(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  { keptMs, limit }: { keptMs: number; limit: number },
): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('grantry_token_requests')
    // Their numbers grow with time: the oldest are found by the key, and nothing else is looked at.
    .where('id', 'in', (from) => from.selectFrom('grantry_token_requests').select('id').orderBy('id').limit(limit))
    .where('at', '<=', sql<number>`(select ${now} - ${keptMs})`)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
