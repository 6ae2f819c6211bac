import { type RawBuilder, sql } from 'kysely';
import type { StoreKind } from '../engine/engine.ts';

type ColumnType = RawBuilder<unknown>;

/** What the kinds of column are called in each database. */
export interface ColumnTypes {
  uuid: ColumnType;
  text: ColumnType;
  /** Whole numbers: times in milliseconds, counters. */
  integer: ColumnType;
  json: ColumnType;
  /** The three classic times of `oauth_tokens`. */
  timestamp: ColumnType;
  /** What a table's definition ends with. */
  tableEnd: RawBuilder<unknown>;
}

const sqliteTypes: ColumnTypes = {
  uuid: sql`text`,
  text: sql`text`,
  integer: sql`integer`,
  json: sql`text`,
  timestamp: sql`text`,
  // Without it SQLite keeps whatever it is given, a blob in a column of integers too.
  tableEnd: sql`strict`,
};

const postgresTypes: ColumnTypes = {
  uuid: sql`uuid`,
  text: sql`text`,
  integer: sql`bigint`,
  json: sql`jsonb`,
  timestamp: sql`timestamptz`,
  tableEnd: sql``,
};

export function columnTypes(kind: StoreKind): ColumnTypes {
  return kind === 'sqlite' ? sqliteTypes : postgresTypes;
}
