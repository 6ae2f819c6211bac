/*
 * Frozen once released. A provider that keeps few refresh tokens per user ends the one of the oldest consent at the next one.
 * So each grant tells when its consent was given and by whom, as far as the provider named the user.
 */

/** The columns by which a grant's tokens are counted; old rows learn the time of their consent from its event, or from the grant. */
const columns = (integer: string, millisOfCreation: string): string => `
alter table oauth_tokens add column consented_at ${integer};
alter table oauth_tokens add column consent_user text;
update oauth_tokens set consented_at = ${millisOfCreation};
update oauth_tokens set consented_at = consent.at
from (
  select tenant, grant_id, generation, max(at) as at from grantry_events
  where type in ('grant.connected', 'grant.stored') and grant_id is not null
  group by tenant, grant_id, generation
) as consent
where consent.tenant = oauth_tokens.client_id and consent.grant_id = oauth_tokens.id
  and consent.generation = oauth_tokens.authorized_generation;
create index oauth_tokens_slots on oauth_tokens (app, consent_user, consented_at);
alter table grantry_revocations add column consented_at ${integer};
alter table grantry_revocations add column consent_user text;
create index grantry_revocations_app on grantry_revocations (app);
create index grantry_apps_client on grantry_apps (client_id)`;

/** Refresh tokens that no grant holds and that were not revoked; and the users of whom an operator was warned. */
const tables = (integer: string, strict: string): string => `
create table grantry_left_tokens (
  registration text not null,
  fingerprint text not null,
  tenant text not null,
  provider text not null,
  account text not null,
  dc text,
  consent_user text,
  consented_at ${integer},
  left_at ${integer} not null,
  constraint grantry_left_tokens_pkey primary key (registration, fingerprint)
)${strict};
create table grantry_slot_warnings (
  registration text not null,
  dc text not null,
  consent_user text not null,
  warned_at ${integer} not null,
  constraint grantry_slot_warnings_pkey primary key (registration, dc, consent_user)
)${strict}`;

export const slots = {
  sqlite: `${columns('integer', 'unixepoch(created_at) * 1000')};
${tables('integer', ' strict')}`,
  postgres: `${columns('bigint', '(extract(epoch from created_at) * 1000)::bigint')};
${tables('bigint', '')}`,
};
