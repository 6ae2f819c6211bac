/*
 * Frozen once released. Rows of these tables decide where tokens go and who gets them, so each carries a MAC. The program
 * that runs this migration computes the MACs of the rows that are there, in the same transaction.
 */

/** The same text for both databases. */
export const rowMacs = `
alter table grantry_providers add column mac text;
alter table grantry_apps add column mac text;
alter table grantry_api_keys add column mac text;
alter table grantry_connect_sessions add column mac text;
alter table grantry_authorizations add column mac text`;
