// Written by "npm run schema-snapshot" from a migrated database.
import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  foreignKey,
  index,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';

const integer = <Name extends string>(name: Name) => bigint(name, { mode: 'number' });
const time = <Name extends string>(name: Name) => timestamp(name, { withTimezone: true, mode: 'string' });

/** API keys of a server, as hashes. */
export const apiKeys = pgTable(
  'grantry_api_keys',
  {
    id: text('id').notNull().primaryKey(),
    name: text('name').notNull(),
    role: text('role').notNull(),
    keyHash: text('key_hash').notNull(),
    tenants: jsonb('tenants'),
    providers: jsonb('providers'),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at'),
    lastUsedAt: integer('last_used_at'),
    revokedAt: integer('revoked_at'),
  },
  (table) => [
    uniqueIndex('grantry_api_keys_hash_key').on(table.keyHash),
    uniqueIndex('grantry_api_keys_name').on(table.name).where(sql`revoked_at is null`),
  ],
);

/** Client registrations; their secrets are sealed. */
export const apps = pgTable(
  'grantry_apps',
  {
    name: text('name').notNull().primaryKey(),
    provider: text('provider').notNull(),
    clientId: text('client_id').notNull(),
    clientSecrets: jsonb('client_secrets').notNull(),
    dc: text('dc'),
    redirectUri: text('redirect_uri'),
    scopes: jsonb('scopes').notNull(),
    tenants: jsonb('tenants'),
    returnTo: jsonb('return_to').notNull(),
    context: text('context').notNull(),
    generation: integer('generation').notNull(),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [
    uniqueIndex('grantry_apps_context_key').on(table.context),
    index('grantry_apps_provider').on(table.provider, table.clientId),
  ],
);

/** The spendings of refresh tokens. */
export const attempts = pgTable(
  'grantry_attempts',
  {
    tenant: text('tenant').notNull(),
    id: uuid('id').notNull(),
    grantId: uuid('grant_id').notNull(),
    fence: integer('fence').notNull(),
    generation: integer('generation').notNull(),
    tokenFingerprint: text('token_fingerprint').notNull(),
    candidateId: uuid('candidate_id'),
    owner: text('owner').notNull(),
    startedAt: integer('started_at').notNull(),
    finishedAt: integer('finished_at'),
    outcome: text('outcome').notNull(),
    detail: text('detail'),
  },
  (table) => [
    primaryKey({ name: 'grantry_attempts_pkey', columns: [table.tenant, table.id] }),
    foreignKey({
      name: 'grantry_attempts_grant_fkey',
      columns: [table.tenant, table.grantId],
      foreignColumns: [oauthTokens.clientId, oauthTokens.id],
    }),
    check(
      'grantry_attempts_outcome_check',
      sql`outcome in ('open', 'saved', 'parked', 'refused', 'failed', 'not_sent', 'unknown')`,
    ),
    index('grantry_attempts_grant').on(table.tenant, table.grantId, table.outcome),
    index('grantry_attempts_started_at').on(table.startedAt),
  ],
);

/** Authorization requests whose callback may still come. */
export const authorizations = pgTable(
  'grantry_authorizations',
  {
    tenant: text('tenant').notNull(),
    stateHash: text('state_hash').notNull(),
    provider: text('provider').notNull(),
    account: text('account').notNull(),
    app: text('app').notNull(),
    verifier: text('verifier'),
    redirectUri: text('redirect_uri').notNull(),
    scopes: jsonb('scopes').notNull(),
    dc: text('dc'),
    issuer: text('issuer'),
    providerHash: text('provider_hash').notNull(),
    connectSessionId: text('connect_session_id'),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
    usedAt: integer('used_at'),
  },
  (table) => [
    primaryKey({ name: 'grantry_authorizations_pkey', columns: [table.tenant, table.stateHash] }),
    foreignKey({
      name: 'grantry_authorizations_session_fkey',
      columns: [table.tenant, table.connectSessionId],
      foreignColumns: [connectSessions.tenant, connectSessions.id],
    }).onDelete('cascade'),
    index('grantry_authorizations_expires_at').on(table.expiresAt),
    index('grantry_authorizations_session').on(table.tenant, table.connectSessionId),
    index('grantry_authorizations_state').on(table.stateHash),
  ],
);

/** Token sets that arrived after their lease was lost, sealed. */
export const candidates = pgTable(
  'grantry_candidates',
  {
    tenant: text('tenant').notNull(),
    id: uuid('id').notNull(),
    grantId: uuid('grant_id').notNull(),
    fence: integer('fence').notNull(),
    generation: integer('generation').notNull(),
    tokens: text('tokens').notNull(),
    tokenFingerprint: text('token_fingerprint').notNull(),
    receivedAt: integer('received_at').notNull(),
    state: text('state').notNull(),
  },
  (table) => [
    primaryKey({ name: 'grantry_candidates_pkey', columns: [table.tenant, table.id] }),
    foreignKey({
      name: 'grantry_candidates_grant_fkey',
      columns: [table.tenant, table.grantId],
      foreignColumns: [oauthTokens.clientId, oauthTokens.id],
    }),
    check('grantry_candidates_state_check', sql`state in ('untested', 'dead', 'superseded')`),
    uniqueIndex('grantry_candidates_grant').on(table.tenant, table.grantId, table.tokenFingerprint),
  ],
);

/** Connect links given to users. */
export const connectSessions = pgTable(
  'grantry_connect_sessions',
  {
    tenant: text('tenant').notNull(),
    id: text('id').notNull(),
    tokenHash: text('token_hash').notNull(),
    provider: text('provider').notNull(),
    account: text('account').notNull(),
    app: text('app').notNull(),
    scopes: jsonb('scopes').notNull(),
    returnTo: text('return_to'),
    userId: text('user_id'),
    browserHash: text('browser_hash'),
    completionHash: text('completion_hash'),
    pending: text('pending'),
    state: text('state').notNull(),
    error: text('error'),
    granted: jsonb('granted'),
    starts: integer('starts').notNull(),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
    completedAt: integer('completed_at'),
  },
  (table) => [
    primaryKey({ name: 'grantry_connect_sessions_pkey', columns: [table.tenant, table.id] }),
    check(
      'grantry_connect_sessions_state_check',
      sql`state in ('open', 'started', 'exchanging', 'pending', 'completed', 'failed')`,
    ),
    index('grantry_connect_sessions_expires_at').on(table.expiresAt),
    index('grantry_connect_sessions_id').on(table.id),
    index('grantry_connect_sessions_token').on(table.tokenHash),
  ],
);

/** Changes of grants and of what they need. */
export const events = pgTable(
  'grantry_events',
  {
    tenant: text('tenant').notNull(),
    id: uuid('id').notNull(),
    at: integer('at').notNull(),
    grantId: uuid('grant_id'),
    provider: text('provider'),
    account: text('account'),
    type: text('type').notNull(),
    fromState: text('from_state'),
    toState: text('to_state'),
    generation: integer('generation'),
    reason: text('reason'),
    details: jsonb('details').notNull(),
  },
  (table) => [
    primaryKey({ name: 'grantry_events_pkey', columns: [table.tenant, table.id] }),
    index('grantry_events_at').on(table.at, table.id),
  ],
);

/** The identity of the database: one row. */
export const instance = pgTable(
  'grantry_instance',
  {
    id: integer('id').notNull().primaryKey(),
    vaultId: text('vault_id').notNull(),
    installation: text('installation'),
    epoch: integer('epoch').notNull(),
    location: text('location').notNull(),
    timeline: integer('timeline'),
    quarantinedReason: text('quarantined_reason'),
    scrubPending: integer('scrub_pending').notNull(),
    createdAt: integer('created_at').notNull(),
  },
  () => [
    check('grantry_instance_one_check', sql`id = 1`),
    check('grantry_instance_scrub_check', sql`scrub_pending in (0, 1)`),
  ],
);

/** Custom provider definitions. */
export const providers = pgTable('grantry_providers', {
  id: text('id').notNull().primaryKey(),
  definition: jsonb('definition').notNull(),
  createdAt: integer('created_at').notNull(),
  updatedAt: integer('updated_at').notNull(),
});

/** Tokens that wait to be revoked at their providers, sealed. */
export const revocations = pgTable(
  'grantry_revocations',
  {
    tenant: text('tenant').notNull(),
    id: uuid('id').notNull(),
    grantId: uuid('grant_id'),
    provider: text('provider').notNull(),
    account: text('account').notNull(),
    app: text('app'),
    dc: text('dc'),
    token: text('token').notNull(),
    tokenFingerprint: text('token_fingerprint').notNull(),
    attempts: integer('attempts').notNull(),
    nextAt: integer('next_at').notNull(),
    deadlineAt: integer('deadline_at').notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [
    primaryKey({ name: 'grantry_revocations_pkey', columns: [table.tenant, table.id] }),
    foreignKey({
      name: 'grantry_revocations_grant_fkey',
      columns: [table.tenant, table.grantId],
      foreignColumns: [oauthTokens.clientId, oauthTokens.id],
    }),
    index('grantry_revocations_grant').on(table.tenant, table.grantId),
    index('grantry_revocations_next_at').on(table.nextAt),
  ],
);

/** The migrations that were applied. */
export const schema = pgTable('grantry_schema', {
  version: integer('version').notNull().primaryKey(),
  name: text('name').notNull(),
  appliedAt: integer('applied_at').notNull(),
});

/** The tenants' keys, wrapped by the root key. */
export const tenantKeys = pgTable(
  'grantry_tenant_keys',
  {
    tenant: text('tenant').notNull(),
    version: integer('version').notNull(),
    wrapped: text('wrapped').notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [primaryKey({ name: 'grantry_tenant_keys_pkey', columns: [table.tenant, table.version] })],
);

/** Recent token requests, for the limits of providers. */
export const tokenRequests = pgTable(
  'grantry_token_requests',
  {
    fingerprint: text('fingerprint').notNull().primaryKey(),
    requests: jsonb('requests').notNull(),
    lastAt: integer('last_at').notNull(),
  },
  (table) => [index('grantry_token_requests_last_at').on(table.lastAt)],
);

/** The grants; see docs/take-over.md. Tokens are sealed: read them through a vault. */
export const oauthTokens = pgTable(
  'oauth_tokens',
  {
    id: uuid('id').notNull().primaryKey(),
    clientId: text('client_id').notNull(),
    provider: text('provider').notNull(),
    account: text('account').default('default').notNull(),
    accessToken: text('access_token'),
    refreshToken: text('refresh_token'),
    tokenExpiry: time('token_expiry'),
    scopes: text('scopes').default('').notNull(),
    metadata: jsonb('metadata').default({}).notNull(),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
    app: text('app'),
    state: text('state').notNull(),
    reason: text('reason'),
    generation: integer('generation').notNull(),
    authorizedGeneration: integer('authorized_generation').notNull(),
    tokenType: text('token_type'),
    obtainedAt: integer('obtained_at'),
    lastRefreshedAt: integer('last_refreshed_at'),
    changedAt: integer('changed_at').notNull(),
    refreshFingerprint: text('refresh_fingerprint'),
    doubtSince: integer('doubt_since'),
    retryAt: integer('retry_at'),
    overlapUntil: integer('overlap_until'),
    leaseOwner: text('lease_owner'),
    leaseUntil: integer('lease_until'),
    leaseFence: integer('lease_fence').notNull(),
    condemnedAt: integer('condemned_at'),
    usedAt: integer('used_at'),
    dueAt: integer('due_at'),
  },
  (table) => [
    check(
      'oauth_tokens_state_check',
      sql`state in ('active', 'uncertain', 'suspect', 'reauthorization_required', 'disconnected')`,
    ),
    check('oauth_tokens_generation_check', sql`generation >= 0`),
    check('oauth_tokens_access_token_check', sql`generation = 0 or access_token like 'gry1.%'`),
    check('oauth_tokens_refresh_token_check', sql`generation = 0 or refresh_token like 'gry1.%'`),
    check('oauth_tokens_lease_check', sql`(lease_owner is null) = (lease_until is null)`),
    index('oauth_tokens_changed_at').on(table.changedAt),
    index('oauth_tokens_due').on(table.state, table.dueAt),
    uniqueIndex('oauth_tokens_key').on(table.clientId, table.provider, table.account),
    index('oauth_tokens_refresh_fingerprint').on(table.refreshFingerprint),
    unique('oauth_tokens_tenant_id').on(table.clientId, table.id),
  ],
);
