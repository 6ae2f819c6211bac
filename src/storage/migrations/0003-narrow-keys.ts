/**
 * Keys that may do less: methods and paths of their calls, and keys that end with the key that made them.
 *
 * `revision` counts the changes of a key, and of its children. Servers learn from it which keys to read again. All columns
 * are null in old rows, whose MACs therefore stay good.
 */
export const narrowKeys = {
  sqlite: `alter table grantry_api_keys add column methods text;
alter table grantry_api_keys add column paths text;
alter table grantry_api_keys add column parent text;
alter table grantry_api_keys add column revision integer;
create index grantry_api_keys_parent on grantry_api_keys (parent)`,
  postgres: `alter table grantry_api_keys add column methods jsonb;
alter table grantry_api_keys add column paths jsonb;
alter table grantry_api_keys add column parent text;
alter table grantry_api_keys add column revision bigint;
create index grantry_api_keys_parent on grantry_api_keys (parent)`,
};
