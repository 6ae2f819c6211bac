import { rowName } from '../../storage/rows/canonical-row.ts';
import { protectedTableNames } from '../../storage/rows/protected-tables.ts';
import { allRows } from '../../storage/statements/row-macs.ts';
import type { VaultContext } from '../context.ts';

/** Checks every row that carries a MAC. Returns how many, and the names of those that were altered. */
export async function checkRows(
  context: Pick<VaultContext, 'store'>,
): Promise<{ checked: number; altered: readonly string[] }> {
  const { db } = context.store;
  const altered: string[] = [];
  let checked = 0;
  for (const table of protectedTableNames) {
    for await (const row of allRows(db, table)) {
      checked += 1;
      if (!(await db.rows.isIntact(table, row))) altered.push(rowName(table, row));
    }
  }
  return { checked, altered };
}
