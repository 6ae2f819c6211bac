import { sql } from 'kysely';
import { canonicalRow } from '../../src/storage/canonical-row.ts';
import type { ProtectedTable } from '../../src/storage/protected-tables.ts';
import type { RowSeal } from '../../src/storage/row-seal.ts';
import { allRows, setRowMac } from '../../src/storage/statements/row-macs.ts';
import { changing } from '../../src/vault/changing.ts';
import type { VaultContext } from '../../src/vault/context.ts';

/** Changes every row of a protected table as the vault itself would: with a new MAC. */
export async function changeRows(
  context: VaultContext,
  table: ProtectedTable,
  changes: Readonly<Record<string, string | number | null>>,
): Promise<void> {
  const mac = await context.keys.rowMac();
  await changing(context, async ({ tx }) => {
    for (const [column, value] of Object.entries(changes)) {
      await sql`update ${sql.table(table)} set ${sql.ref(column)} = ${value}`.execute(tx);
    }
    for await (const row of allRows(tx, table)) {
      await setRowMac(tx, table, row, mac.mac(canonicalRow(table, row)));
    }
  });
}

/** A seal for stores that no vault has opened: its MACs are the canonical form itself. */
export function plainSeal(reported: string[] = []): RowSeal {
  return {
    isReady: true,
    prepare: async () => {},
    mac: (canonical) => JSON.stringify(canonical),
    verify: (canonical, mac) => JSON.stringify(canonical) === mac,
    report: (row) => void reported.push(row),
  };
}
