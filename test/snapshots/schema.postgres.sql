grantry_api_keys.id text not null
grantry_api_keys.name text not null
grantry_api_keys.role text not null
grantry_api_keys.key_hash text not null
grantry_api_keys.tenants jsonb
grantry_api_keys.providers jsonb
grantry_api_keys.created_at bigint not null
grantry_api_keys.expires_at bigint
grantry_api_keys.last_used_at bigint
grantry_api_keys.revoked_at bigint
grantry_api_keys.mac text
grantry_api_keys.methods jsonb
grantry_api_keys.paths jsonb
grantry_api_keys.parent text
grantry_api_keys.revision bigint
grantry_api_keys.origins jsonb
grantry_api_keys: grantry_api_keys_pkey PRIMARY KEY (id)
CREATE INDEX grantry_api_keys_parent ON grantry_api_keys USING btree (parent)
CREATE UNIQUE INDEX grantry_api_keys_hash_key ON grantry_api_keys USING btree (key_hash)
CREATE UNIQUE INDEX grantry_api_keys_name ON grantry_api_keys USING btree (name) WHERE (revoked_at IS NULL)
CREATE UNIQUE INDEX grantry_api_keys_pkey ON grantry_api_keys USING btree (id)
grantry_apps.name text not null
grantry_apps.provider text not null
grantry_apps.client_id text not null
grantry_apps.client_secrets jsonb not null
grantry_apps.dc text
grantry_apps.redirect_uri text
grantry_apps.scopes jsonb not null
grantry_apps.tenants jsonb
grantry_apps.return_to jsonb not null
grantry_apps.context text not null
grantry_apps.generation bigint not null
grantry_apps.created_at bigint not null
grantry_apps.updated_at bigint not null
grantry_apps.mac text
grantry_apps.scope_reasons jsonb
grantry_apps.pkce text
grantry_apps: grantry_apps_pkey PRIMARY KEY (name)
CREATE INDEX grantry_apps_client ON grantry_apps USING btree (client_id)
CREATE INDEX grantry_apps_provider ON grantry_apps USING btree (provider, client_id)
CREATE UNIQUE INDEX grantry_apps_context_key ON grantry_apps USING btree (context)
CREATE UNIQUE INDEX grantry_apps_pkey ON grantry_apps USING btree (name)
grantry_attempts.tenant text not null
grantry_attempts.id uuid not null
grantry_attempts.grant_id uuid not null
grantry_attempts.fence bigint not null
grantry_attempts.generation bigint not null
grantry_attempts.token_fingerprint text not null
grantry_attempts.candidate_id uuid
grantry_attempts.owner text not null
grantry_attempts.started_at bigint not null
grantry_attempts.finished_at bigint
grantry_attempts.outcome text not null
grantry_attempts.detail text
grantry_attempts: grantry_attempts_grant_fkey FOREIGN KEY (tenant, grant_id) REFERENCES oauth_tokens(client_id, id)
grantry_attempts: grantry_attempts_outcome_check CHECK ((outcome = ANY (ARRAY['open'::text, 'saved'::text, 'parked'::text, 'refused'::text, 'failed'::text, 'not_sent'::text, 'unknown'::text])))
grantry_attempts: grantry_attempts_pkey PRIMARY KEY (tenant, id)
CREATE INDEX grantry_attempts_grant ON grantry_attempts USING btree (tenant, grant_id, outcome)
CREATE INDEX grantry_attempts_started_at ON grantry_attempts USING btree (started_at)
CREATE UNIQUE INDEX grantry_attempts_pkey ON grantry_attempts USING btree (tenant, id)
grantry_audit_actors.shard integer not null
grantry_audit_actors.id integer not null
grantry_audit_actors.kind text not null
grantry_audit_actors.actor_id text not null
grantry_audit_actors.name text
grantry_audit_actors.source text not null
grantry_audit_actors: grantry_audit_actors_pkey PRIMARY KEY (shard, id)
CREATE INDEX grantry_audit_actors_actor ON grantry_audit_actors USING btree (actor_id)
CREATE UNIQUE INDEX grantry_audit_actors_pkey ON grantry_audit_actors USING btree (shard, id)
CREATE TRIGGER grantry_audit_actors_final BEFORE DELETE OR UPDATE OR TRUNCATE ON grantry_audit_actors FOR EACH STATEMENT EXECUTE FUNCTION grantry_audit_refuse()
grantry_audit_checkpoints.shard integer not null
grantry_audit_checkpoints.size bigint not null
grantry_audit_checkpoints.at bigint not null
grantry_audit_checkpoints.note text not null
grantry_audit_checkpoints: grantry_audit_checkpoints_pkey PRIMARY KEY (shard, size)
CREATE UNIQUE INDEX grantry_audit_checkpoints_pkey ON grantry_audit_checkpoints USING btree (shard, size)
CREATE TRIGGER grantry_audit_checkpoints_final BEFORE DELETE OR UPDATE OR TRUNCATE ON grantry_audit_checkpoints FOR EACH STATEMENT EXECUTE FUNCTION grantry_audit_refuse()
grantry_audit_entries.shard integer not null
grantry_audit_entries.generation integer
grantry_audit_entries.seq bigint not null
grantry_audit_entries.at bigint not null
grantry_audit_entries.actor integer not null
grantry_audit_entries.subject integer
grantry_audit_entries.count integer
grantry_audit_entries.span integer
grantry_audit_entries.action text not null
grantry_audit_entries.outcome text not null
grantry_audit_entries.code text
grantry_audit_entries.reason text
grantry_audit_entries.details_hash bytea
grantry_audit_entries.details bytea
grantry_audit_entries: grantry_audit_entries_pkey PRIMARY KEY (shard, seq)
CREATE INDEX grantry_audit_entries_subject ON grantry_audit_entries USING btree (subject, seq)
CREATE UNIQUE INDEX grantry_audit_entries_pkey ON grantry_audit_entries USING btree (shard, seq)
CREATE TRIGGER grantry_audit_entries_final BEFORE DELETE OR UPDATE OR TRUNCATE ON grantry_audit_entries FOR EACH STATEMENT EXECUTE FUNCTION grantry_audit_refuse()
grantry_audit_heads.shard integer not null
grantry_audit_heads.size bigint not null
grantry_audit_heads.edges text not null
grantry_audit_heads.updated_at bigint not null
grantry_audit_heads.mac text
grantry_audit_heads: grantry_audit_heads_pkey PRIMARY KEY (shard)
CREATE UNIQUE INDEX grantry_audit_heads_pkey ON grantry_audit_heads USING btree (shard)
grantry_audit_keys.shard integer not null
grantry_audit_keys.id text not null
grantry_audit_keys.algorithm text not null
grantry_audit_keys.verifier text not null
grantry_audit_keys.private_key text not null
grantry_audit_keys.created_at bigint not null
grantry_audit_keys.retired_at bigint
grantry_audit_keys.mac text
grantry_audit_keys: grantry_audit_keys_pkey PRIMARY KEY (shard, id)
CREATE UNIQUE INDEX grantry_audit_keys_pkey ON grantry_audit_keys USING btree (shard, id)
grantry_audit_queue.id text not null
grantry_audit_queue.at bigint not null
grantry_audit_queue.tenant text not null
grantry_audit_queue.entry text not null
grantry_audit_queue.details text not null
grantry_audit_queue.mac text
grantry_audit_queue: grantry_audit_queue_pkey PRIMARY KEY (id)
CREATE INDEX grantry_audit_queue_at ON grantry_audit_queue USING btree (at, id)
CREATE UNIQUE INDEX grantry_audit_queue_pkey ON grantry_audit_queue USING btree (id)
CREATE OR REPLACE FUNCTION grantry_audit_refuse()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$begin raise exception 'entries of the audit log are never changed'; end$function$

grantry_audit_subjects.shard integer not null
grantry_audit_subjects.id integer not null
grantry_audit_subjects.tenant text
grantry_audit_subjects.provider text
grantry_audit_subjects.account text
grantry_audit_subjects: grantry_audit_subjects_pkey PRIMARY KEY (shard, id)
CREATE INDEX grantry_audit_subjects_tenant ON grantry_audit_subjects USING btree (tenant, provider)
CREATE UNIQUE INDEX grantry_audit_subjects_pkey ON grantry_audit_subjects USING btree (shard, id)
CREATE TRIGGER grantry_audit_subjects_final BEFORE DELETE OR UPDATE OR TRUNCATE ON grantry_audit_subjects FOR EACH STATEMENT EXECUTE FUNCTION grantry_audit_refuse()
grantry_audit_tiles.shard integer not null
grantry_audit_tiles.level integer not null
grantry_audit_tiles.tile integer not null
grantry_audit_tiles.hashes bytea not null
grantry_audit_tiles: grantry_audit_tiles_pkey PRIMARY KEY (shard, level, tile)
CREATE UNIQUE INDEX grantry_audit_tiles_pkey ON grantry_audit_tiles USING btree (shard, level, tile)
CREATE TRIGGER grantry_audit_tiles_final BEFORE DELETE OR UPDATE OR TRUNCATE ON grantry_audit_tiles FOR EACH STATEMENT EXECUTE FUNCTION grantry_audit_refuse()
grantry_authorizations.tenant text not null
grantry_authorizations.state_hash text not null
grantry_authorizations.provider text not null
grantry_authorizations.account text not null
grantry_authorizations.app text not null
grantry_authorizations.verifier text
grantry_authorizations.redirect_uri text not null
grantry_authorizations.scopes jsonb not null
grantry_authorizations.dc text
grantry_authorizations.issuer text
grantry_authorizations.provider_hash text not null
grantry_authorizations.connect_session_id text
grantry_authorizations.created_at bigint not null
grantry_authorizations.expires_at bigint not null
grantry_authorizations.used_at bigint
grantry_authorizations.mac text
grantry_authorizations.enhances jsonb
grantry_authorizations.environment text
grantry_authorizations.expect_organization text
grantry_authorizations: grantry_authorizations_pkey PRIMARY KEY (tenant, state_hash)
grantry_authorizations: grantry_authorizations_session_fkey FOREIGN KEY (tenant, connect_session_id) REFERENCES grantry_connect_sessions(tenant, id) ON DELETE CASCADE
CREATE INDEX grantry_authorizations_expires_at ON grantry_authorizations USING btree (expires_at)
CREATE INDEX grantry_authorizations_session ON grantry_authorizations USING btree (tenant, connect_session_id)
CREATE INDEX grantry_authorizations_state ON grantry_authorizations USING btree (state_hash)
CREATE UNIQUE INDEX grantry_authorizations_pkey ON grantry_authorizations USING btree (tenant, state_hash)
grantry_candidates.tenant text not null
grantry_candidates.id uuid not null
grantry_candidates.grant_id uuid not null
grantry_candidates.fence bigint not null
grantry_candidates.generation bigint not null
grantry_candidates.tokens text not null
grantry_candidates.token_fingerprint text not null
grantry_candidates.received_at bigint not null
grantry_candidates.state text not null
grantry_candidates.retired_at bigint
grantry_candidates: grantry_candidates_grant_fkey FOREIGN KEY (tenant, grant_id) REFERENCES oauth_tokens(client_id, id)
grantry_candidates: grantry_candidates_pkey PRIMARY KEY (tenant, id)
grantry_candidates: grantry_candidates_state_check CHECK ((state = ANY (ARRAY['untested'::text, 'dead'::text, 'superseded'::text])))
CREATE UNIQUE INDEX grantry_candidates_grant ON grantry_candidates USING btree (tenant, grant_id, token_fingerprint)
CREATE UNIQUE INDEX grantry_candidates_pkey ON grantry_candidates USING btree (tenant, id)
CREATE TRIGGER grantry_candidates_format_insert BEFORE INSERT ON grantry_candidates FOR EACH ROW WHEN ((substr(new.tokens, 1, 11) = 'gry1.R1JZAQ'::text)) EXECUTE FUNCTION grantry_refuse()
CREATE TRIGGER grantry_candidates_format_update BEFORE UPDATE OF tokens ON grantry_candidates FOR EACH ROW WHEN (((substr(new.tokens, 1, 11) = 'gry1.R1JZAQ'::text) AND (new.tokens IS DISTINCT FROM old.tokens))) EXECUTE FUNCTION grantry_refuse()
CREATE TRIGGER grantry_candidates_retire BEFORE UPDATE OF state ON grantry_candidates FOR EACH ROW WHEN (((old.state = 'untested'::text) AND (new.state = 'superseded'::text) AND (new.retired_at IS NULL))) EXECUTE FUNCTION grantry_refuse()
grantry_connect_sessions.tenant text not null
grantry_connect_sessions.id text not null
grantry_connect_sessions.token_hash text not null
grantry_connect_sessions.provider text not null
grantry_connect_sessions.account text not null
grantry_connect_sessions.app text not null
grantry_connect_sessions.scopes jsonb not null
grantry_connect_sessions.return_to text
grantry_connect_sessions.user_id text
grantry_connect_sessions.browser_hash text
grantry_connect_sessions.completion_hash text
grantry_connect_sessions.pending text
grantry_connect_sessions.state text not null
grantry_connect_sessions.error text
grantry_connect_sessions.granted jsonb
grantry_connect_sessions.starts bigint not null
grantry_connect_sessions.created_at bigint not null
grantry_connect_sessions.expires_at bigint not null
grantry_connect_sessions.completed_at bigint
grantry_connect_sessions.mac text
grantry_connect_sessions.adds jsonb
grantry_connect_sessions.environment text
grantry_connect_sessions.expect_organization text
grantry_connect_sessions: grantry_connect_sessions_pkey PRIMARY KEY (tenant, id)
grantry_connect_sessions: grantry_connect_sessions_state_check CHECK ((state = ANY (ARRAY['open'::text, 'started'::text, 'exchanging'::text, 'pending'::text, 'completed'::text, 'failed'::text])))
CREATE INDEX grantry_connect_sessions_expires_at ON grantry_connect_sessions USING btree (expires_at)
CREATE INDEX grantry_connect_sessions_id ON grantry_connect_sessions USING btree (id)
CREATE INDEX grantry_connect_sessions_token ON grantry_connect_sessions USING btree (token_hash)
CREATE UNIQUE INDEX grantry_connect_sessions_pkey ON grantry_connect_sessions USING btree (tenant, id)
CREATE TRIGGER grantry_connect_sessions_format_insert BEFORE INSERT ON grantry_connect_sessions FOR EACH ROW WHEN ((substr(new.pending, 1, 11) = 'gry1.R1JZAQ'::text)) EXECUTE FUNCTION grantry_refuse()
CREATE TRIGGER grantry_connect_sessions_format_update BEFORE UPDATE OF pending ON grantry_connect_sessions FOR EACH ROW WHEN (((substr(new.pending, 1, 11) = 'gry1.R1JZAQ'::text) AND (new.pending IS DISTINCT FROM old.pending))) EXECUTE FUNCTION grantry_refuse()
grantry_events.tenant text not null
grantry_events.id uuid not null
grantry_events.at bigint not null
grantry_events.grant_id uuid
grantry_events.provider text
grantry_events.account text
grantry_events.type text not null
grantry_events.from_state text
grantry_events.to_state text
grantry_events.generation bigint
grantry_events.reason text
grantry_events.details jsonb not null
grantry_events: grantry_events_pkey PRIMARY KEY (tenant, id)
CREATE INDEX grantry_events_at ON grantry_events USING btree (at, id)
CREATE INDEX grantry_events_grant ON grantry_events USING btree (tenant, grant_id, id)
CREATE UNIQUE INDEX grantry_events_pkey ON grantry_events USING btree (tenant, id)
grantry_grant_scopes.tenant text not null
grantry_grant_scopes.grant_id uuid not null
grantry_grant_scopes.asked jsonb not null
grantry_grant_scopes.assumed jsonb not null
grantry_grant_scopes.uses jsonb not null
grantry_grant_scopes.noted_at bigint not null
grantry_grant_scopes: grantry_grant_scopes_grant_fkey FOREIGN KEY (tenant, grant_id) REFERENCES oauth_tokens(client_id, id) ON DELETE CASCADE
grantry_grant_scopes: grantry_grant_scopes_pkey PRIMARY KEY (tenant, grant_id)
CREATE UNIQUE INDEX grantry_grant_scopes_pkey ON grantry_grant_scopes USING btree (tenant, grant_id)
grantry_instance.id bigint not null
grantry_instance.vault_id text not null
grantry_instance.installation text
grantry_instance.epoch bigint not null
grantry_instance.location text not null
grantry_instance.timeline bigint
grantry_instance.quarantined_reason text
grantry_instance.scrub_pending bigint not null
grantry_instance.created_at bigint not null
grantry_instance: grantry_instance_one_check CHECK ((id = 1))
grantry_instance: grantry_instance_pkey PRIMARY KEY (id)
grantry_instance: grantry_instance_scrub_check CHECK ((scrub_pending = ANY (ARRAY[(0)::bigint, (1)::bigint])))
CREATE UNIQUE INDEX grantry_instance_pkey ON grantry_instance USING btree (id)
grantry_left_tokens.registration text not null
grantry_left_tokens.fingerprint text not null
grantry_left_tokens.tenant text not null
grantry_left_tokens.provider text not null
grantry_left_tokens.account text not null
grantry_left_tokens.dc text
grantry_left_tokens.consent_user text
grantry_left_tokens.consented_at bigint
grantry_left_tokens.left_at bigint not null
grantry_left_tokens: grantry_left_tokens_pkey PRIMARY KEY (registration, fingerprint)
CREATE UNIQUE INDEX grantry_left_tokens_pkey ON grantry_left_tokens USING btree (registration, fingerprint)
grantry_providers.id text not null
grantry_providers.definition jsonb not null
grantry_providers.created_at bigint not null
grantry_providers.updated_at bigint not null
grantry_providers.mac text
grantry_providers: grantry_providers_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX grantry_providers_pkey ON grantry_providers USING btree (id)
CREATE OR REPLACE FUNCTION grantry_refuse()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$begin raise exception 'a process of Grantry 0.1.0 still runs: stop it'; end$function$

grantry_revocations.tenant text not null
grantry_revocations.id uuid not null
grantry_revocations.grant_id uuid
grantry_revocations.provider text not null
grantry_revocations.account text not null
grantry_revocations.app text
grantry_revocations.dc text
grantry_revocations.token text not null
grantry_revocations.token_fingerprint text not null
grantry_revocations.attempts bigint not null
grantry_revocations.next_at bigint not null
grantry_revocations.deadline_at bigint not null
grantry_revocations.created_at bigint not null
grantry_revocations.consented_at bigint
grantry_revocations.consent_user text
grantry_revocations: grantry_revocations_grant_fkey FOREIGN KEY (tenant, grant_id) REFERENCES oauth_tokens(client_id, id)
grantry_revocations: grantry_revocations_pkey PRIMARY KEY (tenant, id)
CREATE INDEX grantry_revocations_app ON grantry_revocations USING btree (app)
CREATE INDEX grantry_revocations_grant ON grantry_revocations USING btree (tenant, grant_id)
CREATE INDEX grantry_revocations_next_at ON grantry_revocations USING btree (next_at)
CREATE UNIQUE INDEX grantry_revocations_pkey ON grantry_revocations USING btree (tenant, id)
CREATE TRIGGER grantry_revocations_format_insert BEFORE INSERT ON grantry_revocations FOR EACH ROW WHEN ((substr(new.token, 1, 11) = 'gry1.R1JZAQ'::text)) EXECUTE FUNCTION grantry_refuse()
CREATE TRIGGER grantry_revocations_format_update BEFORE UPDATE OF token ON grantry_revocations FOR EACH ROW WHEN (((substr(new.token, 1, 11) = 'gry1.R1JZAQ'::text) AND (new.token IS DISTINCT FROM old.token))) EXECUTE FUNCTION grantry_refuse()
grantry_schema.version bigint not null
grantry_schema.name text not null
grantry_schema.applied_at bigint not null
grantry_schema: grantry_schema_pkey PRIMARY KEY (version)
CREATE UNIQUE INDEX grantry_schema_pkey ON grantry_schema USING btree (version)
grantry_slot_warnings.registration text not null
grantry_slot_warnings.dc text not null
grantry_slot_warnings.consent_user text not null
grantry_slot_warnings.warned_at bigint not null
grantry_slot_warnings: grantry_slot_warnings_pkey PRIMARY KEY (registration, dc, consent_user)
CREATE UNIQUE INDEX grantry_slot_warnings_pkey ON grantry_slot_warnings USING btree (registration, dc, consent_user)
grantry_tenant_keys.tenant text not null
grantry_tenant_keys.version bigint not null
grantry_tenant_keys.wrapped text not null
grantry_tenant_keys.created_at bigint not null
grantry_tenant_keys: grantry_tenant_keys_pkey PRIMARY KEY (tenant, version)
CREATE UNIQUE INDEX grantry_tenant_keys_pkey ON grantry_tenant_keys USING btree (tenant, version)
grantry_token_requests.fingerprint text not null
grantry_token_requests.requests jsonb not null
grantry_token_requests.last_at bigint not null
grantry_token_requests: grantry_token_requests_pkey PRIMARY KEY (fingerprint)
CREATE INDEX grantry_token_requests_last_at ON grantry_token_requests USING btree (last_at)
CREATE UNIQUE INDEX grantry_token_requests_pkey ON grantry_token_requests USING btree (fingerprint)
oauth_tokens.id uuid not null
oauth_tokens.client_id text not null
oauth_tokens.provider text not null
oauth_tokens.account text not null default 'default'::text
oauth_tokens.access_token text
oauth_tokens.refresh_token text
oauth_tokens.token_expiry timestamp with time zone
oauth_tokens.scopes text not null default ''::text
oauth_tokens.metadata jsonb not null default '{}'::jsonb
oauth_tokens.created_at timestamp with time zone not null
oauth_tokens.updated_at timestamp with time zone not null
oauth_tokens.app text
oauth_tokens.state text not null
oauth_tokens.reason text
oauth_tokens.generation bigint not null
oauth_tokens.authorized_generation bigint not null
oauth_tokens.token_type text
oauth_tokens.obtained_at bigint
oauth_tokens.last_refreshed_at bigint
oauth_tokens.changed_at bigint not null
oauth_tokens.refresh_fingerprint text
oauth_tokens.doubt_since bigint
oauth_tokens.retry_at bigint
oauth_tokens.overlap_until bigint
oauth_tokens.lease_owner text
oauth_tokens.lease_until bigint
oauth_tokens.lease_fence bigint not null
oauth_tokens.condemned_at bigint
oauth_tokens.used_at bigint
oauth_tokens.due_at bigint
oauth_tokens.consented_at bigint
oauth_tokens.consent_user text
oauth_tokens: oauth_tokens_access_token_check CHECK (((generation = 0) OR (access_token ~~ 'gry1.%'::text)))
oauth_tokens: oauth_tokens_generation_check CHECK ((generation >= 0))
oauth_tokens: oauth_tokens_lease_check CHECK (((lease_owner IS NULL) = (lease_until IS NULL)))
oauth_tokens: oauth_tokens_pkey PRIMARY KEY (id)
oauth_tokens: oauth_tokens_refresh_token_check CHECK (((generation = 0) OR (refresh_token ~~ 'gry1.%'::text)))
oauth_tokens: oauth_tokens_state_check CHECK ((state = ANY (ARRAY['active'::text, 'uncertain'::text, 'suspect'::text, 'reauthorization_required'::text, 'disconnected'::text])))
oauth_tokens: oauth_tokens_tenant_id UNIQUE (client_id, id)
CREATE INDEX oauth_tokens_changed_at ON oauth_tokens USING btree (changed_at)
CREATE INDEX oauth_tokens_due ON oauth_tokens USING btree (state, due_at)
CREATE INDEX oauth_tokens_organization ON oauth_tokens USING btree (provider, "left"((metadata ->> 'org_id'::text), 64))
CREATE INDEX oauth_tokens_refresh_fingerprint ON oauth_tokens USING btree (refresh_fingerprint)
CREATE INDEX oauth_tokens_slots ON oauth_tokens USING btree (app, consent_user, consented_at)
CREATE UNIQUE INDEX oauth_tokens_key ON oauth_tokens USING btree (client_id, provider, account)
CREATE UNIQUE INDEX oauth_tokens_pkey ON oauth_tokens USING btree (id)
CREATE UNIQUE INDEX oauth_tokens_tenant_id ON oauth_tokens USING btree (client_id, id)
CREATE TRIGGER oauth_tokens_format_insert BEFORE INSERT ON oauth_tokens FOR EACH ROW WHEN (((substr(new.access_token, 1, 11) = 'gry1.R1JZAQ'::text) OR (substr(new.refresh_token, 1, 11) = 'gry1.R1JZAQ'::text))) EXECUTE FUNCTION grantry_refuse()
CREATE TRIGGER oauth_tokens_format_update BEFORE UPDATE OF access_token, refresh_token ON oauth_tokens FOR EACH ROW WHEN ((((substr(new.access_token, 1, 11) = 'gry1.R1JZAQ'::text) AND (new.access_token IS DISTINCT FROM old.access_token)) OR ((substr(new.refresh_token, 1, 11) = 'gry1.R1JZAQ'::text) AND (new.refresh_token IS DISTINCT FROM old.refresh_token)))) EXECUTE FUNCTION grantry_refuse()
