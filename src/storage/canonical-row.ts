import { type ColumnRule, type ProtectedTable, protectedTables } from './protected-tables.ts';

/** The first part of every canonical form. Another form gets another version. */
const form = 'row 1';

/** A row as a statement reads or writes it. */
export type AnyRow = object;

/**
 * The canonical form of a row: texts that are equal exactly if the protected facts are equal, on both databases. It holds
 * the table, and for each column that is not null its name and its value with a mark of the type. The row's key is among
 * the columns. The code that computes a MAC joins the texts by their lengths.
 */
export function canonicalRow(table: ProtectedTable, row: AnyRow): readonly string[] {
  const parts: string[] = [form, table];
  for (const [name, rule] of columnsOf(table)) {
    const value: unknown = Reflect.get(row, name);
    if (value === null || value === undefined) continue;
    parts.push(name, canonicalValue(rule, value));
  }
  return parts;
}

type MarkedColumn = readonly [name: string, rule: Exclude<ColumnRule, object>];

const sortedColumns = new Map<ProtectedTable, readonly MarkedColumn[]>();

/** The columns in the MAC, by name; sorted once, since a list checks thousands of rows. */
function columnsOf(table: ProtectedTable): readonly MarkedColumn[] {
  const known = sortedColumns.get(table);
  if (known !== undefined) return known;
  const columns: MarkedColumn[] = [];
  for (const [name, rule] of Object.entries(protectedTables[table].columns)) {
    if (typeof rule === 'string') columns.push([name, rule]);
  }
  columns.sort(([one], [other]) => (one < other ? -1 : 1));
  sortedColumns.set(table, columns);
  return columns;
}

/** Names a row for the log and for people: its table and its key, never another value. */
export function rowName(table: ProtectedTable, row: AnyRow): string {
  const key = protectedTables[table].key.map((column) => printable(Reflect.get(row, column)));
  return `${table} ${key.join(' ')}`;
}

const nameCharsMax = 80;

/** A writer of the database may have put anything into a key. */
function printable(value: unknown): string {
  const text = typeof value === 'string' ? value : String(value);
  const clean = text.replaceAll(/[^\u0020-\u007e]/g, '?');
  return clean.length > nameCharsMax ? `${clean.slice(0, nameCharsMax)}...` : clean;
}

function canonicalValue(rule: Exclude<ColumnRule, object>, value: unknown): string {
  if (rule === 'number' && typeof value === 'number') return `n${value}`;
  if (rule === 'json' && typeof value === 'string') return canonicalJson(value);
  return `${typeof value}:${String(value)}`;
}

/** PostgreSQL stores JSON with other spaces and another order of members than SQLite, which keeps the text. */
function canonicalJson(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `broken:${text}`;
  }
  return `j${written(value)}`;
}

function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${written(member)}`).join(',')}}`;
}
