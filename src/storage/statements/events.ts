import { type Selectable, sql } from 'kysely';
import { findsOne, type Reader, type WriteTx } from '../database.ts';
import type { EventTable } from '../schema.ts';
import type { GrantRow } from './grants.ts';

export type EventRow = Selectable<EventTable>;

/** Names an event, so that another process can ask whether a database has it. */
export type EventMark = Pick<EventRow, 'tenant' | 'id' | 'at'>;

/** Records changes in the transaction that makes them. Returns them with their time. */
export async function insertEvents(tx: WriteTx, events: readonly Omit<EventRow, 'at'>[]): Promise<EventRow[]> {
  if (events.length === 0) return [];
  const marks = await tx
    .insertInto('grantry_events')
    .values(events.map((event) => ({ ...event, at: tx.now })))
    .returning(['id', 'at'])
    .execute();
  const times = new Map(marks.map(({ id, at }) => [id, at]));
  return events.flatMap((event) => {
    const at = times.get(event.id);
    return at === undefined ? [] : [{ ...event, at }];
  });
}

/** Tells whether this database has an event. */
export async function hasEvent(db: Reader, event: EventMark): Promise<boolean> {
  return db
    .selectFrom('grantry_events')
    .select('id')
    .where('tenant', '=', event.tenant)
    .where('id', '=', event.id)
    .$call(findsOne);
}

/** The members of an event's details that name a token. */
export type TokenMember = 'fingerprint' | 'access_fingerprint';

/** The newest generation at which an event of a grant names a token, or undefined if none does. */
export async function generationNaming(
  db: Reader,
  wanted: { tenant: string; grantId: string; member: TokenMember; fingerprint: string },
): Promise<number | undefined> {
  const named = await db
    .selectFrom('grantry_events')
    .select('generation')
    .where('tenant', '=', wanted.tenant)
    .where('grant_id', '=', wanted.grantId)
    .where(sql<string>`details ->> ${sql.lit(wanted.member)}`, '=', wanted.fingerprint)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return named === undefined ? undefined : (named.generation ?? 0);
}

/** The details of the consent that began a grant's authorization, if it came through a browser or a code. */
export async function findConsent(
  db: Reader,
  grant: { tenant: string; grantId: string; authorizedGeneration: number },
): Promise<Pick<EventRow, 'details'> | undefined> {
  return db
    .selectFrom('grantry_events')
    .select('details')
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('generation', '=', grant.authorizedGeneration)
    .where('type', '=', 'grant.connected')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The events that brought a grant's tokens at the generation of its authorization. */
export async function authorizingEvents(
  db: Reader,
  grant: Pick<GrantRow, 'client_id' | 'id' | 'authorized_generation'>,
): Promise<Pick<EventRow, 'type' | 'details'>[]> {
  return db
    .selectFrom('grantry_events')
    .select(['type', 'details'])
    .where('tenant', '=', grant.client_id)
    .where('grant_id', '=', grant.id)
    .where('generation', '=', grant.authorized_generation)
    .where('type', 'in', ['grant.connected', 'grant.stored'])
    .execute();
}

/** Tells whether an event of a grant names a consent, or the fingerprint of a refresh token. */
export async function isNamedInEvent(
  db: Reader,
  wanted: { tenant: string; grantId: string; member: 'consent' | 'fingerprint'; value: string },
): Promise<boolean> {
  return db
    .selectFrom('grantry_events')
    .select('id')
    .where('tenant', '=', wanted.tenant)
    .where('grant_id', '=', wanted.grantId)
    .where(sql<string>`details ->> ${sql.lit(wanted.member)}`, '=', wanted.value)
    .$call(findsOne);
}

/** A grant's events, oldest first. */
export async function listEvents(
  db: Reader,
  filter: { tenant: string; grantId: string; limit: number },
): Promise<EventRow[]> {
  return db
    .selectFrom('grantry_events')
    .selectAll()
    .where('tenant', '=', filter.tenant)
    .where('grant_id', '=', filter.grantId)
    .orderBy('id')
    .limit(filter.limit)
    .execute();
}
