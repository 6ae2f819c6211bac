import { sql } from 'kysely';
import type { Reader, WriteTx } from '../database.ts';
import { grantTable } from '../migrations/0001-vault.postgres.ts';
import {
  foreignColumns,
  foreignIndexes,
  foreignRefusals,
  foreignTriggers,
  type NamedDefinition,
  ownConstraints,
  pointingKeys,
  templateChecks,
  templateColumns,
  viewsOver,
} from './catalogue.ts';
import { indexSurvives, keptName } from './names.ts';
import type { DroppedPart, ForeignTable, PlainColumn, RawColumns } from './table.ts';

/** An empty table of ours, to read from it what the foreign one must become. */
const template = 'grantry_oauth_tokens';

/** Lists what must be put back, or dropped, once the rows are converted. */
export interface Altered {
  columns: RawColumns;
  /** Columns with the values as they were, to be dropped. */
  raw: readonly string[];
  restore: readonly NamedDefinition[];
}

export async function inspectPostgresTable(db: Reader): Promise<ForeignTable> {
  const dropped: DroppedPart[] = [
    ...(await foreignTriggers(db)),
    ...(await ownConstraints(db)).filter((part) => part.type !== 'p'),
    ...(await foreignIndexes(db)).filter((part) => !indexSurvives(part.definition)),
  ].map(({ kind, name, definition }) => ({ kind, name, definition }));
  const columns = await foreignColumns(db);
  return {
    columns: columns.map(({ name, type }) => ({ name, type })),
    extra: [],
    refusals: await foreignRefusals(db),
    dropped,
  };
}

/** Gives the foreign table our columns. Values that are not of our types stay beside them until the rows are converted. */
export async function alterForeignTable(tx: WriteTx, table: ForeignTable): Promise<Altered> {
  await sql`lock table oauth_tokens in access exclusive mode`.execute(tx);
  // Values are read as text: these two settings decide the form of a time.
  await sql`select set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, YMD', true)`.execute(tx);
  await sql.raw(grantTable.replace('oauth_tokens', template)).execute(tx);
  const ours = await templateColumns(tx, template);
  const views = await viewsOver(tx);
  const remadeViews = views.map(({ name, definition }) => ({
    name,
    definition: `create view ${name} as ${definition}`,
  }));
  for (const view of views.toReversed()) await sql`drop view ${sql.raw(view.name)}`.execute(tx);
  await dropTriggers(tx);
  const raw = await renameColumns(tx, table, new Map(ours.map(({ name, type }) => [name, type])));
  const keys = await pointingKeys(tx);
  const indexes = (await foreignIndexes(tx)).filter((index) => indexSurvives(index.definition));
  await dropConstraints(tx);
  await loosenExtraColumns(tx);
  const added = ours
    .filter((column) => !raw.present.has(column.name))
    .map(({ name, type }) => sql`add column ${sql.ref(name)} ${sql.raw(type)}`);
  const row = sql`add column grantry_row bigint generated always as identity`;
  await sql`alter table oauth_tokens ${sql.join([...added, row])}`.execute(tx);
  await sql`create unique index grantry_row on oauth_tokens (grantry_row)`.execute(tx);
  await sql`update oauth_tokens set account = 'default', generation = 0, authorized_generation = 0, lease_fence = 0,
    state = 'active', changed_at = floor(extract(epoch from clock_timestamp()) * 1000)::bigint`.execute(tx);
  return {
    columns: raw.columns,
    raw: raw.names,
    restore: [...indexes, ...(await originalKey(tx)), ...keys, ...remadeViews],
  };
}

/** Makes the constraints, which every row satisfies now, and restores the parts that fit. Returns the others. */
export async function finishForeignTable(tx: WriteTx, altered: Altered): Promise<string[]> {
  const drops = [...altered.raw, 'grantry_row'].map((name) => sql`drop column ${sql.ref(name)}`);
  await sql`alter table oauth_tokens ${sql.join(drops)}`.execute(tx);
  const changes = (await templateColumns(tx, template)).flatMap(({ name, preset, required }) => {
    const alter = sql`alter column ${sql.ref(name)}`;
    const value = preset === null ? sql`drop default` : sql`set default ${sql.raw(preset)}`;
    return [sql`${alter} ${value}`, sql`${alter} ${required ? sql`set not null` : sql`drop not null`}`];
  });
  // One statement scans the table once for all its checks.
  await sql`alter table oauth_tokens ${sql.join(changes)}`.execute(tx);
  const checks = await templateChecks(tx, template);
  await sql`drop table ${sql.ref(template)}`.execute(tx);
  await sql`alter table oauth_tokens add constraint oauth_tokens_pkey primary key (id)`.execute(tx);
  for (const { name, definition } of checks) {
    await sql`alter table oauth_tokens add constraint ${sql.ref(name)} ${sql.raw(definition)}`.execute(tx);
  }
  const lost: string[] = [];
  for (const part of altered.restore) if (!(await restore(tx, part))) lost.push(part.name);
  return lost;
}

/** Drops triggers and rules: they belong to the other program, and would see plaintext while rows are sealed. */
async function dropTriggers(tx: WriteTx): Promise<void> {
  for (const { kind, name } of await foreignTriggers(tx)) {
    await sql`drop ${sql.raw(kind)} ${sql.ref(name)} on oauth_tokens`.execute(tx);
  }
}

interface RawPart {
  columns: RawColumns;
  names: string[];
  /** Columns that have our name and our type. */
  present: Set<string>;
}

/** Renames columns that have another type than ours; ids get a name of their own. */
async function renameColumns(tx: WriteTx, table: ForeignTable, ours: ReadonlyMap<string, string>): Promise<RawPart> {
  const columns = new Map<PlainColumn, string>();
  const names: string[] = [];
  const present = new Set<string>();
  const rename = async (from: string, to: string) => {
    await sql`alter table oauth_tokens rename column ${sql.ref(from)} to ${sql.ref(to)}`.execute(tx);
    return to;
  };
  for (const { name } of table.extra) if (ours.has(name)) await rename(name, keptName(name, ours));
  for (const { name, type } of table.columns) {
    if (!isPlain(name, table)) continue;
    const become = conversionOf(name, type, ours.get(name));
    if (become === 'text') {
      const text = type === 'bytea' ? sql`convert_from(${sql.ref(name)}, 'UTF8')` : sql`${sql.ref(name)}::text`;
      await sql`alter table oauth_tokens alter column ${sql.ref(name)} drop default`.execute(tx);
      await sql`alter table oauth_tokens alter column ${sql.ref(name)} type text using ${text}`.execute(tx);
    }
    if (become !== 'move') present.add(name);
    const place = become !== 'move' ? name : await rename(name, name === 'id' ? 'original_id' : `grantry_raw_${name}`);
    if (place.startsWith('grantry_raw_')) names.push(place);
    columns.set(name, place);
  }
  return { columns, names, present };
}

function isPlain(name: string, table: ForeignTable): name is PlainColumn {
  return !table.extra.some((column) => column.name === name);
}

const textColumns: readonly PlainColumn[] = ['client_id', 'provider', 'access_token', 'refresh_token'];

/** Says how a column becomes ours. Tokens and names become text; another column is renamed unless it has our type. */
function conversionOf(name: PlainColumn, type: string, ours: string | undefined): 'stay' | 'text' | 'move' {
  if (type === ours) return 'stay';
  return textColumns.includes(name) ? 'text' : 'move';
}

/** Drops all constraints and the foreign keys that rely on them: some narrow the key, some would refuse the vault's rows. */
async function dropConstraints(tx: WriteTx): Promise<void> {
  for (const { name } of await ownConstraints(tx)) {
    await sql`alter table oauth_tokens drop constraint if exists ${sql.ref(name)} cascade`.execute(tx);
  }
  for (const { qualified } of await foreignIndexes(tx)) await sql`drop index ${sql.raw(qualified)}`.execute(tx);
}

/** Makes extra columns optional: the vault does not know them and gives them no value. */
async function loosenExtraColumns(tx: WriteTx): Promise<void> {
  for (const { name, preset, identity, required } of await foreignColumns(tx)) {
    // New rows have no id of the old kind, and the old counter may point at a taken one.
    if (name === 'original_id') {
      const stop = identity ? sql`drop identity` : sql`drop default`;
      await sql`alter table oauth_tokens alter column original_id ${stop}`.execute(tx);
    } else if (identity || preset) continue;
    if (!required) continue;
    await sql`alter table oauth_tokens alter column ${sql.ref(name)} drop not null`.execute(tx);
  }
}

/** Keeps the former ids unique: other tables may point at them. */
async function originalKey(tx: WriteTx): Promise<NamedDefinition[]> {
  const columns = await foreignColumns(tx);
  if (!columns.some((column) => column.name === 'original_id')) return [];
  return [
    {
      name: 'oauth_tokens_original_id',
      definition: 'alter table oauth_tokens add constraint oauth_tokens_original_id unique (original_id)',
    },
  ];
}

/** Runs a definition. Returns false when it no longer fits, which must not undo the take-over. */
async function restore(tx: WriteTx, { definition }: NamedDefinition): Promise<boolean> {
  if (definition.includes('$grantry$')) return false;
  await sql`select set_config('grantry.restored', 'yes', true)`.execute(tx);
  const block = `begin execute $grantry$${definition}$grantry$;
    exception when others then perform set_config('grantry.restored', 'no', true); end`;
  await sql.raw(`do $block$ ${block} $block$`).execute(tx);
  const { rows } = await sql<{ restored: string }>`select current_setting('grantry.restored') as restored`.execute(tx);
  return rows[0]?.restored === 'yes';
}
