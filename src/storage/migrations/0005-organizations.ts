/**
 * Environment and expected organisation of a connection that is under way, and an index that finds two tenants in one
 * organisation. The columns are null in old rows, whose MACs therefore stay good.
 */
const columns = `alter table grantry_authorizations add column environment text;
alter table grantry_authorizations add column expect_organization text;
alter table grantry_connect_sessions add column environment text;
alter table grantry_connect_sessions add column expect_organization text`;

/** In SQLite the metadata is a text, and in a table that was taken over it may be no JSON: such a row is in no organisation. */
export const organizations = {
  sqlite: `${columns};
create index oauth_tokens_organization on oauth_tokens
  (provider, (case when json_valid(metadata) then cast(metadata ->> 'org_id' as text) end))`,
  postgres: `${columns};
create index oauth_tokens_organization on oauth_tokens (provider, (metadata ->> 'org_id'))`,
};
