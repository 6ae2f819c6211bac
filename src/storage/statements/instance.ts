import type { Kysely, RawBuilder, Selectable } from 'kysely';
import { assert } from '../../base/errors.ts';
import type { StoreKind, StoreLocation } from '../engine/engine.ts';
import type { InstanceTable, Schema } from '../schema.ts';

export type InstanceRow = Selectable<InstanceTable> & {
  /** Of the newest event: its number, and when it was recorded. */
  last_seq: number | null;
  last_at: number | null;
};

/** The table has this one row. */
const theOne = 1;

/** Reads what this database knows of itself, and which event is its newest; undefined before the vault was made. */
export async function readInstance(db: Kysely<Schema>): Promise<InstanceRow | undefined> {
  return db
    .selectFrom('grantry_instance')
    .select([
      'id',
      'vault_id',
      'installation',
      'epoch',
      'location',
      'timeline',
      'quarantined_reason',
      'scrub_pending',
      'created_at',
      // One statement for all: every start of every program asks for them.
      (from) =>
        from
          .selectFrom('grantry_events')
          .select(({ fn }) => fn.max('seq').as('seq'))
          .as('last_seq'),
      (from) => from.selectFrom('grantry_events').select('at').orderBy('seq', 'desc').limit(1).as('last_at'),
    ])
    .where('id', '=', theOne)
    .executeTakeFirst();
}

/** Gives the database its identity, once. Returns false when another process was faster: then read what it wrote. */
export async function createInstance(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  instance: Pick<InstanceRow, 'vault_id' | 'installation' | 'location' | 'timeline' | 'scrub_pending'>,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('grantry_instance')
    .values({ ...instance, id: theOne, epoch: 1, quarantined_reason: null, created_at: now })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirstOrThrow();
  return numInsertedOrUpdatedRows === 1n;
}

/**
 * Whether a database is still where it was noted to live. Not every file system tells when a file was made, and earlier
 * versions did not ask: then only the rest is compared.
 */
export function livesAt(noted: string, found: string): boolean {
  const [notedPlace, notedBirth] = noted.split(' ');
  const [foundPlace, foundBirth] = found.split(' ');
  const isReborn = notedBirth !== undefined && foundBirth !== undefined && notedBirth !== foundBirth;
  return notedPlace === foundPlace && !isReborn;
}

/** Notes that the database lives elsewhere now and that this is in order: a failover. */
export async function moveInstance(db: Kysely<Schema>, to: StoreLocation): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_instance')
    .set({ location: to.location, timeline: to.timeline })
    .where('id', '=', theOne)
    .executeTakeFirstOrThrow();
  assert(numUpdatedRows === 1n, 'the instance exists before it moves');
}

/** Quarantines the whole database. Returns false when it already was: the first reason stays. */
export async function quarantineInstance(db: Kysely<Schema>, reason: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_instance')
    .set({ quarantined_reason: reason })
    .where('id', '=', theOne)
    .where('quarantined_reason', 'is', null)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/**
 * Ends the quarantine: the database is declared the one that refreshes, here and under this name, in its next epoch.
 * Returns false when somebody else has begun another epoch since.
 */
export async function adoptInstance(
  db: Kysely<Schema>,
  adoption: StoreLocation & { from: number; epoch: number; installation: string | null },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_instance')
    .set({
      location: adoption.location,
      timeline: adoption.timeline,
      installation: adoption.installation,
      epoch: adoption.epoch,
      quarantined_reason: null,
    })
    .where('id', '=', theOne)
    .where('epoch', '=', adoption.from)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Names the installation, where it has no name yet. Returns false when it has one. */
export async function nameInstallation(db: Kysely<Schema>, installation: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_instance')
    .set({ installation })
    .where('id', '=', theOne)
    .where('installation', 'is', null)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Remembers whether free pages or dead tuples may still hold plaintext of a take-over. */
export async function setScrubPending(db: Kysely<Schema>, pending: boolean): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_instance')
    .set({ scrub_pending: pending ? 1 : 0 })
    .where('id', '=', theOne)
    .executeTakeFirstOrThrow();
  assert(numUpdatedRows === 1n, 'the instance exists before a take-over ends');
}

/** Proves that a transaction could write, without writing: a standby and a full or read-only disk refuse it. */
export async function touchInstance(tx: Kysely<Schema>, kind: StoreKind): Promise<void> {
  const row = tx.selectFrom('grantry_instance').select('id').where('id', '=', theOne);
  // SQLite's transactions begin with the right to write; PostgreSQL's ask for it with the first lock on a row.
  const found = await (kind === 'postgres' ? row.forUpdate() : row).executeTakeFirst();
  assert(found !== undefined, 'the instance exists');
}
