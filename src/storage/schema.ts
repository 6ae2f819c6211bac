import type {
  AuditActorTable,
  AuditCheckpointTable,
  AuditEntryTable,
  AuditHeadTable,
  AuditKeyTable,
  AuditQueueTable,
  AuditSubjectTable,
  AuditTileTable,
} from './audit-schema.ts';
import type { MarkedTable } from './marked-table.ts';

/**
 * The tables as Kysely sees them, the same for SQLite and PostgreSQL.
 *
 * Times of Grantry's own columns are integers, milliseconds since 1970. `token_expiry`, `created_at` and `updated_at`
 * are the columns that existing installations have: timestamptz in PostgreSQL, ISO 8601 text in SQLite, and ISO 8601
 * text in both once a row has passed through the driver. JSON columns are jsonb and text, JSON text once passed through.
 */
export interface Schema {
  oauth_tokens: GrantTable;
  grantry_schema: { version: number; name: string; applied_at: number };
  grantry_instance: InstanceTable;
  grantry_tenant_keys: { tenant: string; version: number; wrapped: string; created_at: number };
  grantry_apps: AppTable;
  grantry_providers: ProviderTable;
  grantry_authorizations: AuthorizationTable;
  grantry_connect_sessions: ConnectSessionTable;
  grantry_attempts: AttemptTable;
  grantry_candidates: CandidateTable;
  grantry_revocations: RevocationTable;
  grantry_events: EventTable;
  grantry_api_keys: ApiKeyTable;
  grantry_token_requests: TokenRequestTable;
  grantry_left_tokens: LeftTokenTable;
  grantry_slot_warnings: { registration: string; dc: string; consent_user: string; warned_at: number };
  grantry_grant_scopes: GrantScopesTable;
  grantry_audit_queue: AuditQueueTable;
  grantry_audit_entries: AuditEntryTable;
  grantry_audit_actors: AuditActorTable;
  grantry_audit_subjects: AuditSubjectTable;
  grantry_audit_tiles: AuditTileTable;
  grantry_audit_checkpoints: AuditCheckpointTable;
  grantry_audit_heads: AuditHeadTable;
  grantry_audit_keys: AuditKeyTable;
}

/**
 * A grant's states.
 *
 * - `active`: the newest known tokens are stored and nothing speaks against them. Enters on every save.
 * - `uncertain`: a refresh was sent and its outcome is unknown, or a candidate waits to be tried. Leaves by a save, or by
 *   a refusal of the newest known token.
 * - `suspect`: the newest known token was refused once. Confirmed after a delay, or cleared by a save.
 * - `reauthorization_required`: refused, confirmed, nothing left to try. Tokens stay sealed. Leaves by a re-authorization,
 *   or when a late answer revives it.
 * - `quarantined`: never stored in a row; it is what callers see while the whole database is quarantined.
 * - `disconnected`: a tombstone without tokens. Leaves by a new connect; the generation goes on.
 */
export type GrantState = 'active' | 'uncertain' | 'suspect' | 'reauthorization_required' | 'disconnected';

export interface GrantTable {
  id: string;
  client_id: string;
  provider: string;
  account: string;
  /** Sealed: `gry1.` and base64url. Plaintext only while `generation` is 0, before a take-over has reached the row. */
  access_token: string | null;
  refresh_token: string | null;
  token_expiry: string | null;
  /** Comma-separated. */
  scopes: string;
  /** JSON object, never a secret. */
  metadata: string;
  created_at: string;
  updated_at: string;
  app: string | null;
  state: GrantState;
  /** Why the grant is in its state: a word of the vault's, such as `revoked`, `lost_rotation`, `refused`. */
  reason: string | null;
  /** Counts the token sets this grant has had; 0 is a row taken over that is not sealed yet. */
  generation: number;
  /** The generation that the last authorization or import made: older answers belong to an authorization that is over. */
  authorized_generation: number;
  /** The access token's type as the provider gave it; `Bearer` when it gave none. */
  token_type: string | null;
  /** When the access token was asked for. */
  obtained_at: number | null;
  last_refreshed_at: number | null;
  /** Counts every change of the row that other processes must see; grows with each of them. */
  changed_at: number;
  refresh_fingerprint: string | null;
  /** Since when the grant is uncertain or suspect. */
  doubt_since: number | null;
  /** Before this time no refresh is tried: a back-off, a throttle or the confirmation of a suspicion. */
  retry_at: number | null;
  /** Until when a spent refresh token may be tried again, where the provider has a timed overlap. */
  overlap_until: number | null;
  lease_owner: string | null;
  lease_until: number | null;
  /** Grows with every claim; a save must name the current one. */
  lease_fence: number;
  /** Since when the grant is condemned; its sealed tokens are shredded a while after that. */
  condemned_at: number | null;
  /** When a token of it was last handed out, give or take the minutes between two notes of it. */
  used_at: number | null;
  /** When a worker should look at it next; null when nothing is due by itself. */
  due_at: number | null;
  /** When the consent was given that the tokens come from; null in a row that an earlier version wrote. */
  consented_at: number | null;
  /** The user who gave it: the provider's own id, or a fingerprint of what it told; null if it named none. */
  consent_user: string | null;
}

export interface InstanceTable {
  id: number;
  vault_id: string;
  installation: string | null;
  epoch: number;
  /** The place of this database: PostgreSQL system identifier and database oid, or SQLite inode. */
  location: string;
  timeline: number | null;
  quarantined_reason: string | null;
  /** A take-over left plaintext in free pages or dead tuples that is not scrubbed yet. */
  scrub_pending: number;
  created_at: number;
}

export interface ProviderTable extends MarkedTable {
  id: string;
  /** JSON object. */
  definition: string;
  created_at: number;
  updated_at: number;
}

export interface AppTable extends MarkedTable {
  name: string;
  provider: string;
  client_id: string;
  /** JSON object: data centre (or `*` for all) → sealed secret. */
  client_secrets: string;
  dc: string | null;
  redirect_uri: string | null;
  /** JSON arrays of strings; `tenants` null serves all. */
  scopes: string;
  tenants: string | null;
  return_to: string;
  /** JSON object: broad scope → why the app needs it. */
  scope_reasons: string | null;
  /** Null means the provider's own. */
  pkce: 'off' | 'S256' | null;
  /** The last path segment of this app's own redirect URI. */
  context: string;
  /** Grows with every change; bound into the seal of the secrets. */
  generation: number;
  created_at: number;
  updated_at: number;
}

export interface AuthorizationTable extends MarkedTable {
  tenant: string;
  state_hash: string;
  provider: string;
  account: string;
  app: string;
  /** Sealed PKCE verifier; null where PKCE is off. */
  verifier: string | null;
  redirect_uri: string;
  /** JSON array. */
  scopes: string;
  dc: string | null;
  issuer: string | null;
  /** A hash of where the provider was when this was asked: an answer goes nowhere else. */
  provider_hash: string;
  connect_session_id: string | null;
  /** JSON object: the scopes that the grant's own refresh token gains, and its fingerprint. Null for a new consent. */
  enhances: string | null;
  /** The environment that the grant gets; null for none. */
  environment: string | null;
  /** The id of the only organisation whose consent is stored; null for any. */
  expect_organization: string | null;
  created_at: number;
  expires_at: number;
  used_at: number | null;
}

/**
 * A connect session's states.
 *
 * - `open`: the link was given out, and its button is not pressed yet.
 * - `started`: a browser is bound to it and was sent to the provider. A decline or a failure leaves it here, to try again.
 * - `exchanging`: the browser came back, and the code is being exchanged.
 * - `pending`: the tokens wait, sealed, for the completion code.
 * - `completed`: the grant is stored.
 * - `failed`: it ended without a grant, for the reason in `error`.
 */
export type ConnectSessionState = 'open' | 'started' | 'exchanging' | 'pending' | 'completed' | 'failed';

export interface ConnectSessionTable extends MarkedTable {
  tenant: string;
  id: string;
  token_hash: string;
  provider: string;
  account: string;
  app: string;
  /** JSON array. */
  scopes: string;
  /** JSON array: those of the scopes that an existing grant gains. Null for a new consent. */
  adds: string | null;
  return_to: string | null;
  user_id: string | null;
  environment: string | null;
  /** The id of the only organisation whose consent is stored; null for any. */
  expect_organization: string | null;
  /** The hash of the browser that pressed the button first. */
  browser_hash: string | null;
  completion_hash: string | null;
  /** Sealed tokens that wait for the completion code. */
  pending: string | null;
  state: ConnectSessionState;
  /** The code of the last failure. */
  error: string | null;
  /** JSON object: what the provider granted, beside what was asked for. */
  granted: string | null;
  /** The number of times that the button was pressed. */
  starts: number;
  created_at: number;
  expires_at: number;
  completed_at: number | null;
}

/**
 * The outcome of one spending of a refresh token.
 *
 * - `open`: the intent is written. The request may be sent; its holder reports the outcome, or its lease ends.
 * - `saved`, `parked`: an answer with tokens came; it is in the row, or became a candidate.
 * - `refused`: the provider refused. `failed`: it answered without touching the token (throttle, misconfigured client).
 * - `not_sent`: certainly no byte was written. `unknown`: sent, and the answer was lost.
 */
export type AttemptOutcome = 'open' | 'saved' | 'parked' | 'refused' | 'failed' | 'not_sent' | 'unknown';

export interface AttemptTable {
  tenant: string;
  id: string;
  grant_id: string;
  fence: number;
  /** The generation whose refresh token is spent. */
  generation: number;
  token_fingerprint: string;
  candidate_id: string | null;
  owner: string;
  started_at: number;
  finished_at: number | null;
  outcome: AttemptOutcome;
  /** The provider's error code, or why its answer was of no use: words that may be shown, never more. */
  detail: string | null;
}

export interface CandidateTable {
  tenant: string;
  id: string;
  grant_id: string;
  fence: number;
  generation: number;
  /** Sealed JSON of the whole token set. */
  tokens: string;
  token_fingerprint: string;
  received_at: number;
  /** `untested`, `dead` (refused) or `superseded` (a token proven newer was saved). */
  state: 'untested' | 'dead' | 'superseded';
  /** When it was given up. Without this, the database keeps it: a process of 0.1.0 opens none, and would retire all. */
  retired_at: number | null;
}

export interface RevocationTable {
  tenant: string;
  id: string;
  /** Null for tokens that never became a grant's. */
  grant_id: string | null;
  provider: string;
  account: string;
  app: string | null;
  /** A data centre, or the URL of an API host, as the grant's metadata named it. */
  dc: string | null;
  /** Sealed. */
  token: string;
  token_fingerprint: string;
  attempts: number;
  next_at: number;
  deadline_at: number;
  created_at: number;
  /** As of the grant whose token it was. */
  consented_at: number | null;
  consent_user: string | null;
}

/** A refresh token that no grant holds any more and that was not revoked: it may live on at the provider. */
export interface LeftTokenTable {
  /** The client id that it was issued to: several apps may have one. */
  registration: string;
  fingerprint: string;
  tenant: string;
  provider: string;
  account: string;
  dc: string | null;
  consent_user: string | null;
  consented_at: number | null;
  left_at: number;
}

export interface EventTable {
  tenant: string;
  /** A UUID of version 7: the events of a tenant are in the order of their ids. */
  id: string;
  /** By the database's clock. */
  at: number;
  grant_id: string | null;
  provider: string | null;
  account: string | null;
  /** `grant.connected`, `grant.refreshed`, `grant.uncertain`, … */
  type: string;
  from_state: string | null;
  to_state: string | null;
  generation: number | null;
  reason: string | null;
  /** JSON object, never a secret. */
  details: string;
}

export interface ApiKeyTable extends MarkedTable {
  id: string;
  name: string;
  role: string;
  /** SHA-256 of the key, hexadecimal. */
  key_hash: string;
  /** JSON arrays; null means none for tenants and all for providers. `"*"` as tenants means all. */
  tenants: string | null;
  providers: string | null;
  /** JSON arrays; null means all. */
  methods: string | null;
  paths: string | null;
  /** JSON array; null means that no page in a browser may use the key. */
  origins: string | null;
  /** The id of the key that made this one. Such a row is deleted when the key ends. */
  parent: string | null;
  /** Grows with each change of the key, and whenever one of its children ends. Null in a child. */
  revision: number | null;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  revoked_at: number | null;
}

/** One row for each refresh token: its requests within the provider's window. The row's lock makes processes take turns. */
export interface TokenRequestTable {
  fingerprint: string;
  /** JSON array of {@link TokenRequest}, oldest first. */
  requests: string;
  last_at: number;
}

export interface TokenRequest {
  attempt: string;
  at: number;
}

/** The facts about a grant's scopes beside those that it has. A grant without a row was stored by hand. */
export interface GrantScopesTable {
  tenant: string;
  grant_id: string;
  /** JSON array: the scopes that were asked for. */
  asked: string;
  /** JSON array: granted scopes that no answer of the provider has named yet. */
  assumed: string;
  /** JSON array of {@link ScopeUse}. */
  uses: string;
  noted_at: number;
}

/** Calls of one kind that a grant made. */
export interface ScopeUse {
  /** Method, host and the first parts of the path: `GET www.zohoapis.eu/crm/v8/Leads`. */
  readonly call: string;
  /** The number of answers that a scope is missing. */
  readonly refused: number;
  readonly count: number;
  readonly first_at: number;
  readonly last_at: number;
}
