import { type Kysely, sql } from 'kysely';
import type { StoreKind } from '../engine/engine.ts';
import type { Schema } from '../schema.ts';
import { columnTypes } from './columns.ts';

/**
 * Makes the table of grants under its own name, or under another one for a rebuild of a table that is taken over.
 *
 * There is no default for what the vault decides, and sealed is what begins as a sealed value does: a program that still
 * inserts or updates plaintext fails instead of leaving it. Generation 0 is a row taken over that is not sealed yet.
 */
export async function createGrantTable(db: Kysely<Schema>, kind: StoreKind, name = 'oauth_tokens'): Promise<void> {
  const { uuid, text, integer, json, timestamp, tableEnd } = columnTypes(kind);
  await db.schema
    .createTable(name)
    .addColumn('id', uuid, (column) => column.primaryKey().notNull())
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('provider', text, (column) => column.notNull())
    .addColumn('account', text, (column) => column.notNull().defaultTo('default'))
    .addColumn('access_token', text)
    .addColumn('refresh_token', text)
    .addColumn('token_expiry', timestamp)
    .addColumn('scopes', text, (column) => column.notNull().defaultTo(''))
    .addColumn('metadata', json, (column) => column.notNull().defaultTo('{}'))
    .addColumn('created_at', timestamp, (column) => column.notNull())
    .addColumn('updated_at', timestamp, (column) => column.notNull())
    .addColumn('app', text)
    .addColumn('state', text, (column) => column.notNull())
    .addColumn('reason', text)
    .addColumn('generation', integer, (column) => column.notNull())
    .addColumn('authorized_generation', integer, (column) => column.notNull())
    .addColumn('token_type', text)
    .addColumn('obtained_at', integer)
    .addColumn('last_refreshed_at', integer)
    .addColumn('changed_at', integer, (column) => column.notNull())
    .addColumn('refresh_fingerprint', text)
    .addColumn('doubt_since', integer)
    .addColumn('retry_at', integer)
    .addColumn('overlap_until', integer)
    .addColumn('lease_owner', text)
    .addColumn('lease_until', integer)
    .addColumn('lease_fence', integer, (column) => column.notNull())
    .addColumn('condemned_at', integer)
    .addColumn('used_at', integer)
    .addColumn('due_at', integer)
    .addCheckConstraint('oauth_tokens_state_check', grantStateCheck)
    .addCheckConstraint('oauth_tokens_generation_check', sql`generation >= 0`)
    .addCheckConstraint('oauth_tokens_access_token_check', sql`generation = 0 or access_token like 'gry1.%'`)
    .addCheckConstraint('oauth_tokens_refresh_token_check', sql`generation = 0 or refresh_token like 'gry1.%'`)
    .addCheckConstraint('oauth_tokens_lease_check', sql`(lease_owner is null) = (lease_until is null)`)
    .modifyEnd(tableEnd)
    .execute();
}

/** States a row may have; for a table that is altered in place too. */
export const grantStateCheck = sql<boolean>`state in ('active', 'uncertain', 'suspect', 'reauthorization_required', 'disconnected')`;

/** The keys and indexes of `oauth_tokens`: after a rebuild or an alteration they are made on the final table. */
export async function createGrantIndexes(db: Kysely<Schema>, kind: StoreKind): Promise<void> {
  const table = 'oauth_tokens';
  await db.schema
    .createIndex('oauth_tokens_key')
    .unique()
    .on(table)
    .columns(['client_id', 'provider', 'account'])
    .execute();
  await createPointedKey(db, kind, 'oauth_tokens_tenant_id', table);
  await db.schema.createIndex('oauth_tokens_due').on(table).columns(['state', 'due_at']).execute();
  await db.schema.createIndex('oauth_tokens_changed_at').on(table).column('changed_at').execute();
  await db.schema.createIndex('oauth_tokens_refresh_fingerprint').on(table).column('refresh_fingerprint').execute();
}

/**
 * A key by which other tables point at a row together with its tenant. The tools of each database know such a key in one
 * form alone: as a constraint in PostgreSQL, as an index in SQLite.
 */
export async function createPointedKey(
  db: Kysely<Schema>,
  kind: StoreKind,
  name: string,
  table: 'oauth_tokens' | 'grantry_connect_sessions',
): Promise<void> {
  const columns = ['client_id', 'id'] as const;
  if (kind === 'sqlite')
    await db.schema
      .createIndex(name)
      .unique()
      .on(table)
      .columns([...columns])
      .execute();
  else
    await db.schema
      .alterTable(table)
      .addUniqueConstraint(name, [...columns])
      .execute();
}
