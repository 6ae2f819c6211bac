/**
 * Grantry's tables as Drizzle schemas, for programs that join their own tables with the grants. They also keep
 * drizzle-kit from dropping the tables.
 *
 * The vault makes and migrates these tables itself. Leave them out of your own migrations with drizzle-kit's `tablesFilter`
 * (`['!oauth_tokens', '!grantry_*']`): the schemas match the databases, but drizzle-kit 0.31 reads checks in SQLite, and the
 * order of composite keys in PostgreSQL, wrongly, and would rebuild what is in order. Read through the schemas, never
 * write: tokens are sealed, and a change past the vault is lost or refused.
 *
 * @example
 * import { drizzle } from 'drizzle-orm/node-postgres';
 * import { postgres } from 'grantry/drizzle';
 *
 * const db = drizzle(process.env['DATABASE_URL'] ?? '');
 * const { clientId, provider, state } = postgres.oauthTokens;
 * const grants = await db.select({ clientId, provider, state }).from(postgres.oauthTokens);
 *
 * @module
 */

export { postgres } from './drizzle/postgres.ts';
export { sqlite } from './drizzle/sqlite.ts';
