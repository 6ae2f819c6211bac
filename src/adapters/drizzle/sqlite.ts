import type { BuildColumns } from 'drizzle-orm';
import * as core from 'drizzle-orm/sqlite-core';
import { type ColumnBuilders, columnsOf, type Rules, rulesOf } from './table.ts';
import { tables } from './tables.ts';

const types = {
  bytes: (name: string) => core.blob(name, { mode: 'buffer' }),
  integer: (name: string) => core.integer(name),
  json: (name: string) => core.text(name, { mode: 'json' }),
  small: (name: string) => core.integer(name),
  text: (name: string) => core.text(name),
  time: (name: string) => core.text(name),
  uuid: (name: string) => core.text(name),
};

type Types = { [Type in keyof typeof types]: ReturnType<(typeof types)[Type]> };

const rules: Rules<core.SQLiteColumn, core.SQLiteColumn, core.SQLiteTableExtraConfigValue> = {
  primaryKey: (name, columns) => core.primaryKey({ name, columns }),
  foreignKey: (name, columns, foreignColumns) => core.foreignKey({ name, columns, foreignColumns }),
  check: core.check,
  unique: (name, columns) => core.uniqueIndex(name).on(...columns),
  uniqueIndex: (name, columns) => core.uniqueIndex(name).on(...columns),
  index: (name, columns) => core.index(name).on(...columns),
};

type SqliteTables = {
  [T in keyof typeof tables]: core.SQLiteTableWithColumns<{
    name: (typeof tables)[T]['name'];
    schema: undefined;
    columns: BuildColumns<(typeof tables)[T]['name'], ColumnBuilders<Types, (typeof tables)[T]['columns']>, 'sqlite'>;
    dialect: 'sqlite';
  }>;
};

/** The tables in SQLite. */
export const sqlite = built();

function built(): SqliteTables {
  const made: Record<string, Readonly<Record<string, core.SQLiteColumn>>> = {};
  for (const [name, table] of Object.entries(tables)) {
    const builders = columnsOf<core.SQLiteColumnBuilderBase>(table, types);
    made[name] = core.sqliteTable(table.name, builders, (columns) => rulesOf(table, columns, made, rules));
  }
  // Types and values follow from the same data.
  return made as unknown as SqliteTables;
}
