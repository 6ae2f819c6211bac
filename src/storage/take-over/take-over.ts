import { sql } from 'kysely';
import { invalidRequest } from '../../base/errors.ts';
import type { Reader, WriteTx } from '../database.ts';
import type { StoreKind } from '../engine/engine.ts';
import type { Store } from '../store.ts';
import { alterForeignTable, finishForeignTable, inspectPostgresTable } from './postgres.ts';
import { inspectSqliteTable, rebuildForeignTable, restoreSqliteTable } from './sqlite.ts';
import {
  type ConvertedRow,
  type ForeignRow,
  type ForeignTable,
  type PlainColumn,
  plainColumns,
  type RawColumns,
} from './table.ts';

const neededColumns: readonly string[] = plainColumns.slice(0, 5);

/** The rows that one statement reads or writes. */
const pageRows = 500;

/** Describes the foreign table and changes nothing. */
export async function inspectForeignTable(db: Reader, kind: StoreKind): Promise<ForeignTable> {
  const table = kind === 'sqlite' ? await inspectSqliteTable(db) : await inspectPostgresTable(db);
  const names = new Set(table.columns.map((column) => column.name));
  const missing = neededColumns.filter((name) => !names.has(name));
  const refusals = [
    ...table.refusals,
    ...(missing.length === 0 ? [] : [`it has no column ${missing.join(', ')}, so it is no table of tokens`]),
  ];
  const known: ReadonlySet<string> = new Set(plainColumns);
  return { ...table, refusals, extra: table.columns.filter((column) => !known.has(column.name)) };
}

/**
 * Turns a foreign table into ours, within the transaction of the first migration. Afterwards it has all columns; its rows
 * have generation 0 and still hold plaintext. Returns the table as it was, with the parts that do not survive.
 *
 * @throws {GrantryError} `invalid_request` for a table that cannot be taken over; nothing was changed then
 */
export async function convertForeignTable(
  tx: WriteTx,
  kind: StoreKind,
  convert: (row: ForeignRow) => ConvertedRow,
): Promise<ForeignTable> {
  const table = await inspectForeignTable(tx, kind);
  if (table.refusals.length > 0) {
    throw invalidRequest(`The oauth_tokens table cannot be taken over: ${table.refusals[0]}.`, {
      action: 'Change that first; grantry init --dry-run lists everything.',
    });
  }
  if (kind === 'sqlite') {
    const rebuilt = await rebuildForeignTable(tx, table);
    await convertRows(tx, kind, rebuilt.columns, convert);
    await renameDuplicates(tx, kind);
    await restoreSqliteTable(tx, rebuilt);
  } else {
    const altered = await alterForeignTable(tx, table);
    await convertRows(tx, kind, altered.columns, convert);
    await renameDuplicates(tx, kind);
    await finishForeignTable(tx, altered);
  }
  return table;
}

async function convertRows(
  tx: WriteTx,
  kind: StoreKind,
  columns: RawColumns,
  convert: (row: ForeignRow) => ConvertedRow,
): Promise<void> {
  for (let after = -1; ; ) {
    const page = await readForeignRows(tx, { columns, rowColumn: rowColumn(kind), after, limit: pageRows });
    const last = page.at(-1);
    if (last === undefined) return;
    await writeConverted(tx, kind, page.map(convert));
    after = last.row;
  }
}

function rowColumn(kind: StoreKind): string {
  return kind === 'sqlite' ? 'rowid' : 'grantry_row';
}

/** Selects every plain column as text, from the column that has its value; an absent one is NULL. */
function textValues(columnOf: (name: PlainColumn) => string | undefined) {
  const values = plainColumns.map((name) => {
    const column = columnOf(name);
    return sql`cast(${column === undefined ? sql`null` : sql.ref(column)} as text) as ${sql.ref(name)}`;
  });
  return sql.join(values);
}

/** Reads one page of rows, each value as text. */
export async function readForeignRows(
  db: Reader,
  from: { columns: RawColumns; rowColumn: string; after: number; limit: number },
): Promise<ForeignRow[]> {
  const row = sql.ref(from.rowColumn);
  const { rows } =
    await sql<ForeignRow>`select ${row} as "row", ${textValues((name) => from.columns.get(name))} from oauth_tokens
    where ${row} > ${from.after} order by ${row} limit ${from.limit}`.execute(db);
  return rows;
}

/**
 * Reads a foreign table as it stands, page by page, and changes nothing. PostgreSQL reads all pages as of one moment.
 */
export async function eachForeignPage(
  store: Store,
  table: ForeignTable,
  visit: (rows: readonly ForeignRow[]) => void,
): Promise<void> {
  const names = new Set(table.columns.map((column) => column.name));
  const all = sql`select ${textValues((name) => (names.has(name) ? name : undefined))} from oauth_tokens`;
  let row = 0;
  const pages = async (read: (offset: number) => Promise<{ rows: Omit<ForeignRow, 'row'>[] }>) => {
    for (;;) {
      const { rows } = await read(row);
      if (rows.length === 0) return;
      visit(rows.map((each) => ({ ...each, row: (row += 1) })));
    }
  };
  if (store.kind === 'sqlite') {
    await pages((offset) => sql<ForeignRow>`${all} limit ${pageRows} offset ${offset}`.execute(store.db));
    return;
  }
  await store.transaction(
    async (tx) => {
      await sql`set transaction read only`.execute(tx);
      await sql`select set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, YMD', true)`.execute(tx);
      await sql`declare foreign_rows cursor for ${all}`.execute(tx);
      await pages(() => sql<ForeignRow>`fetch ${sql.lit(pageRows)} from foreign_rows`.execute(tx));
    },
    { long: true },
  );
}

async function writeConverted(tx: WriteTx, kind: StoreKind, rows: readonly ConvertedRow[]): Promise<void> {
  const json = JSON.stringify(rows);
  if (kind === 'postgres') {
    await sql`update oauth_tokens as t set id = v.id, client_id = v.client_id, provider = v.provider,
      token_expiry = v.token_expiry, scopes = v.scopes, metadata = v.metadata::jsonb, created_at = v.created_at,
      updated_at = v.updated_at, state = v.state, reason = v.reason, access_token = nullif(t.access_token, ''),
      refresh_token = nullif(t.refresh_token, '')
      from jsonb_to_recordset(${json}::jsonb) as v("row" bigint, id uuid, client_id text, provider text,
        token_expiry timestamptz, scopes text, metadata text, created_at timestamptz, updated_at timestamptz,
        state text, reason text)
      where t.grantry_row = v."row"`.execute(tx);
    return;
  }
  const value = (name: keyof ConvertedRow) => sql`v.value ->> ${name}`;
  await sql`update oauth_tokens set id = ${value('id')}, client_id = ${value('client_id')},
    provider = ${value('provider')}, token_expiry = ${value('token_expiry')}, scopes = ${value('scopes')},
    metadata = ${value('metadata')}, created_at = ${value('created_at')}, updated_at = ${value('updated_at')},
    state = ${value('state')}, reason = ${value('reason')}, access_token = nullif(access_token, ''),
    refresh_token = nullif(refresh_token, '')
    from json_each(${json}) as v where oauth_tokens.rowid = v.value ->> 'row'`.execute(tx);
}

/** Gives all but the newest of several rows for one tenant and provider an account of their own. */
async function renameDuplicates(tx: WriteTx, kind: StoreKind): Promise<void> {
  const row = sql.ref(rowColumn(kind));
  await sql`update oauth_tokens set account = 'duplicate-' || d.place
    from (select ${row} as r, row_number() over (partition by client_id, provider
        order by updated_at desc, created_at desc, ${row} desc) as place from oauth_tokens) as d
    where d.r = oauth_tokens.${row} and d.place > 1`.execute(tx);
}
