import { type Kysely, type RawBuilder, type Selectable, sql } from 'kysely';
import type { AuthorizationTable, Schema } from '../schema.ts';

export type AuthorizationRow = Selectable<AuthorizationTable>;

const columns = [
  'state_hash',
  'client_id',
  'provider',
  'account',
  'app',
  'verifier',
  'redirect_uri',
  'scopes',
  'dc',
  'issuer',
  'provider_hash',
  'connect_session_id',
  'created_at',
  'expires_at',
  'used_at',
] as const satisfies readonly (keyof AuthorizationRow)[];

/** Remembers an authorization request until its callback comes, for `lifeMs` at most. */
export async function insertAuthorization(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  authorization: Omit<AuthorizationRow, 'created_at' | 'expires_at' | 'used_at'> & { lifeMs: number },
): Promise<void> {
  const { lifeMs, ...row } = authorization;
  await db
    .insertInto('grantry_authorizations')
    .values({ ...row, created_at: now, expires_at: sql<number>`${now} + ${lifeMs}`, used_at: null })
    .execute();
}

/**
 * Takes an authorization request for its callback: of any number of callers with the same state exactly one gets it, and
 * nobody does once it has expired. Undefined says nothing of why: {@link findAuthorization} does.
 *
 * The callback knows no tenant; the state, 256 random bits, is what names the row.
 */
export async function takeAuthorization(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  stateHash: string,
): Promise<AuthorizationRow | undefined> {
  return db
    .updateTable('grantry_authorizations')
    .set({ used_at: now })
    .where('state_hash', '=', stateHash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .returning(columns)
    .executeTakeFirst();
}

/** What became of an authorization request; its verifier stays where it is. */
export async function findAuthorization(
  db: Kysely<Schema>,
  stateHash: string,
): Promise<Omit<AuthorizationRow, 'verifier'> | undefined> {
  return db
    .selectFrom('grantry_authorizations')
    .select([
      'state_hash',
      'client_id',
      'provider',
      'account',
      'app',
      'redirect_uri',
      'scopes',
      'dc',
      'issuer',
      'provider_hash',
      'connect_session_id',
      'created_at',
      'expires_at',
      'used_at',
    ])
    .where('state_hash', '=', stateHash)
    .executeTakeFirst();
}

/** Forgets requests that expired more than `keptMs` ago: until then a late callback can be told what went wrong. */
export async function purgeAuthorizations(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  keptMs: number,
): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('grantry_authorizations')
    // As a subquery the clock is read once, and the index on the expiry can serve.
    .where('expires_at', '<=', sql<number>`(select ${now} - ${keptMs})`)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

/** How many authorization requests of a tenant may still come back. */
export async function countOpenAuthorizations(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  tenant: string,
): Promise<number> {
  const { count } = await db
    .selectFrom('grantry_authorizations')
    .select(({ fn }) => fn.countAll<number | string | bigint>().as('count'))
    .where('client_id', '=', tenant)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirstOrThrow();
  return Number(count);
}
