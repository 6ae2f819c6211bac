import { GrantryError } from '../base/errors.ts';
import { type AnyRow, canonicalRow, rowName } from './canonical-row.ts';
import type { ProtectedTable } from './protected-tables.ts';

/** Computes and checks the MACs of rows. The vault gives one to the store: the store has no keys. */
export interface RowSeal {
  /** False until the key is loaded. */
  readonly isReady: boolean;
  /** Loads the key; it may read and write the database. @throws {GrantryError} if the key does not open */
  prepare(): Promise<void>;
  mac(canonical: readonly string[]): string;
  verify(canonical: readonly string[], mac: string): boolean;
  /** Tells the log of a row that failed. */
  report(row: string): void;
}

/** Checks and signs rows, as a part of every handle of a database. */
export interface Rows {
  /** Tells whether a row is as the vault wrote it. A row that is not is reported. */
  isIntact(table: ProtectedTable, row: MarkedRow): Promise<boolean>;
  /** The MAC to write with a row. The row has all columns as they will be. */
  mac(table: ProtectedTable, row: AnyRow): string;
}

/** A row with its MAC. Rows from before the MACs, and rows that another program inserted, have none. */
export interface MarkedRow {
  readonly mac: string | null;
}

/** A transaction needs the key, which is not loaded. The store rolls back, loads it and runs the transaction again. */
export class RowKeyMissing extends Error {}

/**
 * Makes the rows of a handle.
 *
 * @param prepare False in a transaction, which may wait for nothing but its own statements.
 */
export function rowsWith(seal: () => RowSeal, { prepare }: { prepare: boolean }): Rows {
  const ready = (): RowSeal => {
    const current = seal();
    if (!current.isReady) throw new RowKeyMissing('the key of the rows is not loaded');
    return current;
  };
  return {
    isIntact: async (table, row) => {
      if (prepare && !seal().isReady) await seal().prepare();
      const { mac } = row;
      const current = ready();
      if (mac !== null && current.verify(canonicalRow(table, row), mac)) return true;
      current.report(rowName(table, row));
      return false;
    },
    mac: (table, row) => ready().mac(canonicalRow(table, row)),
  };
}

/** Returns the row if it is intact. @throws {GrantryError} `integrity_failed` */
export async function intact<R extends MarkedRow>(
  { rows }: { readonly rows: Rows },
  table: ProtectedTable,
  row: R | undefined,
): Promise<R | undefined> {
  if (row === undefined || (await rows.isIntact(table, row))) return row;
  throw rowFailed(rowName(table, row));
}

/** Keeps the rows that are intact. */
export async function onlyIntact<R extends MarkedRow>(
  { rows }: { readonly rows: Rows },
  table: ProtectedTable,
  found: readonly R[],
): Promise<R[]> {
  const kept: R[] = [];
  for (const row of found) if (await rows.isIntact(table, row)) kept.push(row);
  return kept;
}

/** A row of a list for people, which shows every row and marks those that are not used. */
export type Listed<R> = R & { readonly isIntact: boolean };

/** Marks each row of a list. */
export async function marked<R extends MarkedRow>(
  { rows }: { readonly rows: Rows },
  table: ProtectedTable,
  found: readonly R[],
): Promise<Listed<R>[]> {
  const listed: Listed<R>[] = [];
  for (const row of found) listed.push({ ...row, isIntact: await rows.isIntact(table, row) });
  return listed;
}

/** True for the failure of a row whose MAC does not fit. */
export function isAlteredRow(error: unknown): boolean {
  return error instanceof AlteredRow;
}

class AlteredRow extends GrantryError {}

/** The error for a row whose MAC does not fit. */
export function rowFailed(name: string): GrantryError {
  return new AlteredRow('integrity_failed', `A stored row was altered outside of Grantry: ${name}.`, {
    action: 'Find out who can write to the database. Then make the row again, or restore it.',
  });
}

/** The seal of a store that no vault has opened: it reads no protected row. */
export const noSeal: RowSeal = {
  isReady: false,
  prepare: () => Promise.reject(new GrantryError('internal', 'Protected rows are read through an open vault only.')),
  mac: () => '',
  verify: () => false,
  report: () => {},
};

/** The seal of a dry run, which has no root key: it only shows rows, uses none and writes none. */
export const dryRunSeal: RowSeal = { ...noSeal, isReady: true, verify: () => true };
