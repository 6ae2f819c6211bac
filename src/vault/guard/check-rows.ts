import { rowName } from '../../storage/canonical-row.ts';
import type { Reader } from '../../storage/database.ts';
import { protectedTableNames } from '../../storage/protected-tables.ts';
import { allRows } from '../../storage/statements/row-macs.ts';

/** Checks every row that carries a MAC. Returns how many, and the names of those that were altered. */
export async function checkRows({
  store: { db },
}: {
  readonly store: { readonly db: Reader };
}): Promise<{ checked: number; altered: readonly string[] }> {
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
