import type { BuildColumns } from 'drizzle-orm';
import * as core from 'drizzle-orm/pg-core';
import { type ColumnBuilders, columnsOf, type Rules, rulesOf } from './table.ts';
import { tables } from './tables.ts';

// drizzle-orm has no builder for bytes.
const bytes = core.customType<{ data: Uint8Array }>({ dataType: () => 'bytea' });

const types = {
  bytes: (name: string) => bytes(name),
  integer: (name: string) => core.bigint(name, { mode: 'number' }),
  json: (name: string) => core.jsonb(name),
  small: (name: string) => core.integer(name),
  text: (name: string) => core.text(name),
  time: (name: string) => core.timestamp(name, { withTimezone: true, mode: 'string' }),
  uuid: (name: string) => core.uuid(name),
};

type Types = { [Type in keyof typeof types]: ReturnType<(typeof types)[Type]> };

const rules: Rules<core.ExtraConfigColumn, core.PgColumn, core.PgTableExtraConfigValue> = {
  primaryKey: (name, columns) => core.primaryKey({ name, columns }),
  foreignKey: (name, columns, foreignColumns) => core.foreignKey({ name, columns, foreignColumns }),
  check: core.check,
  unique: (name, columns) => core.unique(name).on(...columns),
  uniqueIndex: (name, columns) => core.uniqueIndex(name).on(...columns),
  index: (name, columns) => core.index(name).on(...columns),
};

type PostgresTables = {
  [T in keyof typeof tables]: core.PgTableWithColumns<{
    name: (typeof tables)[T]['name'];
    schema: undefined;
    columns: BuildColumns<(typeof tables)[T]['name'], ColumnBuilders<Types, (typeof tables)[T]['columns']>, 'pg'>;
    dialect: 'pg';
  }>;
};

/** The tables in PostgreSQL. */
export const postgres = built();

function built(): PostgresTables {
  const made: Record<string, Readonly<Record<string, core.PgColumn>>> = {};
  for (const [name, table] of Object.entries(tables)) {
    const builders = columnsOf<core.PgColumnBuilderBase>(table, types);
    made[name] = core.pgTable(table.name, builders, (columns) => rulesOf(table, columns, made, rules));
  }
  // Types and values follow from the same data.
  return made as unknown as PostgresTables;
}
