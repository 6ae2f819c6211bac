import { type Selectable, sql } from 'kysely';
import { changedOne, changedRows, countRows, type Reader, type WriteTx } from '../database.ts';
import type { AuthorizationTable } from '../schema.ts';

export type AuthorizationRow = Selectable<AuthorizationTable>;

/** Keeps an authorization request until its callback comes, for at most `lifeMs`. */
export async function insertAuthorization(
  tx: WriteTx,
  authorization: Omit<AuthorizationRow, 'created_at' | 'expires_at' | 'used_at'> & { lifeMs: number },
): Promise<void> {
  const { lifeMs, ...row } = authorization;
  await tx
    .insertInto('grantry_authorizations')
    .values({ ...row, created_at: tx.now, expires_at: sql<number>`${tx.now} + ${lifeMs}`, used_at: null })
    .execute();
}

/**
 * Takes an authorization request for its callback. Of several callers with the same state exactly one gets it, and none
 * gets an expired one. {@link findAuthorization} tells why there is none.
 *
 * The callback knows no tenant: the state, 256 random bits, names the row.
 */
export async function takeAuthorization(tx: WriteTx, stateHash: string): Promise<AuthorizationRow | undefined> {
  return tx
    .updateTable('grantry_authorizations')
    .set({ used_at: tx.now })
    .where('state_hash', '=', stateHash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', tx.now)
    .returningAll()
    .executeTakeFirst();
}

/** Makes a request usable again that was taken and whose code was never sent. */
export async function returnAuthorization(
  tx: WriteTx,
  taken: Pick<AuthorizationRow, 'tenant' | 'state_hash' | 'used_at'>,
): Promise<boolean> {
  return tx
    .updateTable('grantry_authorizations')
    .set({ used_at: null })
    .where('tenant', '=', taken.tenant)
    .where('state_hash', '=', taken.state_hash)
    .where('used_at', '=', taken.used_at)
    .where('expires_at', '>', tx.now)
    .$call(changedOne);
}

/** Ends a request that was taken: a repeated callback need not wait for its outcome. */
export async function endAuthorization(
  tx: WriteTx,
  { tenant, stateHash }: { tenant: string; stateHash: string },
): Promise<boolean> {
  return tx
    .updateTable('grantry_authorizations')
    .set({ expires_at: tx.now })
    .where('tenant', '=', tenant)
    .where('state_hash', '=', stateHash)
    .where('used_at', 'is not', null)
    .$call(changedOne);
}

/** Finds an authorization request by its state, without its verifier. */
export async function findAuthorization(
  db: Reader,
  stateHash: string,
): Promise<Omit<AuthorizationRow, 'verifier'> | undefined> {
  return db.selectFrom('grantry_authorizations').selectAll().where('state_hash', '=', stateHash).executeTakeFirst();
}

/** Deletes requests that expired more than `keptMs` ago: until then a late callback gets a clear error. */
export async function purgeAuthorizations(tx: WriteTx, keptMs: number): Promise<number> {
  return (
    tx
      .deleteFrom('grantry_authorizations')
      // As a subquery the clock is read once, and the index on the expiry can serve.
      .where('expires_at', '<=', sql<number>`(select ${tx.now} - ${keptMs})`)
      .$call(changedRows)
  );
}

/** Counts the authorization requests of a tenant whose callback may still come. */
export async function countOpenAuthorizations(db: Reader, tenant: string): Promise<number> {
  return db
    .selectFrom('grantry_authorizations')
    .where('tenant', '=', tenant)
    .where('used_at', 'is', null)
    .where('expires_at', '>', db.now)
    .$call(countRows);
}
