/**
 * Environment and expected organisation of a connection that is under way. The columns are null in old rows, whose MACs
 * therefore stay good.
 */
const columns = `alter table grantry_authorizations add column environment text;
alter table grantry_authorizations add column expect_organization text;
alter table grantry_connect_sessions add column environment text;
alter table grantry_connect_sessions add column expect_organization text`;

export const organizations = { sqlite: columns, postgres: columns };
