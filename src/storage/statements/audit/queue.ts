import type { Selectable } from 'kysely';
import type { AuditQueueTable } from '../../audit-schema.ts';
import { changedRows, type Reader, type WriteTx } from '../../database.ts';

export type QueuedEntryRow = Omit<Selectable<AuditQueueTable>, 'mac'>;

/** An entry that waits, and whether it is as the vault wrote it. */
export type CheckedEntryRow = QueuedEntryRow & { readonly isIntact: boolean };

const table = 'grantry_audit_queue';

/** Rows of one statement: a database limits the values that it binds. */
const rowsMax = 500;

/** Puts entries into the queue, in the transaction of the change that they tell. */
export async function queueEntries(tx: WriteTx, entries: readonly QueuedEntryRow[]): Promise<void> {
  for (let from = 0; from < entries.length; from += rowsMax) {
    const rows = entries.slice(from, from + rowsMax).map((row) => ({ ...row, mac: tx.rows.mac(table, row) }));
    await tx.insertInto(table).values(rows).execute();
  }
}

/** The oldest entries of the queue. */
export async function oldestQueued(db: Reader, limit: number): Promise<CheckedEntryRow[]> {
  const rows = await db.selectFrom(table).selectAll().orderBy('at').orderBy('id').limit(limit).execute();
  const checked: CheckedEntryRow[] = [];
  for (const row of rows) checked.push({ ...row, isIntact: await db.rows.isIntact(table, row) });
  return checked;
}

/** Removes entries that got their place. Returns how many there were. */
export async function dequeueEntries(tx: WriteTx, ids: readonly string[]): Promise<number> {
  let removed = 0;
  for (let from = 0; from < ids.length; from += rowsMax) {
    const part = ids.slice(from, from + rowsMax);
    removed += await changedRows(tx.deleteFrom(table).where('id', 'in', part));
  }
  return removed;
}
