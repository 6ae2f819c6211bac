import { type ColumnDefinitionBuilder, type Kysely, sql } from 'kysely';
import type { StoreKind } from '../engine/engine.ts';
import type { Schema } from '../schema.ts';
import { type ColumnTypes, columnTypes } from './columns.ts';
import { createPointedKey } from './grant-table.ts';

/** Everything beside `oauth_tokens`, which exists when this runs: made anew, or taken over from another program. */
export async function createVaultTables(db: Kysely<Schema>, kind: StoreKind): Promise<void> {
  const types = columnTypes(kind);
  await createInstance(db, types);
  await createTenantKeys(db, types);
  await createApps(db, types);
  await createProviders(db, types);
  await createConnectSessions(db, kind, types);
  await createAuthorizations(db, types);
  await createAttempts(db, types);
  await createCandidates(db, types);
  await createRevocations(db, types);
  await createEvents(db, kind, types);
  await createApiKeys(db, types);
  await createTokenRequests(db, kind, types);
}

async function createInstance(db: Kysely<Schema>, { text, integer, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_instance')
    .addColumn('id', integer, (column) => column.primaryKey().notNull())
    .addColumn('vault_id', text, (column) => column.notNull())
    .addColumn('installation', text)
    .addColumn('epoch', integer, (column) => column.notNull())
    .addColumn('location', text, (column) => column.notNull())
    .addColumn('timeline', integer)
    .addColumn('quarantined_reason', text)
    .addColumn('scrub_pending', integer, (column) => column.notNull())
    .addColumn('created_at', integer, (column) => column.notNull())
    .addCheckConstraint('grantry_instance_one_check', sql`id = 1`)
    .addCheckConstraint('grantry_instance_scrub_check', sql`scrub_pending in (0, 1)`)
    .modifyEnd(tableEnd)
    .execute();
}

async function createTenantKeys(db: Kysely<Schema>, { text, integer, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_tenant_keys')
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('version', integer, (column) => column.notNull())
    .addColumn('wrapped', text, (column) => column.notNull())
    .addColumn('created_at', integer, (column) => column.notNull())
    .addPrimaryKeyConstraint('grantry_tenant_keys_pkey', ['client_id', 'version'])
    .modifyEnd(tableEnd)
    .execute();
}

async function createApps(db: Kysely<Schema>, { text, integer, json, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_apps')
    .addColumn('name', text, (column) => column.primaryKey().notNull())
    .addColumn('provider', text, (column) => column.notNull())
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('client_secrets', json, (column) => column.notNull())
    .addColumn('dc', text)
    .addColumn('redirect_uri', text)
    .addColumn('scopes', json, (column) => column.notNull())
    .addColumn('tenants', json)
    .addColumn('return_to', json, (column) => column.notNull())
    .addColumn('context', text, (column) => column.notNull())
    .addColumn('generation', integer, (column) => column.notNull())
    .addColumn('created_at', integer, (column) => column.notNull())
    .addColumn('updated_at', integer, (column) => column.notNull())
    .modifyEnd(tableEnd)
    .execute();
  await db.schema.createIndex('grantry_apps_context_key').unique().on('grantry_apps').columns(['context']).execute();
  await db.schema.createIndex('grantry_apps_provider').on('grantry_apps').columns(['provider', 'client_id']).execute();
}

async function createProviders(db: Kysely<Schema>, { text, integer, json, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_providers')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('definition', json, (column) => column.notNull())
    .addColumn('created_at', integer, (column) => column.notNull())
    .addColumn('updated_at', integer, (column) => column.notNull())
    .modifyEnd(tableEnd)
    .execute();
}

async function createConnectSessions(
  db: Kysely<Schema>,
  kind: StoreKind,
  { text, integer, json, tableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('grantry_connect_sessions')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('token_hash', text, (column) => column.notNull())
    .addColumn('provider', text, (column) => column.notNull())
    .addColumn('account', text, (column) => column.notNull())
    .addColumn('app', text, (column) => column.notNull())
    .addColumn('scopes', json, (column) => column.notNull())
    .addColumn('return_to', text)
    .addColumn('user_id', text)
    .addColumn('browser_hash', text)
    .addColumn('completion_hash', text)
    .addColumn('pending', text)
    .addColumn('state', text, (column) => column.notNull())
    .addColumn('error', text)
    .addColumn('granted', json)
    .addColumn('starts', integer, (column) => column.notNull())
    .addColumn('created_at', integer, (column) => column.notNull())
    .addColumn('expires_at', integer, (column) => column.notNull())
    .addColumn('completed_at', integer)
    .addCheckConstraint(
      'grantry_connect_sessions_state_check',
      sql`state in ('open', 'started', 'exchanging', 'pending', 'completed', 'failed')`,
    )
    .modifyEnd(tableEnd)
    .execute();
  await db.schema
    .createIndex('grantry_connect_sessions_completion_key')
    .unique()
    .on('grantry_connect_sessions')
    .columns(['completion_hash'])
    .execute();
  await db.schema
    .createIndex('grantry_connect_sessions_token_key')
    .unique()
    .on('grantry_connect_sessions')
    .columns(['token_hash'])
    .execute();
  await createPointedKey(db, kind, 'grantry_connect_sessions_tenant_id_key', 'grantry_connect_sessions');
  await db.schema
    .createIndex('grantry_connect_sessions_expires_at')
    .on('grantry_connect_sessions')
    .column('expires_at')
    .execute();
}

async function createAuthorizations(db: Kysely<Schema>, { text, integer, json, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_authorizations')
    .addColumn('state_hash', text, (column) => column.primaryKey().notNull())
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('provider', text, (column) => column.notNull())
    .addColumn('account', text, (column) => column.notNull())
    .addColumn('app', text, (column) => column.notNull())
    .addColumn('verifier', text)
    .addColumn('redirect_uri', text, (column) => column.notNull())
    .addColumn('scopes', json, (column) => column.notNull())
    .addColumn('dc', text)
    .addColumn('issuer', text)
    .addColumn('provider_hash', text, (column) => column.notNull())
    .addColumn('connect_session_id', text)
    .addColumn('created_at', integer, (column) => column.notNull())
    .addColumn('expires_at', integer, (column) => column.notNull())
    .addColumn('used_at', integer)
    .addForeignKeyConstraint(
      'grantry_authorizations_session_fkey',
      ['client_id', 'connect_session_id'],
      'grantry_connect_sessions',
      ['client_id', 'id'],
      (key) => key.onDelete('cascade'),
    )
    .modifyEnd(tableEnd)
    .execute();
  await db.schema
    .createIndex('grantry_authorizations_expires_at')
    .on('grantry_authorizations')
    .column('expires_at')
    .execute();
  await db.schema
    .createIndex('grantry_authorizations_session')
    .on('grantry_authorizations')
    .columns(['client_id', 'connect_session_id'])
    .execute();
}

async function createAttempts(db: Kysely<Schema>, { uuid, text, integer, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_attempts')
    .addColumn('id', uuid, (column) => column.primaryKey().notNull())
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('grant_id', uuid, (column) => column.notNull())
    .addColumn('fence', integer, (column) => column.notNull())
    .addColumn('generation', integer, (column) => column.notNull())
    .addColumn('token_fingerprint', text, (column) => column.notNull())
    .addColumn('candidate_id', uuid)
    .addColumn('owner', text, (column) => column.notNull())
    .addColumn('started_at', integer, (column) => column.notNull())
    .addColumn('finished_at', integer)
    .addColumn('outcome', text, (column) => column.notNull())
    .addColumn('detail', text)
    .addForeignKeyConstraint('grantry_attempts_grant_fkey', ['client_id', 'grant_id'], 'oauth_tokens', [
      'client_id',
      'id',
    ])
    .addCheckConstraint(
      'grantry_attempts_outcome_check',
      sql`outcome in ('open', 'saved', 'parked', 'refused', 'failed', 'not_sent', 'unknown')`,
    )
    .modifyEnd(tableEnd)
    .execute();
  await db.schema.createIndex('grantry_attempts_started_at').on('grantry_attempts').column('started_at').execute();
  await db.schema
    .createIndex('grantry_attempts_grant')
    .on('grantry_attempts')
    .columns(['client_id', 'grant_id', 'outcome'])
    .execute();
}

async function createCandidates(db: Kysely<Schema>, { uuid, text, integer, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_candidates')
    .addColumn('id', uuid, (column) => column.primaryKey().notNull())
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('grant_id', uuid, (column) => column.notNull())
    .addColumn('fence', integer, (column) => column.notNull())
    .addColumn('generation', integer, (column) => column.notNull())
    .addColumn('tokens', text, (column) => column.notNull())
    .addColumn('token_fingerprint', text, (column) => column.notNull())
    .addColumn('received_at', integer, (column) => column.notNull())
    .addColumn('state', text, (column) => column.notNull())
    .addForeignKeyConstraint('grantry_candidates_grant_fkey', ['client_id', 'grant_id'], 'oauth_tokens', [
      'client_id',
      'id',
    ])
    .addCheckConstraint('grantry_candidates_state_check', sql`state in ('untested', 'dead', 'superseded')`)
    .modifyEnd(tableEnd)
    .execute();
  await db.schema
    .createIndex('grantry_candidates_grant')
    .unique()
    .on('grantry_candidates')
    .columns(['client_id', 'grant_id', 'token_fingerprint'])
    .execute();
}

/** No grant: tokens of a connect session that nobody completed. */
async function createRevocations(db: Kysely<Schema>, { uuid, text, integer, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_revocations')
    .addColumn('id', uuid, (column) => column.primaryKey().notNull())
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('grant_id', uuid)
    .addColumn('provider', text, (column) => column.notNull())
    .addColumn('account', text, (column) => column.notNull())
    .addColumn('app', text)
    .addColumn('dc', text)
    .addColumn('token', text, (column) => column.notNull())
    .addColumn('token_fingerprint', text, (column) => column.notNull())
    .addColumn('attempts', integer, (column) => column.notNull())
    .addColumn('next_at', integer, (column) => column.notNull())
    .addColumn('deadline_at', integer, (column) => column.notNull())
    .addColumn('created_at', integer, (column) => column.notNull())
    .addForeignKeyConstraint('grantry_revocations_grant_fkey', ['client_id', 'grant_id'], 'oauth_tokens', [
      'client_id',
      'id',
    ])
    .modifyEnd(tableEnd)
    .execute();
  await db.schema.createIndex('grantry_revocations_next_at').on('grantry_revocations').column('next_at').execute();
  await db.schema
    .createIndex('grantry_revocations_grant')
    .on('grantry_revocations')
    .columns(['client_id', 'grant_id'])
    .execute();
}

/** No foreign key: an event outlives what it tells of. Its number is never given twice. */
async function createEvents(
  db: Kysely<Schema>,
  kind: StoreKind,
  { uuid, text, integer, json, tableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('grantry_events')
    .addColumn('seq', integer, (column) => counter(column, kind))
    .addColumn('at', integer, (column) => column.notNull())
    .addColumn('client_id', text, (column) => column.notNull())
    .addColumn('grant_id', uuid)
    .addColumn('provider', text)
    .addColumn('account', text)
    .addColumn('type', text, (column) => column.notNull())
    .addColumn('from_state', text)
    .addColumn('to_state', text)
    .addColumn('generation', integer)
    .addColumn('reason', text)
    .addColumn('details', json, (column) => column.notNull())
    .modifyEnd(tableEnd)
    .execute();
  await db.schema.createIndex('grantry_events_tenant').on('grantry_events').columns(['client_id', 'seq']).execute();
}

async function createApiKeys(db: Kysely<Schema>, { text, integer, json, tableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('grantry_api_keys')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('role', text, (column) => column.notNull())
    .addColumn('key_hash', text, (column) => column.notNull())
    .addColumn('tenants', json)
    .addColumn('providers', json)
    .addColumn('created_at', integer, (column) => column.notNull())
    .addColumn('expires_at', integer)
    .addColumn('last_used_at', integer)
    .addColumn('revoked_at', integer)
    .modifyEnd(tableEnd)
    .execute();
  await db.schema
    .createIndex('grantry_api_keys_hash_key')
    .unique()
    .on('grantry_api_keys')
    .columns(['key_hash'])
    .execute();
  // A name is free again once its key is revoked.
  await db.schema
    .createIndex('grantry_api_keys_name')
    .unique()
    .on('grantry_api_keys')
    .column('name')
    .where(sql.ref('revoked_at'), 'is', null)
    .execute();
}

/** No tenant: rows that hold the same refresh token share its budget, whosever they are. */
async function createTokenRequests(
  db: Kysely<Schema>,
  kind: StoreKind,
  { uuid, text, integer, tableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('grantry_token_requests')
    .addColumn('id', integer, (column) => counter(column, kind))
    .addColumn('fingerprint', text, (column) => column.notNull())
    .addColumn('attempt_id', uuid, (column) => column.notNull())
    .addColumn('at', integer, (column) => column.notNull())
    .modifyEnd(tableEnd)
    .execute();
  await db.schema
    .createIndex('grantry_token_requests_budget')
    .on('grantry_token_requests')
    .columns(['fingerprint', 'at'])
    .execute();
  await db.schema
    .createIndex('grantry_token_requests_attempt')
    .on('grantry_token_requests')
    .column('attempt_id')
    .execute();
}

/** A number that is never given twice. */
function counter(column: ColumnDefinitionBuilder, kind: StoreKind): ColumnDefinitionBuilder {
  if (kind === 'postgres') return column.primaryKey().generatedAlwaysAsIdentity();
  // In capitals: there are tools that recognise it by nothing else.
  return column.primaryKey().notNull().modifyEnd(sql`AUTOINCREMENT`);
}
