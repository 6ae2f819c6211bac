import type { Selectable } from 'kysely';
import type { Reader, WriteTx } from '../../database.ts';
import type { AuditEntryTable } from '../../schema.ts';

export type AuditEntryRow = Selectable<AuditEntryTable>;

const table = 'grantry_audit_entries';

/** Rows of one statement: a database limits the values that it binds. */
const rowsMax = 100;

/** Gives entries their place for good. */
export async function insertEntries(tx: WriteTx, rows: readonly AuditEntryRow[]): Promise<void> {
  for (let from = 0; from < rows.length; from += rowsMax) {
    await tx
      .insertInto(table)
      .values(rows.slice(from, from + rowsMax))
      .execute();
  }
}

/** Which entries a caller wants. What is left out is not limited. */
export interface EntryFilter {
  readonly shard: number;
  readonly tenants?: readonly string[] | undefined;
  readonly provider?: string | undefined;
  readonly account?: string | undefined;
  readonly actions?: readonly string[] | undefined;
  readonly actor?: string | undefined;
  /** Milliseconds since 1970: from, and before. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** Entries after a place, oldest first; or, with `newestFirst`, before it. */
export async function listEntries(
  db: Reader,
  filter: EntryFilter,
  page: { readonly seq: number; readonly newestFirst: boolean; readonly limit: number },
): Promise<AuditEntryRow[]> {
  const { shard, tenants, provider, account, actions, actor, since, until } = filter;
  let query = db.selectFrom(table).selectAll().where('shard', '=', shard);
  query = page.newestFirst
    ? query.where('seq', '<', page.seq).orderBy('seq', 'desc')
    : query.where('seq', '>=', page.seq).orderBy('seq');
  if (tenants !== undefined) query = query.where('tenant', 'in', tenants);
  if (provider !== undefined) query = query.where('provider', '=', provider);
  if (account !== undefined) query = query.where('account', '=', account);
  if (actions !== undefined) query = query.where('action', 'in', actions);
  if (actor !== undefined) query = query.where('actor_id', '=', actor);
  if (since !== undefined) query = query.where('at', '>=', since);
  if (until !== undefined) query = query.where('at', '<', until);
  return query.limit(page.limit).execute();
}
