import { execFileSync } from 'node:child_process';
import { sql } from 'kysely';
import type { Store } from '../../src/storage/store.ts';

interface Column {
  readonly name: string;
  /** PostgreSQL's name of the type: it tells JSON and times from text, which SQLite does not. */
  readonly type: string;
  readonly isRequired: boolean;
  readonly preset: string | null;
}

interface Index {
  readonly name: string;
  readonly columns: readonly string[];
  readonly isUnique: boolean;
  readonly where: string | undefined;
}

interface ForeignKey {
  readonly name: string;
  readonly columns: readonly string[];
  readonly table: string;
  readonly targets: readonly string[];
  readonly cascades: boolean;
}

interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly primaryKey: readonly string[];
  readonly checks: readonly { readonly name: string; readonly text: string }[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly indexes: readonly Index[];
}

const descriptions: Readonly<Record<string, string>> = {
  oauth_tokens: 'The grants; see docs/take-over.md. Tokens are sealed: read them through a vault.',
  grantry_api_keys: 'API keys of a server, as hashes.',
  grantry_apps: 'Client registrations; their secrets are sealed.',
  grantry_grant_scopes: "Facts about the grants' scopes.",
  grantry_attempts: 'The spendings of refresh tokens.',
  grantry_audit_actors: 'Those who did what the audit log tells, and from where.',
  grantry_audit_checkpoints: 'Signed notes about the audit log.',
  grantry_audit_entries: 'The audit log: entries in their places, never changed.',
  grantry_audit_heads: 'The size and the edge of the tree over the audit log.',
  grantry_audit_keys: 'Keys that sign checkpoints, sealed.',
  grantry_audit_queue: 'Entries of the audit log that wait for their place.',
  grantry_audit_subjects: 'Tenants and grants that entries of the audit log are about.',
  grantry_audit_tiles: 'Hashes of the tree over the audit log, 256 at a time.',
  grantry_authorizations: 'Authorization requests whose callback may still come.',
  grantry_candidates: 'Token sets that arrived after their lease was lost, sealed.',
  grantry_connect_sessions: 'Connect links given to users.',
  grantry_events: 'Changes of grants and of what they need.',
  grantry_instance: 'The identity of the database: one row.',
  grantry_providers: 'Custom provider definitions.',
  grantry_revocations: 'Tokens that wait to be revoked at their providers, sealed.',
  grantry_left_tokens:
    'Refresh tokens that were let go without being revoked: they go on taking places at their providers.',
  grantry_slot_warnings: 'The users whose places at a provider run out, and of whom an operator was warned.',
  grantry_schema: 'The migrations that were applied.',
  grantry_tenant_keys: "The tenants' keys, wrapped by the root key.",
  grantry_token_requests: 'Recent token requests, for the limits of providers.',
};

/** Writes the tables of migrated databases as the Drizzle schemas read them, formatted by Biome. */
export async function drizzleTables(sqlite: Store, postgres: Store): Promise<string> {
  const tables = await readTables(sqlite, await readTypes(postgres));
  return formatted(`// oxlint-disable max-lines -- Written by "npm run schema-snapshot" from migrated databases.
import type { Table } from './table.ts';

export const tables = {
${tables.map(renderTable).join('\n')}
} as const satisfies Readonly<Record<string, Table>>;
`);
}

async function readTypes(postgres: Store): Promise<ReadonlyMap<string, string>> {
  const { rows } = await sql<{ name: string; type: string }>`select table_name || '.' || column_name as name,
    data_type as type from information_schema.columns where table_schema = current_schema()`.execute(postgres.db);
  return new Map(rows.map(({ name, type }) => [name, type]));
}

async function readTables(sqlite: Store, types: ReadonlyMap<string, string>): Promise<Table[]> {
  const { rows: parts } = await sql<{ type: string; name: string; table: string; sql: string }>`
    select type, name, tbl_name as "table", sql from sqlite_schema where sql is not null order by name`.execute(
    sqlite.db,
  );
  const tables = parts.filter(({ type }) => type === 'table');
  return Promise.all(
    tables.map(async ({ name, sql: text }) => {
      const { rows: columns } = await sql<{ name: string; required: number; preset: string | null; pk: number }>`
        select name, "notnull" as required, dflt_value as preset, pk from pragma_table_info(${name}) order by cid`.execute(
        sqlite.db,
      );
      const key = columns.filter(({ pk }) => pk > 0).toSorted((a, b) => a.pk - b.pk);
      return {
        name,
        columns: columns.map((column) => ({
          name: column.name,
          type: types.get(`${name}.${column.name}`) ?? 'unknown',
          isRequired: column.required === 1,
          preset: column.preset,
        })),
        primaryKey: key.map((column) => column.name),
        checks: [...text.matchAll(/constraint (\w+) check \((.*)\),?$/gm)].map(([, check = '', condition = '']) => ({
          name: check,
          text: condition,
        })),
        foreignKeys: foreignKeysOf(text),
        indexes: parts
          .filter((part) => part.type === 'index' && part.table === name)
          .map(indexOf)
          .filter((index) => index !== null),
      };
    }),
  );
}

function foreignKeysOf(text: string): ForeignKey[] {
  const pattern = /constraint (\w+) foreign key \(([^)]*)\) references (\w+) \(([^)]*)\)( on delete cascade)?/g;
  return [...text.matchAll(pattern)].map(([, name = '', columns = '', table = '', targets = '', cascade]) => ({
    name,
    columns: columns.split(', '),
    table,
    targets: targets.split(', '),
    cascades: cascade !== undefined,
  }));
}

/** Null for an index on an expression: drizzle-kit cannot compare one. */
function indexOf({ name, sql: text }: { name: string; sql: string }): Index | null {
  const [, unique, columns, where] =
    /^create (unique )?index \w+ on \w+ \(([^()]*)\)(?: where (.*))?$/i.exec(text) ?? [];
  if (columns === undefined) return null;
  return { name, columns: columns.split(', '), isUnique: unique !== undefined, where };
}

function renderTable(table: Table): string {
  const columns = table.columns.map((column) => `${camel(column.name)}: ${quoted(typeOf(column, table.primaryKey))}`);
  return `/** ${descriptions[table.name] ?? table.name} */
${exportName(table.name)}: { name: '${table.name}', columns: { ${columns.join(', ')} }, ${rulesOf(table).join(', ')} },`;
}

function typeOf({ name, type, isRequired, preset }: Column, primaryKey: readonly string[]): string {
  const short =
    { bigint: 'integer', integer: 'small', bytea: 'bytes', jsonb: 'json', 'timestamp with time zone': 'time' }[type] ??
    type;
  if (primaryKey.length === 1 && name === primaryKey[0]) return `${short} primary key`;
  if (preset !== null) return `${short} default ${preset}`;
  return isRequired ? short : `${short} null`;
}

function rulesOf({ name: tableName, primaryKey, foreignKeys, checks, indexes }: Table): string[] {
  const names = (columns: readonly string[]) => `[${columns.map((column) => `'${camel(column)}'`).join(', ')}]`;
  const targetOf = ({ table, targets }: ForeignKey, at: number) => `${exportName(table)}.${camel(targets[at] ?? '')}`;
  // The target of a foreign key, which PostgreSQL has as a constraint.
  const isKey = ({ name }: Index) => name === 'oauth_tokens_tenant_id';
  const indexesOf = (kept: readonly Index[]) => kept.map(({ name, columns }) => `${name}: ${names(columns)}`);
  const rules: Readonly<Record<string, readonly string[]>> = {
    foreignKeys: foreignKeys.map(
      (key) => `${key.name}: { ${key.columns.map((from, at) => `${camel(from)}: '${targetOf(key, at)}'`).join(', ')} }`,
    ),
    cascades: foreignKeys.filter(({ cascades }) => cascades).map(({ name }) => `${name}: true`),
    checks: checks.map(({ name, text }) => `${name}: ${quoted(text)}`),
    uniqueKeys: indexesOf(indexes.filter(isKey)),
    uniqueIndexes: indexesOf(indexes.filter((index) => index.isUnique && !isKey(index))),
    indexes: indexesOf(indexes.filter(({ isUnique }) => !isUnique)),
    where: indexes.flatMap(({ name, where }) => (where === undefined ? [] : [`${name}: ${quoted(where)}`])),
  };
  return [
    ...(primaryKey.length > 1 ? [`primaryKey: { ${tableName}_pkey: ${names(primaryKey)} }`] : []),
    ...Object.entries(rules).flatMap(([rule, members]) =>
      members.length === 0 ? [] : [`${rule}: { ${members.join(', ')} }`],
    ),
  ];
}

function quoted(text: string): string {
  return text.includes("'") ? JSON.stringify(text) : `'${text}'`;
}

function exportName(table: string): string {
  return camel(table.replace(/^grantry_/, ''));
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function formatted(text: string): string {
  const options = ['format', '--stdin-file-path=src/adapters/drizzle/tables.ts'];
  return execFileSync('node_modules/.bin/biome', options, { input: text, encoding: 'utf8' });
}
