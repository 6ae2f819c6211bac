CREATE TABLE grantry_api_keys (
  id text not null primary key,
  name text not null,
  role text not null,
  key_hash text not null,
  tenants text,
  providers text,
  created_at integer not null,
  expires_at integer,
  last_used_at integer,
  revoked_at integer
, mac text, methods text, paths text, parent text, revision integer, origins text) strict;
CREATE UNIQUE INDEX grantry_api_keys_hash_key on grantry_api_keys (key_hash);
CREATE UNIQUE INDEX grantry_api_keys_name on grantry_api_keys (name) where revoked_at is null;
CREATE INDEX grantry_api_keys_parent on grantry_api_keys (parent);
CREATE TABLE grantry_apps (
  name text not null primary key,
  provider text not null,
  client_id text not null,
  client_secrets text not null,
  dc text,
  redirect_uri text,
  scopes text not null,
  tenants text,
  return_to text not null,
  context text not null,
  generation integer not null,
  created_at integer not null,
  updated_at integer not null
, mac text, scope_reasons text, pkce text) strict;
CREATE INDEX grantry_apps_client on grantry_apps (client_id);
CREATE UNIQUE INDEX grantry_apps_context_key on grantry_apps (context);
CREATE INDEX grantry_apps_provider on grantry_apps (provider, client_id);
CREATE TABLE grantry_attempts (
  tenant text not null,
  id text not null,
  grant_id text not null,
  fence integer not null,
  generation integer not null,
  token_fingerprint text not null,
  candidate_id text,
  owner text not null,
  started_at integer not null,
  finished_at integer,
  outcome text not null,
  detail text,
  constraint grantry_attempts_pkey primary key (tenant, id),
  constraint grantry_attempts_grant_fkey foreign key (tenant, grant_id) references oauth_tokens (client_id, id),
  constraint grantry_attempts_outcome_check check (outcome in ('open', 'saved', 'parked', 'refused', 'failed', 'not_sent', 'unknown'))
) strict;
CREATE INDEX grantry_attempts_grant on grantry_attempts (tenant, grant_id, outcome);
CREATE INDEX grantry_attempts_started_at on grantry_attempts (started_at);
CREATE TABLE grantry_audit_actors (
  shard integer not null,
  id integer not null,
  kind text not null,
  actor_id text not null,
  name text,
  source text not null,
  constraint grantry_audit_actors_pkey primary key (shard, id)
) strict;
CREATE INDEX grantry_audit_actors_actor on grantry_audit_actors (actor_id);
CREATE TRIGGER grantry_audit_actors_delete before delete on grantry_audit_actors begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE TRIGGER grantry_audit_actors_update before update on grantry_audit_actors begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE TABLE grantry_audit_checkpoints (
  shard integer not null,
  size integer not null,
  at integer not null,
  note text not null,
  constraint grantry_audit_checkpoints_pkey primary key (shard, size)
) strict;
CREATE TRIGGER grantry_audit_checkpoints_delete before delete on grantry_audit_checkpoints begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE TRIGGER grantry_audit_checkpoints_update before update on grantry_audit_checkpoints begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE TABLE grantry_audit_entries (
  shard integer not null,
  generation integer,
  seq integer not null,
  at integer not null,
  actor integer not null,
  subject integer,
  count integer,
  span integer,
  action text not null,
  outcome text not null,
  code text,
  reason text,
  details_hash blob,
  details blob,
  constraint grantry_audit_entries_pkey primary key (shard, seq)
) strict, without rowid;
CREATE TRIGGER grantry_audit_entries_delete before delete on grantry_audit_entries begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE INDEX grantry_audit_entries_subject on grantry_audit_entries (subject, seq);
CREATE TRIGGER grantry_audit_entries_update before update on grantry_audit_entries begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE TABLE grantry_audit_heads (
  shard integer not null,
  size integer not null,
  edges text not null,
  updated_at integer not null,
  mac text,
  constraint grantry_audit_heads_pkey primary key (shard)
) strict;
CREATE TABLE grantry_audit_keys (
  shard integer not null,
  id text not null,
  algorithm text not null,
  verifier text not null,
  private_key text not null,
  created_at integer not null,
  retired_at integer,
  mac text,
  constraint grantry_audit_keys_pkey primary key (shard, id)
) strict;
CREATE TABLE grantry_audit_queue (
  id text not null,
  at integer not null,
  tenant text not null,
  entry text not null,
  details text not null,
  mac text,
  constraint grantry_audit_queue_pkey primary key (id)
) strict;
CREATE INDEX grantry_audit_queue_at on grantry_audit_queue (at, id);
CREATE TABLE grantry_audit_subjects (
  shard integer not null,
  id integer not null,
  tenant text,
  provider text,
  account text,
  constraint grantry_audit_subjects_pkey primary key (shard, id)
) strict;
CREATE TRIGGER grantry_audit_subjects_delete before delete on grantry_audit_subjects begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE INDEX grantry_audit_subjects_tenant on grantry_audit_subjects (tenant, provider);
CREATE TRIGGER grantry_audit_subjects_update before update on grantry_audit_subjects begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE TABLE grantry_audit_tiles (
  shard integer not null,
  level integer not null,
  tile integer not null,
  hashes blob not null,
  constraint grantry_audit_tiles_pkey primary key (shard, level, tile)
) strict, without rowid;
CREATE TRIGGER grantry_audit_tiles_delete before delete on grantry_audit_tiles begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE TRIGGER grantry_audit_tiles_update before update on grantry_audit_tiles begin select raise(abort, 'entries of the audit log are never changed'); end;
CREATE TABLE grantry_authorizations (
  tenant text not null,
  state_hash text not null,
  provider text not null,
  account text not null,
  app text not null,
  verifier text,
  redirect_uri text not null,
  scopes text not null,
  dc text,
  issuer text,
  provider_hash text not null,
  connect_session_id text,
  created_at integer not null,
  expires_at integer not null,
  used_at integer, mac text, enhances text, environment text, expect_organization text,
  constraint grantry_authorizations_pkey primary key (tenant, state_hash),
  constraint grantry_authorizations_session_fkey foreign key (tenant, connect_session_id) references grantry_connect_sessions (tenant, id) on delete cascade
) strict;
CREATE INDEX grantry_authorizations_expires_at on grantry_authorizations (expires_at);
CREATE INDEX grantry_authorizations_session on grantry_authorizations (tenant, connect_session_id);
CREATE INDEX grantry_authorizations_state on grantry_authorizations (state_hash);
CREATE TABLE grantry_candidates (
  tenant text not null,
  id text not null,
  grant_id text not null,
  fence integer not null,
  generation integer not null,
  tokens text not null,
  token_fingerprint text not null,
  received_at integer not null,
  state text not null, retired_at integer,
  constraint grantry_candidates_pkey primary key (tenant, id),
  constraint grantry_candidates_grant_fkey foreign key (tenant, grant_id) references oauth_tokens (client_id, id),
  constraint grantry_candidates_state_check check (state in ('untested', 'dead', 'superseded'))
) strict;
CREATE TRIGGER grantry_candidates_format_insert before insert on grantry_candidates for each row when (substr(new.tokens, 1, 11) = 'gry1.R1JZAQ') begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE TRIGGER grantry_candidates_format_update before update of tokens on grantry_candidates for each row when (substr(new.tokens, 1, 11) = 'gry1.R1JZAQ' and new.tokens is distinct from old.tokens) begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE UNIQUE INDEX grantry_candidates_grant on grantry_candidates (tenant, grant_id, token_fingerprint);
CREATE TRIGGER grantry_candidates_retire before update of state on grantry_candidates for each row when (old.state = 'untested' and new.state = 'superseded' and new.retired_at is null) begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE TABLE grantry_connect_sessions (
  tenant text not null,
  id text not null,
  token_hash text not null,
  provider text not null,
  account text not null,
  app text not null,
  scopes text not null,
  return_to text,
  user_id text,
  browser_hash text,
  completion_hash text,
  pending text,
  state text not null,
  error text,
  granted text,
  starts integer not null,
  created_at integer not null,
  expires_at integer not null,
  completed_at integer, mac text, adds text, environment text, expect_organization text,
  constraint grantry_connect_sessions_pkey primary key (tenant, id),
  constraint grantry_connect_sessions_state_check check (state in ('open', 'started', 'exchanging', 'pending', 'completed', 'failed'))
) strict;
CREATE INDEX grantry_connect_sessions_expires_at on grantry_connect_sessions (expires_at);
CREATE TRIGGER grantry_connect_sessions_format_insert before insert on grantry_connect_sessions for each row when (substr(new.pending, 1, 11) = 'gry1.R1JZAQ') begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE TRIGGER grantry_connect_sessions_format_update before update of pending on grantry_connect_sessions for each row when (substr(new.pending, 1, 11) = 'gry1.R1JZAQ' and new.pending is distinct from old.pending) begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE INDEX grantry_connect_sessions_id on grantry_connect_sessions (id);
CREATE INDEX grantry_connect_sessions_token on grantry_connect_sessions (token_hash);
CREATE TABLE grantry_events (
  tenant text not null,
  id text not null,
  at integer not null,
  grant_id text,
  provider text,
  account text,
  type text not null,
  from_state text,
  to_state text,
  generation integer,
  reason text,
  details text not null,
  constraint grantry_events_pkey primary key (tenant, id)
) strict;
CREATE INDEX grantry_events_at on grantry_events (at, id);
CREATE INDEX grantry_events_grant on grantry_events (tenant, grant_id, id);
CREATE TABLE grantry_grant_scopes (
  tenant text not null,
  grant_id text not null,
  asked text not null,
  assumed text not null,
  uses text not null,
  noted_at integer not null,
  constraint grantry_grant_scopes_pkey primary key (tenant, grant_id),
  constraint grantry_grant_scopes_grant_fkey foreign key (tenant, grant_id) references oauth_tokens (client_id, id) on delete cascade
) strict;
CREATE TABLE grantry_instance (
  id integer not null primary key,
  vault_id text not null,
  installation text,
  epoch integer not null,
  location text not null,
  timeline integer,
  quarantined_reason text,
  scrub_pending integer not null,
  created_at integer not null,
  constraint grantry_instance_one_check check (id = 1),
  constraint grantry_instance_scrub_check check (scrub_pending in (0, 1))
) strict;
CREATE TABLE grantry_left_tokens (
  registration text not null,
  fingerprint text not null,
  tenant text not null,
  provider text not null,
  account text not null,
  dc text,
  consent_user text,
  consented_at integer,
  left_at integer not null,
  constraint grantry_left_tokens_pkey primary key (registration, fingerprint)
) strict;
CREATE TABLE grantry_providers (
  id text not null primary key,
  definition text not null,
  created_at integer not null,
  updated_at integer not null
, mac text) strict;
CREATE TABLE grantry_revocations (
  tenant text not null,
  id text not null,
  grant_id text,
  provider text not null,
  account text not null,
  app text,
  dc text,
  token text not null,
  token_fingerprint text not null,
  attempts integer not null,
  next_at integer not null,
  deadline_at integer not null,
  created_at integer not null, consented_at integer, consent_user text,
  constraint grantry_revocations_pkey primary key (tenant, id),
  constraint grantry_revocations_grant_fkey foreign key (tenant, grant_id) references oauth_tokens (client_id, id)
) strict;
CREATE INDEX grantry_revocations_app on grantry_revocations (app);
CREATE TRIGGER grantry_revocations_format_insert before insert on grantry_revocations for each row when (substr(new.token, 1, 11) = 'gry1.R1JZAQ') begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE TRIGGER grantry_revocations_format_update before update of token on grantry_revocations for each row when (substr(new.token, 1, 11) = 'gry1.R1JZAQ' and new.token is distinct from old.token) begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE INDEX grantry_revocations_grant on grantry_revocations (tenant, grant_id);
CREATE INDEX grantry_revocations_next_at on grantry_revocations (next_at);
CREATE TABLE grantry_schema (
  version integer not null primary key,
  name text not null,
  applied_at integer not null
) strict;
CREATE TABLE grantry_slot_warnings (
  registration text not null,
  dc text not null,
  consent_user text not null,
  warned_at integer not null,
  constraint grantry_slot_warnings_pkey primary key (registration, dc, consent_user)
) strict;
CREATE TABLE grantry_tenant_keys (
  tenant text not null,
  version integer not null,
  wrapped text not null,
  created_at integer not null,
  constraint grantry_tenant_keys_pkey primary key (tenant, version)
) strict;
CREATE TABLE grantry_token_requests (
  fingerprint text not null primary key,
  requests text not null,
  last_at integer not null
) strict;
CREATE INDEX grantry_token_requests_last_at on grantry_token_requests (last_at);
CREATE TABLE "oauth_tokens" (
  id text not null primary key,
  client_id text not null,
  provider text not null,
  account text default 'default' not null,
  access_token text,
  refresh_token text,
  token_expiry text,
  scopes text default '' not null,
  metadata text default '{}' not null,
  created_at text not null,
  updated_at text not null,
  app text,
  state text not null,
  reason text,
  generation integer not null,
  authorized_generation integer not null,
  token_type text,
  obtained_at integer,
  last_refreshed_at integer,
  changed_at integer not null,
  refresh_fingerprint text,
  doubt_since integer,
  retry_at integer,
  overlap_until integer,
  lease_owner text,
  lease_until integer,
  lease_fence integer not null,
  condemned_at integer,
  used_at integer,
  due_at integer, consented_at integer, consent_user text,
  constraint oauth_tokens_state_check check (state in ('active', 'uncertain', 'suspect', 'reauthorization_required', 'disconnected')),
  constraint oauth_tokens_generation_check check (generation >= 0),
  constraint oauth_tokens_access_token_check check (generation = 0 or access_token like 'gry1.%'),
  constraint oauth_tokens_refresh_token_check check (generation = 0 or refresh_token like 'gry1.%'),
  constraint oauth_tokens_lease_check check ((lease_owner is null) = (lease_until is null))
) strict;
CREATE INDEX oauth_tokens_changed_at on oauth_tokens (changed_at);
CREATE INDEX oauth_tokens_due on oauth_tokens (state, due_at);
CREATE TRIGGER oauth_tokens_format_insert before insert on oauth_tokens for each row when (substr(new.access_token, 1, 11) = 'gry1.R1JZAQ' or substr(new.refresh_token, 1, 11) = 'gry1.R1JZAQ') begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE TRIGGER oauth_tokens_format_update before update of access_token, refresh_token on oauth_tokens for each row when (substr(new.access_token, 1, 11) = 'gry1.R1JZAQ' and new.access_token is distinct from old.access_token or substr(new.refresh_token, 1, 11) = 'gry1.R1JZAQ' and new.refresh_token is distinct from old.refresh_token) begin select raise(abort, 'a process of Grantry 0.1.0 still runs: stop it'); end;
CREATE UNIQUE INDEX oauth_tokens_key on oauth_tokens (client_id, provider, account);
CREATE INDEX oauth_tokens_organization on oauth_tokens
  (provider, (case when json_valid(metadata) then cast(json_extract(metadata, '$.org_id') as text) end));
CREATE INDEX oauth_tokens_refresh_fingerprint on oauth_tokens (refresh_fingerprint);
CREATE INDEX oauth_tokens_slots on oauth_tokens (app, consent_user, consented_at);
CREATE UNIQUE INDEX oauth_tokens_tenant_id on oauth_tokens (client_id, id);
