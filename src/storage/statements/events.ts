import type { Kysely, RawBuilder, Selectable } from 'kysely';
import type { EventTable, Schema } from '../schema.ts';

export type EventRow = Selectable<EventTable>;

/** Records one state change, in the transaction that makes it. Returns its number. */
export async function insertEvent(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  event: Omit<EventRow, 'seq' | 'at'>,
): Promise<number> {
  const { seq } = await tx
    .insertInto('grantry_events')
    .values({ ...event, at: now })
    .returning('seq')
    .executeTakeFirstOrThrow();
  return seq;
}

/** Records several state changes in one statement. Returns the number of the last one. */
export async function insertEvents(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  events: readonly Omit<EventRow, 'seq' | 'at'>[],
): Promise<number> {
  const rows = await tx
    .insertInto('grantry_events')
    .values(events.map((event) => ({ ...event, at: now })))
    .returning('seq')
    .execute();
  return Math.max(...rows.map((row) => row.seq));
}

/** The number of the newest event; 0 before the first. */
export async function lastEventSeq(db: Kysely<Schema>): Promise<number> {
  const row = await db.selectFrom('grantry_events').select('seq').orderBy('seq', 'desc').limit(1).executeTakeFirst();
  return row?.seq ?? 0;
}

/** The newest event of these types that a grant had at one generation. */
export async function findEvent(
  db: Kysely<Schema>,
  wanted: { tenant: string; grantId: string; generation: number; types: readonly string[] },
): Promise<Pick<EventRow, 'seq' | 'details'> | undefined> {
  return db
    .selectFrom('grantry_events')
    .select(['seq', 'details'])
    .where('client_id', '=', wanted.tenant)
    .where('grant_id', '=', wanted.grantId)
    .where('generation', '=', wanted.generation)
    .where('type', 'in', wanted.types)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** A tenant's events, oldest first. */
export async function listEvents(
  db: Kysely<Schema>,
  filter: { tenant: string; grantId: string; limit: number },
): Promise<EventRow[]> {
  return db
    .selectFrom('grantry_events')
    .select([
      'seq',
      'at',
      'client_id',
      'grant_id',
      'provider',
      'account',
      'type',
      'from_state',
      'to_state',
      'generation',
      'reason',
      'details',
    ])
    .where('client_id', '=', filter.tenant)
    .where('grant_id', '=', filter.grantId)
    .orderBy('seq')
    .limit(filter.limit)
    .execute();
}
