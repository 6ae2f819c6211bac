/*
 * Frozen once released. The new columns are null in old rows, whose MACs therefore stay good.
 */

/**
 * Scopes that people can account for. An app has reasons for broad ones, and a PKCE switch. A request can add scopes to a
 * grant, and a grant tells what was asked for and what its calls used.
 *
 * A table of its own holds the facts about grants: `oauth_tokens` may be another program's, with columns of its own.
 */
export const scopes = {
  sqlite: `alter table grantry_apps add column scope_reasons text;
alter table grantry_apps add column pkce text;
alter table grantry_authorizations add column enhances text;
alter table grantry_connect_sessions add column adds text;
create table grantry_grant_scopes (
  tenant text not null,
  grant_id text not null,
  asked text not null,
  assumed text not null,
  uses text not null,
  noted_at integer not null,
  constraint grantry_grant_scopes_pkey primary key (tenant, grant_id),
  constraint grantry_grant_scopes_grant_fkey foreign key (tenant, grant_id) references oauth_tokens (client_id, id) on delete cascade
) strict`,
  postgres: `alter table grantry_apps add column scope_reasons jsonb;
alter table grantry_apps add column pkce text;
alter table grantry_authorizations add column enhances jsonb;
alter table grantry_connect_sessions add column adds jsonb;
create table grantry_grant_scopes (
  tenant text not null,
  grant_id uuid not null,
  asked jsonb not null,
  assumed jsonb not null,
  uses jsonb not null,
  noted_at bigint not null,
  constraint grantry_grant_scopes_pkey primary key (tenant, grant_id),
  constraint grantry_grant_scopes_grant_fkey foreign key (tenant, grant_id) references oauth_tokens (client_id, id) on delete cascade
)`,
};
