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
  grantry_attempts: 'The spendings of refresh tokens.',
  grantry_authorizations: 'Authorization requests whose callback may still come.',
  grantry_candidates: 'Token sets that arrived after their lease was lost, sealed.',
  grantry_connect_sessions: 'Connect links given to users.',
  grantry_events: 'Changes of grants and of what they need.',
  grantry_instance: 'The identity of the database: one row.',
  grantry_providers: 'Custom provider definitions.',
  grantry_revocations: 'Tokens that wait to be revoked at their providers, sealed.',
  grantry_schema: 'The migrations that were applied.',
  grantry_tenant_keys: "The tenants' keys, wrapped by the root key.",
  grantry_token_requests: 'Recent token requests, for the limits of providers.',
};

/** Writes the Drizzle schemas of migrated databases, as Biome formats them. */
export async function drizzleSchemas(sqlite: Store, postgres: Store): Promise<{ sqlite: string; postgres: string }> {
  const tables = await readTables(sqlite, await readTypes(postgres));
  return { sqlite: render(tables, 'sqlite'), postgres: render(tables, 'postgres') };
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
        indexes: parts.filter((part) => part.type === 'index' && part.table === name).map(indexOf),
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

function indexOf({ name, sql: text }: { name: string; sql: string }): Index {
  const [, unique, columns = '', where] =
    /^create (unique )?index \w+ on \w+ \(([^)]*)\)(?: where (.*))?$/i.exec(text) ?? [];
  return { name, columns: columns.split(', '), isUnique: unique !== undefined, where };
}

type Kind = 'sqlite' | 'postgres';

function render(tables: readonly Table[], kind: Kind): string {
  const body = tables.map((table) => renderTable(table, kind)).join('\n');
  const module = kind === 'sqlite' ? 'sqlite-core' : 'pg-core';
  const helpers =
    kind === 'sqlite'
      ? `const json = <Name extends string>(name: Name) => text(name, { mode: 'json' });\n`
      : `const integer = <Name extends string>(name: Name) => bigint(name, { mode: 'number' });
const time = <Name extends string>(name: Name) => timestamp(name, { withTimezone: true, mode: 'string' });\n`;
  const words =
    'bigint check foreignKey index integer jsonb pgTable primaryKey sqliteTable text timestamp unique uniqueIndex uuid';
  const used = words.split(' ').filter((word) => new RegExp(`\\b${word}\\(`).test(helpers + body));
  const own = kind === 'sqlite' ? used : used.filter((word) => word !== 'integer');
  return formatted(`// Written by "npm run schema-snapshot" from a migrated database.
import { sql } from 'drizzle-orm';
import { ${own.join(', ')} } from 'drizzle-orm/${module}';

${helpers}
${body}`);
}

function renderTable(table: Table, kind: Kind): string {
  const [only] = table.primaryKey.length === 1 ? table.primaryKey : [];
  const columns = table.columns.map((column) => {
    const required = column.isRequired ? '.notNull()' : '';
    const key = column.name === only ? '.primaryKey()' : '';
    return `${camel(column.name)}: ${builderOf(column, kind)}('${column.name}')${presetOf(column)}${required}${key},`;
  });
  const rules = rulesOf(table, kind);
  const extra =
    rules.length === 0
      ? ''
      : `, (${rules.join('').includes('table.') ? 'table' : ''}) => [${rules.map((rule) => `${rule},`).join('\n')}]`;
  const make = kind === 'sqlite' ? 'sqliteTable' : 'pgTable';
  return `/** ${descriptions[table.name] ?? table.name} */
export const ${exportName(table.name)} = ${make}('${table.name}', {\n${columns.join('\n')}\n}${extra});
`;
}

function rulesOf(table: Table, kind: Kind): string[] {
  const list = (columns: readonly string[], of = 'table') =>
    columns.map((column) => `${of}.${camel(column)}`).join(', ');
  const { primaryKey } = table;
  const key = `primaryKey({ name: '${table.name}_pkey', columns: [${list(primaryKey)}] })`;
  return [
    ...(primaryKey.length > 1 ? [key] : []),
    ...table.foreignKeys.map(
      ({ name, columns, table: target, targets, cascades }) =>
        `foreignKey({ name: '${name}', columns: [${list(columns)}], foreignColumns: [${list(targets, exportName(target))}] })${
          cascades ? `.onDelete('cascade')` : ''
        }`,
    ),
    ...table.checks.map(({ name, text }) => `check('${name}', sql\`${text}\`)`),
    ...table.indexes.map(({ name, columns, isUnique, where }) => {
      const condition = where === undefined ? '' : `.where(sql\`${where}\`)`;
      // The target of a foreign key, which PostgreSQL has as a constraint.
      if (kind === 'postgres' && name === 'oauth_tokens_tenant_id') return `unique('${name}').on(${list(columns)})`;
      return `${isUnique ? 'uniqueIndex' : 'index'}('${name}').on(${list(columns)})${condition}`;
    }),
  ];
}

function builderOf({ type }: Column, kind: Kind): string {
  if (type === 'bigint') return 'integer';
  if (type === 'jsonb') return kind === 'sqlite' ? 'json' : 'jsonb';
  if (kind === 'sqlite' || type === 'text') return 'text';
  return type === 'uuid' ? 'uuid' : 'time';
}

function presetOf({ preset, type }: Column): string {
  if (preset === null) return '';
  return type === 'jsonb' ? `.default(${preset.slice(1, -1)})` : `.default(${preset})`;
}

function exportName(table: string): string {
  return camel(table.replace(/^grantry_/, ''));
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function formatted(text: string): string {
  const options = ['format', '--stdin-file-path=src/adapters/drizzle/schema.ts'];
  return execFileSync('node_modules/.bin/biome', options, { input: text, encoding: 'utf8' });
}
