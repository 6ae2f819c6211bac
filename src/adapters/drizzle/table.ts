import { type ColumnBuilderBase, type HasDefault, type NotNull, type SQL, sql } from 'drizzle-orm';

/** A table of both databases, as data. Its columns are named in camelCase; the database has the names in snake_case. */
export interface Table {
  readonly name: string;
  readonly columns: Names;
  readonly primaryKey?: Lists;
  /** Columns and their targets, as `table.column`. */
  readonly foreignKeys?: Readonly<Record<string, Names>>;
  /** Foreign keys that delete with their target. */
  readonly cascades?: Readonly<Record<string, true>>;
  readonly checks?: Names;
  /** Unique columns: a constraint in PostgreSQL, an index in SQLite. */
  readonly uniqueKeys?: Lists;
  readonly uniqueIndexes?: Lists;
  readonly indexes?: Lists;
  /** Conditions of partial indexes. */
  readonly where?: Names;
}

type Names = Readonly<Record<string, string>>;
type Lists = Readonly<Record<string, readonly string[]>>;

/** Builders of a table's columns; `Types` has the builder of each type. */
export type ColumnBuilders<Types, Columns> = {
  -readonly [Name in keyof Columns]: BuilderOf<Types, Columns[Name]> & {
    readonly _: { readonly name: SnakeCase<Name> };
  };
};

type BuilderOf<Types, Text> = Text extends `${infer Type} null`
  ? Made<Types, Type>
  : Text extends `${infer Type} primary key`
    ? PrimaryKey<NotNull<Made<Types, Type>>>
    : Text extends `${infer Type} default ${string}`
      ? NotNull<HasDefault<Made<Types, Type>>>
      : NotNull<Made<Types, Text>>;

/** The builder's own result: SQLite gives integer keys a default. */
type PrimaryKey<Builder> = Builder extends { primaryKey(): infer Key } ? Key : never;

type Made<Types, Type> = Type extends keyof Types ? Extract<Types[Type], ColumnBuilderBase> : never;

type SnakeCase<Text> = Text extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeCase<Rest>}`
  : '';

type ColumnBuilder<Base> = Base & {
  notNull(): ColumnBuilder<Base>;
  primaryKey(): ColumnBuilder<Base>;
  default(value: unknown): ColumnBuilder<Base>;
};

/** Builds the columns of a table. */
export function columnsOf<Base>(
  { columns }: Table,
  types: Readonly<Record<string, (name: string) => ColumnBuilder<Base>>>,
): Record<string, Base> {
  const built = Object.entries(columns).map(([name, text]) => {
    const [, type = '', rest, preset = ''] = /^(\w+) ?(null|primary key|default '(.*)')?$/.exec(text) ?? [];
    const column = found(types, type)(name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
    if (rest === 'null') return [name, column] as const;
    if (rest === undefined) return [name, column.notNull()] as const;
    if (rest === 'primary key') return [name, column.notNull().primaryKey()] as const;
    return [name, column.default(type === 'json' ? JSON.parse(preset) : preset).notNull()] as const;
  });
  return Object.fromEntries(built);
}

type Some<Column> = [Column, ...Column[]];

/** Builders of one database's keys, checks and indexes. */
export interface Rules<Column, Target, Rule> {
  primaryKey(name: string, columns: Some<Column>): Rule;
  foreignKey(
    name: string,
    columns: Some<Column>,
    foreignColumns: Some<Target>,
  ): Rule & { onDelete(to: 'cascade'): Rule };
  check(name: string, condition: SQL): Rule;
  unique(name: string, columns: Some<Column>): Rule;
  uniqueIndex(name: string, columns: Some<Column>): Rule & { where(condition: SQL): Rule };
  index(name: string, columns: Some<Column>): Rule;
}

/** Builds the keys, checks and indexes of a table; `tables` has the targets of foreign keys. */
export function rulesOf<Column, Target, Rule>(
  table: Table,
  columns: Readonly<Record<string, Column>>,
  tables: Readonly<Record<string, Readonly<Record<string, Target>>>>,
  make: Rules<Column, Target, Rule>,
): Rule[] {
  const target = (text: string) => {
    const [name = '', column = ''] = text.split('.');
    return found(found(tables, name), column);
  };
  const some = (names: readonly string[]) => atLeastOne(names.map((name) => found(columns, name)));
  return [
    ...each(table.primaryKey, (name, list) => make.primaryKey(name, some(list))),
    ...each(table.foreignKeys, (name, pairs) => {
      const key = make.foreignKey(name, some(Object.keys(pairs)), atLeastOne(Object.values(pairs).map(target)));
      return table.cascades?.[name] === true ? key.onDelete('cascade') : key;
    }),
    ...each(table.checks, (name, condition) => make.check(name, sql.raw(condition))),
    ...each(table.uniqueKeys, (name, list) => make.unique(name, some(list))),
    ...each(table.uniqueIndexes, (name, list) => {
      const index = make.uniqueIndex(name, some(list));
      const condition = table.where?.[name];
      return condition === undefined ? index : index.where(sql.raw(condition));
    }),
    ...each(table.indexes, (name, list) => make.index(name, some(list))),
  ];
}

function each<Value, Rule>(
  group: Readonly<Record<string, Value>> | undefined,
  rule: (name: string, value: Value) => Rule,
): Rule[] {
  return Object.entries(group ?? {}).map(([name, value]) => rule(name, value));
}

function atLeastOne<Value>([first, ...rest]: readonly Value[]): Some<Value> {
  if (first === undefined) throw new RangeError('A key or an index has no columns.');
  return [first, ...rest];
}

function found<Value>(values: Readonly<Record<string, Value>>, name: string): Value {
  const value = values[name];
  if (value === undefined) throw new RangeError(`Unknown name: ${name}.`);
  return value;
}
