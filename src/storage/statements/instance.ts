import { type Selectable, sql } from 'kysely';
import { assert } from '../../base/errors.ts';
import { changedOne, type Reader, type WriteTx } from '../database.ts';
import type { StoreLocation } from '../engine/engine.ts';
import type { InstanceTable } from '../schema.ts';
import type { EventMark } from './events.ts';

export type InstanceRow = Selectable<InstanceTable> & {
  /** The event that the database recorded last, by its own clock. */
  newest: EventMark | null;
  /** The database's clock. */
  now: number;
};

/** An event that is later than now by more than this was recorded before the clock was set back. */
const clockStepMs = 60_000;

/** Tells whether an event was recorded while the clock was ahead. It would pass for the newest until then. */
export function isFromFuture({ at }: EventMark, now: number): boolean {
  return at > now + clockStepMs;
}

/** The table has this one row. */
const theOne = 1;

/** Reads the identity of this database, with its newest event; undefined before the vault was made. */
export async function readInstance(db: Reader): Promise<InstanceRow | undefined> {
  // One statement for both: every start of every program asks for them.
  const row = await db
    .selectFrom('grantry_instance')
    .leftJoin(
      () =>
        db
          .selectFrom('grantry_events')
          .select(['tenant', 'id as event_id', 'at'])
          .where('at', '<=', sql<number>`(select ${db.now} + ${clockStepMs})`)
          .orderBy('at', 'desc')
          .orderBy('id', 'desc')
          .limit(1)
          .as('newest'),
      (join) => join.onTrue(),
    )
    .select([
      'grantry_instance.id',
      'vault_id',
      'installation',
      'epoch',
      'location',
      'timeline',
      'quarantined_reason',
      'scrub_pending',
      'created_at',
      'newest.tenant',
      'newest.event_id',
      'newest.at',
      db.now.as('now'),
    ])
    .where('grantry_instance.id', '=', theOne)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { tenant, event_id: id, at, ...instance } = row;
  return { ...instance, newest: tenant === null || id === null || at === null ? null : { tenant, id, at } };
}

/** Gives the database its identity, once. Returns false when another process was faster: then read what it wrote. */
export async function createInstance(
  tx: WriteTx,
  instance: Pick<InstanceRow, 'vault_id' | 'installation' | 'location' | 'timeline' | 'scrub_pending'>,
): Promise<boolean> {
  return tx
    .insertInto('grantry_instance')
    .values({ ...instance, id: theOne, epoch: 1, quarantined_reason: null, created_at: tx.now })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .$call(changedOne);
}

/**
 * Tells whether a database is still where it was noted to live. Only what both places tell is compared: not every file
 * system tells when a file was made, and not every role may read a server's identifier.
 */
export function livesAt(noted: string, found: string): boolean {
  const [before, now] = [partsOf(noted), partsOf(found)];
  return [...now].every(([name, values]) => {
    const known = before.get(name);
    return known === undefined || values.some((value) => known.includes(value));
  });
}

/**
 * True if the place that was found tells something that the noted one does not: it was noted by an older version, or
 * before an Aurora cluster got another instance.
 */
export function tellsMore(noted: string, found: string): boolean {
  const before = partsOf(noted);
  return [...partsOf(found)].some(([name, values]) =>
    values.some((value) => before.get(name)?.includes(value) !== true),
  );
}

/** Joins what is noted of a place with what was found: a part that was not told this time stays. */
export function joinedPlace(noted: string, found: string): string {
  const { system, oid, ...others } = Object.fromEntries([...partsOf(noted), ...partsOf(found)]);
  const own = oid === undefined ? [] : [`${system?.[0] ?? ''}:${oid[0] ?? ''}`];
  return [...own, ...Object.entries(others).map(([name, values]) => `${name}:${values.join(',')}`)].join(' ');
}

/** True if a copy of this database could not be told from it, since its server tells no identity. */
export function isAnonymous(location: string): boolean {
  const parts = partsOf(location);
  return !['memory', 'inode', 'system', 'neon', 'aurora'].some((name) => parts.has(name));
}

/** Splits a place into its parts. A part with several values agrees with any of them. */
function partsOf(location: string): Map<string, readonly string[]> {
  const parts = new Map<string, readonly string[]>();
  for (const text of location.split(' ')) {
    const [, name = '', value = ''] = /^([^:]*):?(.*)$/.exec(text) ?? [];
    if (/^\d*$/.test(name)) {
      // PostgreSQL's own part has no names: system identifier and oid.
      if (name !== '') parts.set('system', [name]);
      parts.set('oid', [value]);
    } else parts.set(name, value.split(','));
  }
  return parts;
}

/** Notes the new place of the database after a failover. */
export async function moveInstance(tx: WriteTx, to: StoreLocation): Promise<void> {
  const { location, timeline } = to;
  const isMoved = await changedOne(
    tx.updateTable('grantry_instance').set({ location, timeline }).where('id', '=', theOne),
  );
  assert(isMoved, 'the instance exists before it moves');
}

/** Quarantines the whole database. Returns false when it was quarantined before: the first reason stays. */
export async function quarantineInstance(tx: WriteTx, reason: string): Promise<boolean> {
  return tx
    .updateTable('grantry_instance')
    .set({ quarantined_reason: reason })
    .where('id', '=', theOne)
    .where('quarantined_reason', 'is', null)
    .$call(changedOne);
}

/**
 * Ends the quarantine: declares this database the one that refreshes, here and under this name, in its next epoch.
 * Returns false when another process has begun another epoch since.
 */
export async function adoptInstance(
  tx: WriteTx,
  adoption: StoreLocation & { from: number; epoch: number; installation: string | null },
): Promise<boolean> {
  const { from, ...instance } = adoption;
  return tx
    .updateTable('grantry_instance')
    .set({ ...instance, quarantined_reason: null })
    .where('id', '=', theOne)
    .where('epoch', '=', from)
    .$call(changedOne);
}

/** Names the installation. Returns false when it has a name. */
export async function nameInstallation(tx: WriteTx, installation: string): Promise<boolean> {
  return changedOne(
    tx.updateTable('grantry_instance').set({ installation }).where('id', '=', theOne).where('installation', 'is', null),
  );
}

/** Remembers whether free pages or dead tuples may still hold plaintext of a take-over. */
export async function setScrubPending(tx: WriteTx, pending: boolean): Promise<void> {
  const scrub_pending = pending ? 1 : 0;
  const isSet = await changedOne(tx.updateTable('grantry_instance').set({ scrub_pending }).where('id', '=', theOne));
  assert(isSet, 'the instance exists before a take-over ends');
}

/** Proves that a transaction could write, without writing: a standby or a read-only disk refuses the lock. */
export async function touchInstance(tx: WriteTx): Promise<void> {
  const row = tx.selectFrom('grantry_instance').select('id').where('id', '=', theOne);
  const found = await tx.locked(row).executeTakeFirst();
  assert(found !== undefined, 'the instance exists');
}
