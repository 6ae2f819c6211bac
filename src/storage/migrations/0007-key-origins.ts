/** Keys for pages in browsers: the origins whose pages may use them. Null in old rows, whose MACs therefore stay good. */
export const keyOrigins = {
  sqlite: 'alter table grantry_api_keys add column origins text',
  postgres: 'alter table grantry_api_keys add column origins jsonb',
};
