/** The statement that a function sends, and how a database would run it. */
import type { DatabaseSync } from 'node:sqlite';
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteQueryCompiler,
} from 'kysely';
import type { Client } from 'pg';
import { expect } from 'vitest';
import type { Schema } from '../../src/storage/schema.ts';
import type { StoreKind } from '../../src/storage/store.ts';

export interface Statement {
  readonly text: string;
  readonly parameters: readonly unknown[];
}

/** Returns the exact first statement that a function sends. Nothing reaches a database. */
export async function statementOf(kind: StoreKind, send: (db: Kysely<Schema>) => Promise<unknown>): Promise<Statement> {
  const seen: Statement[] = [];
  const db = new Kysely<Schema>({
    dialect: {
      createAdapter: () => (kind === 'postgres' ? new PostgresAdapter() : new SqliteAdapter()),
      createDriver: () => new DummyDriver(),
      createIntrospector: () => expect.unreachable('nothing is introspected'),
      createQueryCompiler: () => (kind === 'postgres' ? new PostgresQueryCompiler() : new SqliteQueryCompiler()),
    },
    log: ({ query }) => void seen.push({ text: query.sql, parameters: query.parameters }),
  });
  await send(db);
  return seen[0] ?? expect.unreachable('nothing was sent');
}

export function sqlitePlan(database: DatabaseSync, { text, parameters }: Statement): string {
  const bound = parameters.filter((value) => typeof value === 'string' || typeof value === 'number');
  const plan = database.prepare(`explain query plan ${text}`).all(...bound);
  return plan.map((step) => String(step['detail'])).join('\n');
}

export async function postgresPlan(client: Client, { text, parameters }: Statement): Promise<string> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>({ text: `explain ${text}`, values: [...parameters] });
  return rows.map((line) => line['QUERY PLAN']).join('\n');
}
