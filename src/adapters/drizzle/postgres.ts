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

/** The grants; see docs/take-over.md for what stands in it. Tokens are sealed: read them through a vault. */
export const oauthTokens = pgTable(
  'oauth_tokens',
  {
    id: uuid('id').notNull().primaryKey(),
    clientId: text('client_id').notNull(),
    provider: text('provider').notNull(),
    account: text('account').default('default').notNull(),
    accessToken: text('access_token'),
    refreshToken: text('refresh_token'),
    tokenExpiry: timestamp('token_expiry', { withTimezone: true, mode: 'string' }),
    scopes: text('scopes').default('').notNull(),
    metadata: jsonb('metadata').default({}).notNull(),
    createdAt: timestamp('created_at', { withTimezone: true, mode: 'string' }).notNull(),
    updatedAt: timestamp('updated_at', { withTimezone: true, mode: 'string' }).notNull(),
    app: text('app'),
    state: text('state').notNull(),
    reason: text('reason'),
    generation: bigint('generation', { mode: 'number' }).notNull(),
    authorizedGeneration: bigint('authorized_generation', { mode: 'number' }).notNull(),
    tokenType: text('token_type'),
    obtainedAt: bigint('obtained_at', { mode: 'number' }),
    lastRefreshedAt: bigint('last_refreshed_at', { mode: 'number' }),
    changedAt: bigint('changed_at', { mode: 'number' }).notNull(),
    refreshFingerprint: text('refresh_fingerprint'),
    doubtSince: bigint('doubt_since', { mode: 'number' }),
    retryAt: bigint('retry_at', { mode: 'number' }),
    overlapUntil: bigint('overlap_until', { mode: 'number' }),
    leaseOwner: text('lease_owner'),
    leaseUntil: bigint('lease_until', { mode: 'number' }),
    leaseFence: bigint('lease_fence', { mode: 'number' }).notNull(),
    condemnedAt: bigint('condemned_at', { mode: 'number' }),
    usedAt: bigint('used_at', { mode: 'number' }),
    dueAt: bigint('due_at', { mode: 'number' }),
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

/** Connect links given to users. */
export const connectSessions = pgTable(
  'grantry_connect_sessions',
  {
    id: text('id').notNull().primaryKey(),
    clientId: text('client_id').notNull(),
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
    starts: bigint('starts', { mode: 'number' }).notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
    expiresAt: bigint('expires_at', { mode: 'number' }).notNull(),
    completedAt: bigint('completed_at', { mode: 'number' }),
  },
  (table) => [
    check(
      'grantry_connect_sessions_state_check',
      sql`state in ('open', 'started', 'exchanging', 'pending', 'completed', 'failed')`,
    ),
    uniqueIndex('grantry_connect_sessions_completion_key').on(table.completionHash),
    index('grantry_connect_sessions_expires_at').on(table.expiresAt),
    unique('grantry_connect_sessions_tenant_id_key').on(table.clientId, table.id),
    uniqueIndex('grantry_connect_sessions_token_key').on(table.tokenHash),
  ],
);

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
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
    expiresAt: bigint('expires_at', { mode: 'number' }),
    lastUsedAt: bigint('last_used_at', { mode: 'number' }),
    revokedAt: bigint('revoked_at', { mode: 'number' }),
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
    generation: bigint('generation', { mode: 'number' }).notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
    updatedAt: bigint('updated_at', { mode: 'number' }).notNull(),
  },
  (table) => [
    uniqueIndex('grantry_apps_context_key').on(table.context),
    index('grantry_apps_provider').on(table.provider, table.clientId),
  ],
);

/** Each spending of a refresh token, written before it is sent. */
export const attempts = pgTable(
  'grantry_attempts',
  {
    id: uuid('id').notNull().primaryKey(),
    clientId: text('client_id').notNull(),
    grantId: uuid('grant_id').notNull(),
    fence: bigint('fence', { mode: 'number' }).notNull(),
    generation: bigint('generation', { mode: 'number' }).notNull(),
    tokenFingerprint: text('token_fingerprint').notNull(),
    candidateId: uuid('candidate_id'),
    owner: text('owner').notNull(),
    startedAt: bigint('started_at', { mode: 'number' }).notNull(),
    finishedAt: bigint('finished_at', { mode: 'number' }),
    outcome: text('outcome').notNull(),
    detail: text('detail'),
  },
  (table) => [
    foreignKey({
      name: 'grantry_attempts_grant_fkey',
      columns: [table.clientId, table.grantId],
      foreignColumns: [oauthTokens.clientId, oauthTokens.id],
    }),
    check(
      'grantry_attempts_outcome_check',
      sql`outcome in ('open', 'saved', 'parked', 'refused', 'failed', 'not_sent', 'unknown')`,
    ),
    index('grantry_attempts_grant').on(table.clientId, table.grantId, table.outcome),
    index('grantry_attempts_started_at').on(table.startedAt),
  ],
);

/** Authorization requests that wait for their callback. */
export const authorizations = pgTable(
  'grantry_authorizations',
  {
    stateHash: text('state_hash').notNull().primaryKey(),
    clientId: text('client_id').notNull(),
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
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
    expiresAt: bigint('expires_at', { mode: 'number' }).notNull(),
    usedAt: bigint('used_at', { mode: 'number' }),
  },
  (table) => [
    foreignKey({
      name: 'grantry_authorizations_session_fkey',
      columns: [table.clientId, table.connectSessionId],
      foreignColumns: [connectSessions.clientId, connectSessions.id],
    }).onDelete('cascade'),
    index('grantry_authorizations_expires_at').on(table.expiresAt),
    index('grantry_authorizations_session').on(table.clientId, table.connectSessionId),
  ],
);

/** Tokens that arrived when their lease was over, sealed. */
export const candidates = pgTable(
  'grantry_candidates',
  {
    id: uuid('id').notNull().primaryKey(),
    clientId: text('client_id').notNull(),
    grantId: uuid('grant_id').notNull(),
    fence: bigint('fence', { mode: 'number' }).notNull(),
    generation: bigint('generation', { mode: 'number' }).notNull(),
    tokens: text('tokens').notNull(),
    tokenFingerprint: text('token_fingerprint').notNull(),
    receivedAt: bigint('received_at', { mode: 'number' }).notNull(),
    state: text('state').notNull(),
  },
  (table) => [
    foreignKey({
      name: 'grantry_candidates_grant_fkey',
      columns: [table.clientId, table.grantId],
      foreignColumns: [oauthTokens.clientId, oauthTokens.id],
    }),
    check('grantry_candidates_state_check', sql`state in ('untested', 'dead', 'superseded')`),
    uniqueIndex('grantry_candidates_grant').on(table.clientId, table.grantId, table.tokenFingerprint),
  ],
);

/** One row per state change. */
export const events = pgTable(
  'grantry_events',
  {
    seq: bigint('seq', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    at: bigint('at', { mode: 'number' }).notNull(),
    clientId: text('client_id').notNull(),
    grantId: uuid('grant_id'),
    provider: text('provider'),
    account: text('account'),
    type: text('type').notNull(),
    fromState: text('from_state'),
    toState: text('to_state'),
    generation: bigint('generation', { mode: 'number' }),
    reason: text('reason'),
    details: jsonb('details').notNull(),
  },
  (table) => [index('grantry_events_tenant').on(table.clientId, table.seq)],
);

/** What the database knows of itself, in one row. */
export const instance = pgTable(
  'grantry_instance',
  {
    id: bigint('id', { mode: 'number' }).notNull().primaryKey(),
    vaultId: text('vault_id').notNull(),
    installation: text('installation'),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
    location: text('location').notNull(),
    timeline: bigint('timeline', { mode: 'number' }),
    quarantinedReason: text('quarantined_reason'),
    scrubPending: bigint('scrub_pending', { mode: 'number' }).notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
  },
  () => [
    check('grantry_instance_one_check', sql`id = 1`),
    check('grantry_instance_scrub_check', sql`scrub_pending in (0, 1)`),
  ],
);

/** Custom providers. */
export const providers = pgTable('grantry_providers', {
  id: text('id').notNull().primaryKey(),
  definition: jsonb('definition').notNull(),
  createdAt: bigint('created_at', { mode: 'number' }).notNull(),
  updatedAt: bigint('updated_at', { mode: 'number' }).notNull(),
});

/** Tokens that are still to be revoked, sealed. */
export const revocations = pgTable(
  'grantry_revocations',
  {
    id: uuid('id').notNull().primaryKey(),
    clientId: text('client_id').notNull(),
    grantId: uuid('grant_id'),
    provider: text('provider').notNull(),
    account: text('account').notNull(),
    app: text('app'),
    dc: text('dc'),
    token: text('token').notNull(),
    tokenFingerprint: text('token_fingerprint').notNull(),
    attempts: bigint('attempts', { mode: 'number' }).notNull(),
    nextAt: bigint('next_at', { mode: 'number' }).notNull(),
    deadlineAt: bigint('deadline_at', { mode: 'number' }).notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
  },
  (table) => [
    foreignKey({
      name: 'grantry_revocations_grant_fkey',
      columns: [table.clientId, table.grantId],
      foreignColumns: [oauthTokens.clientId, oauthTokens.id],
    }),
    index('grantry_revocations_grant').on(table.clientId, table.grantId),
    index('grantry_revocations_next_at').on(table.nextAt),
  ],
);

/** Which migrations were run. */
export const schema = pgTable('grantry_schema', {
  version: bigint('version', { mode: 'number' }).notNull().primaryKey(),
  name: text('name').notNull(),
  appliedAt: bigint('applied_at', { mode: 'number' }).notNull(),
});

/** The tenants' keys, wrapped by the root key. */
export const tenantKeys = pgTable(
  'grantry_tenant_keys',
  {
    clientId: text('client_id').notNull(),
    version: bigint('version', { mode: 'number' }).notNull(),
    wrapped: text('wrapped').notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ name: 'grantry_tenant_keys_pkey', columns: [table.clientId, table.version] })],
);

/** What was spent of the providers' limits. */
export const tokenRequests = pgTable(
  'grantry_token_requests',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    fingerprint: text('fingerprint').notNull(),
    attemptId: uuid('attempt_id').notNull(),
    at: bigint('at', { mode: 'number' }).notNull(),
  },
  (table) => [
    index('grantry_token_requests_attempt').on(table.attemptId),
    index('grantry_token_requests_budget').on(table.fingerprint, table.at),
  ],
);
