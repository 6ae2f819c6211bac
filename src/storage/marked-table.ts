/** A row that decides where tokens go, or who gets them; see `protected-tables.ts`. */
export interface MarkedTable {
  /** The MAC over the row; null in a row that the vault did not write. */
  mac: string | null;
}
