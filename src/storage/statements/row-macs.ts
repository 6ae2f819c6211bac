import { sql } from 'kysely';
import type { AnyRow } from '../canonical-row.ts';
import type { Reader, WriteTx } from '../database.ts';
import { type ProtectedTable, protectedTables } from '../protected-tables.ts';
import type { MarkedRow } from '../row-seal.ts';

const pageRows = 1_000;

/** Reads every row of a protected table, in the order of its key. */
export async function* allRows(db: Reader, table: ProtectedTable): AsyncGenerator<AnyRow & MarkedRow> {
  const key = sql.join(protectedTables[table].key.map((column) => sql.ref(column)));
  for (let offset = 0; ; offset += pageRows) {
    const page = sql<
      AnyRow & MarkedRow
    >`select * from ${sql.table(table)} order by ${key} limit ${pageRows} offset ${offset}`;
    const { rows } = await page.execute(db);
    yield* rows;
    if (rows.length < pageRows) return;
  }
}

/** Writes the MAC of a row that has none. */
export async function setRowMac(tx: WriteTx, table: ProtectedTable, row: AnyRow, mac: string): Promise<void> {
  const isRow = protectedTables[table].key.map((column) => sql`${sql.ref(column)} = ${Reflect.get(row, column)}`);
  await sql`update ${sql.table(table)} set mac = ${mac} where ${sql.join(isRow, sql` and `)}`.execute(tx);
}
