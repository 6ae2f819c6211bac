/*
 * Frozen once released. Two look-ups that read whole tables: the events of one grant, and the tenants of one organisation at
 * a provider.
 *
 * An operator of a large database can make the indexes before the upgrade, without a lock on the tables. A value of the
 * metadata may be longer than a key of PostgreSQL's index can be, so only its beginning is in it.
 */
const events = 'create index if not exists grantry_events_grant on grantry_events (tenant, grant_id, id)';

/**
 * In SQLite the metadata is a text, and in a table that was taken over it may be no JSON: such a row is in no organisation. An
 * SQLite before 3.38 has no operator `->>`, and would refuse every table of a file whose schema holds one.
 */
export const lookups = {
  sqlite: `${events};
create index if not exists oauth_tokens_organization on oauth_tokens
  (provider, (case when json_valid(metadata) then cast(json_extract(metadata, '$.org_id') as text) end))`,
  postgres: `${events};
create index if not exists oauth_tokens_organization on oauth_tokens (provider, (left(metadata ->> 'org_id', 64)))`,
};
