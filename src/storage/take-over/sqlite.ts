import { sql } from 'kysely';
import type { Reader, WriteTx } from '../database.ts';
import { grantTable } from '../migrations/0001-vault.sqlite.ts';
import type { Store } from '../store.ts';
import { indexSurvives, keptName } from './names.ts';
import {
  type DroppedPart,
  type ForeignColumn,
  type ForeignTable,
  type PlainColumn,
  plainColumns,
  type RawColumns,
} from './table.ts';

const rebuiltName = 'grantry_oauth_tokens';
const uuidGlob = ['????????-????-????-????-????????????', '*[^0-9a-fA-F-]*'] as const;

interface ColumnInfo {
  name: string;
  type: string;
  dflt_value: string | null;
  hidden: number;
}

interface SchemaPart {
  type: string;
  name: string;
  sql: string | null;
}

/**
 * Runs a migration that replaces a table to which other tables point. With foreign keys on, SQLite would delete their rows
 * or refuse; the setting works only outside of a transaction.
 */
export async function withoutForeignKeys(store: Store, run: () => Promise<void>): Promise<void> {
  if (store.kind === 'sqlite') await sql`pragma foreign_keys = off`.execute(store.db);
  await run();
  if (store.kind === 'sqlite') await sql`pragma foreign_keys = on`.execute(store.db);
}

/** Lists what must be put back once the rows are converted. */
export interface Rebuilt {
  columns: RawColumns;
  indexes: readonly string[];
  /** Other tables point at the ids that the rows had. */
  originalIdIsKey: boolean;
}

export async function inspectSqliteTable(db: Reader): Promise<ForeignTable> {
  const columns = await columnsOf(db);
  const parts = await partsOf(db);
  const table = parts.find((part) => part.name === 'oauth_tokens');
  const refusals: string[] = [];
  if (table?.type !== 'table') refusals.push('it is a view, not a table');
  else if (/^\s*create\s+virtual/i.test(table.sql ?? '')) refusals.push('it is a virtual table');
  for (const column of columns.filter((each) => each.hidden > 1)) {
    refusals.push(`its column ${column.name} is computed by the database; drop that column`);
  }
  const dropped: DroppedPart[] = [];
  for (const part of parts) {
    if (part.type === 'trigger') dropped.push({ kind: 'trigger', name: part.name, definition: part.sql ?? '' });
    if (part.type === 'index' && part.sql !== null && !indexSurvives(part.sql)) {
      dropped.push({ kind: 'index', name: part.name, definition: part.sql });
    }
  }
  if (table?.type === 'table') dropped.push(...constraintsOf(table.sql ?? '', await foreignKeysOf(db)));
  return { columns: columns.map(({ name, type }) => ({ name, type })), extra: [], refusals, dropped };
}

/**
 * Replaces the foreign table by one of ours, with all its rows: SQLite cannot drop an inline UNIQUE. Values are copied as
 * text; foreign ids are replaced by placeholders until the rows are converted.
 */
export async function rebuildForeignTable(tx: WriteTx, table: ForeignTable): Promise<Rebuilt> {
  const parts = await partsOf(tx);
  for (const { type, name } of parts) {
    // They belong to the other program, and would see plaintext while rows are sealed.
    if (type === 'trigger') await sql`drop trigger ${sql.ref(name)}`.execute(tx);
  }
  await sql.raw(grantTable.replace('oauth_tokens', rebuiltName)).execute(tx);
  const ours = new Set((await columnsOf(tx, rebuiltName)).map((column) => column.name));
  const extra = table.extra.map(({ name }) => ({ from: name, to: keptName(name, ours) }));
  const foreignIds = await hasForeignIds(tx);
  const originalIdIsKey = foreignIds && (await idsAreUnique(tx));
  if (foreignIds) {
    // A rename, unlike a copy, carries the foreign keys of other tables along.
    await sql`alter table oauth_tokens rename column id to original_id`.execute(tx);
    extra.push({ from: 'original_id', to: 'original_id' });
  }
  const indexes = (await partsOf(tx)).filter((part) => part.type === 'index').map((part) => part.sql);
  const defaults = new Map((await columnsOf(tx)).map((column) => [column.name, column.dflt_value]));
  for (const { from, to } of extra) await addExtraColumn(tx, to, defaults.get(from) ?? null);
  await copyRows(tx, table.columns, extra, foreignIds);
  await sql`drop table oauth_tokens`.execute(tx);
  // Views refer to the table by its name and need no change; without this setting SQLite would refuse the rename.
  await sql`pragma legacy_alter_table = on`.execute(tx);
  await sql`alter table ${sql.ref(rebuiltName)} rename to oauth_tokens`.execute(tx);
  await sql`pragma legacy_alter_table = off`.execute(tx);
  return {
    columns: rawColumns(table.columns, foreignIds),
    indexes: indexes.filter((definition) => definition !== null).filter(indexSurvives),
    originalIdIsKey,
  };
}

/** Restores the indexes that still fit. */
export async function restoreSqliteTable(tx: WriteTx, rebuilt: Rebuilt): Promise<void> {
  for (const definition of rebuilt.indexes) await sql.raw(definition).execute(tx);
  if (!rebuilt.originalIdIsKey) return;
  await sql`create unique index oauth_tokens_original_id on oauth_tokens (original_id)`.execute(tx);
}

async function addExtraColumn(tx: WriteTx, name: string, defaultValue: string | null): Promise<void> {
  // In a strict table only ANY keeps every value as it was.
  const preset = defaultValue === null ? sql`` : sql` default (${sql.raw(defaultValue)})`;
  await sql`alter table ${sql.ref(rebuiltName)} add column ${sql.ref(name)} any${preset}`.execute(tx);
}

async function copyRows(
  tx: WriteTx,
  columns: readonly ForeignColumn[],
  extra: readonly { from: string; to: string }[],
  foreignIds: boolean,
): Promise<void> {
  const present = new Set(columns.map((column) => column.name));
  const raw = (name: PlainColumn, fallback: string | null) =>
    present.has(name) ? sql`coalesce(cast(${sql.ref(name)} as text), ${fallback})` : sql`${fallback}`;
  const id = foreignIds ? sql`lower(hex(randomblob(16)))` : sql`cast(id as text)`;
  const names = [...plainColumns, ...extra.map(({ to }) => to)].map((name) => sql.ref(name));
  await sql`insert into ${sql.ref(rebuiltName)} (${sql.join(names)}, account, state, generation, authorized_generation,
      changed_at, lease_fence)
    select ${id}, ${raw('client_id', '')}, ${raw('provider', '')}, ${raw('access_token', null)},
      ${raw('refresh_token', null)}, ${raw('token_expiry', null)}, ${raw('scopes', '')}, ${raw('metadata', '{}')},
      ${raw('created_at', '')}, ${raw('updated_at', '')}${extra.length === 0 ? sql`` : sql`, `}${sql.join(
        extra.map(({ from }) => sql.ref(from)),
      )}, 'default', 'active', 0, 0, grantry_now(), 0 from oauth_tokens`.execute(tx);
}

function rawColumns(columns: readonly ForeignColumn[], foreignIds: boolean): RawColumns {
  const raw = new Map<PlainColumn, string>();
  for (const name of plainColumns) {
    if (columns.some((column) => column.name === name)) raw.set(name, name);
  }
  return raw.set('id', foreignIds ? 'original_id' : 'id');
}

/** Returns true unless every id is a UUID. */
async function hasForeignIds(db: Reader): Promise<boolean> {
  const { rows } = await sql<{ found: number }>`select exists (select 1 from oauth_tokens where id is null
    or typeof(id) <> 'text' or id not glob ${uuidGlob[0]} or id glob ${uuidGlob[1]}
    group by id union all select 1 from oauth_tokens group by lower(id) having count(*) > 1) as found`.execute(db);
  return rows[0]?.found === 1;
}

async function idsAreUnique(db: Reader): Promise<boolean> {
  const { rows } = await sql<{ found: number }>`select exists (select 1 from oauth_tokens where id is not null
    group by id having count(*) > 1) as found`.execute(db);
  return rows[0]?.found === 0;
}

function constraintsOf(definition: string, foreignKeys: readonly ForeignKey[]): DroppedPart[] {
  const parts: DroppedPart[] = foreignKeys.map((key) => ({
    kind: 'foreign key',
    name: `${key.from} → ${key.table}`,
    definition: `foreign key (${key.from}) references ${key.table} (${key.to ?? ''})`,
  }));
  // SQLite keeps them only as a part of the table's text.
  if (/\bunique\b/i.test(definition)) parts.push({ kind: 'constraint', name: 'unique', definition });
  if (/\bcheck\s*\(/i.test(definition)) parts.push({ kind: 'constraint', name: 'check', definition });
  return parts;
}

interface ForeignKey {
  table: string;
  from: string;
  to: string | null;
}

async function foreignKeysOf(db: Reader): Promise<ForeignKey[]> {
  const { rows } =
    await sql<ForeignKey>`select "table", "from", "to" from pragma_foreign_key_list('oauth_tokens')`.execute(db);
  return rows;
}

async function columnsOf(db: Reader, table = 'oauth_tokens'): Promise<ColumnInfo[]> {
  const { rows } = await sql<ColumnInfo>`select lower(name) as name, type, dflt_value, hidden
    from pragma_table_xinfo(${table}) order by cid`.execute(db);
  return rows;
}

async function partsOf(db: Reader): Promise<SchemaPart[]> {
  const { rows } = await sql<SchemaPart>`select type, name, sql from sqlite_schema
    where lower(tbl_name) = 'oauth_tokens' and type <> 'view' or name = 'oauth_tokens' order by name`.execute(db);
  return rows;
}
