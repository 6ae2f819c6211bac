import { type Selectable, sql } from 'kysely';
import { changedOne, changedRows, clockOf, countRows, type Reader, type WriteTx } from '../database.ts';
import { intact } from '../row-seal.ts';
import type { AuthorizationTable } from '../schema.ts';

export type AuthorizationRow = Omit<Selectable<AuthorizationTable>, 'mac'>;

const table = 'grantry_authorizations';

/** Keeps an authorization request until its callback comes, for at most `lifeMs`. */
export async function insertAuthorization(
  tx: WriteTx,
  authorization: Omit<AuthorizationRow, 'created_at' | 'expires_at' | 'used_at'> & { lifeMs: number },
): Promise<void> {
  const { lifeMs, ...given } = authorization;
  const now = await clockOf(tx);
  const row = { ...given, created_at: now, expires_at: now + lifeMs, used_at: null };
  await tx
    .insertInto(table)
    .values({ ...row, mac: tx.rows.mac(table, row) })
    .execute();
}

/**
 * Takes an authorization request for its callback. Of several callers with the same state exactly one gets it, and none
 * gets an expired one. {@link findAuthorization} tells why there is none.
 *
 * The callback knows no tenant: the state, 256 random bits, names the row.
 *
 * @throws {GrantryError} `integrity_failed`
 */
export async function takeAuthorization(tx: WriteTx, stateHash: string): Promise<AuthorizationRow | undefined> {
  const query = tx
    .selectFrom(table)
    .selectAll()
    .where('state_hash', '=', stateHash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', tx.now);
  const found = await intact(tx, table, await tx.locked(query).executeTakeFirst());
  if (found === undefined) return undefined;
  const taken = { ...found, used_at: await clockOf(tx) };
  await change(tx, taken, ['used_at']);
  return taken;
}

/** Makes a request usable again that was taken and whose code was never sent. */
export async function returnAuthorization(
  tx: WriteTx,
  taken: Pick<AuthorizationRow, 'tenant' | 'state_hash' | 'used_at'>,
): Promise<boolean> {
  const query = tx
    .selectFrom(table)
    .selectAll()
    .where('tenant', '=', taken.tenant)
    .where('state_hash', '=', taken.state_hash)
    .where('used_at', '=', taken.used_at)
    .where('expires_at', '>', tx.now);
  const found = await tx.locked(query).executeTakeFirst();
  // An altered row is used no more, and stays as it is.
  if (found === undefined || !(await tx.rows.isIntact(table, found))) return false;
  return change(tx, { ...found, used_at: null }, ['used_at']);
}

/** Ends a request that was taken: a repeated callback need not wait for its outcome. */
export async function endAuthorization(
  tx: WriteTx,
  { tenant, stateHash }: { tenant: string; stateHash: string },
): Promise<boolean> {
  const query = tx
    .selectFrom(table)
    .selectAll()
    .where('tenant', '=', tenant)
    .where('state_hash', '=', stateHash)
    .where('used_at', 'is not', null);
  const found = await tx.locked(query).executeTakeFirst();
  // An altered row is used no more, and stays as it is.
  if (found === undefined || !(await tx.rows.isIntact(table, found))) return false;
  return change(tx, { ...found, expires_at: await clockOf(tx) }, ['expires_at']);
}

/** Writes the changed columns of a row, with its new MAC. */
function change(tx: WriteTx, row: AuthorizationRow, columns: readonly ('used_at' | 'expires_at')[]): Promise<boolean> {
  const changes = Object.fromEntries(columns.map((column) => [column, row[column]]));
  return tx
    .updateTable(table)
    .set({ ...changes, mac: tx.rows.mac(table, row) })
    .where('tenant', '=', row.tenant)
    .where('state_hash', '=', row.state_hash)
    .$call(changedOne);
}

/** Finds an authorization request by its state, without its verifier. @throws {GrantryError} `integrity_failed` */
export async function findAuthorization(
  db: Reader,
  stateHash: string,
): Promise<Omit<AuthorizationRow, 'verifier'> | undefined> {
  const found = await db.selectFrom(table).selectAll().where('state_hash', '=', stateHash).executeTakeFirst();
  return intact(db, table, found);
}

/** Deletes requests that expired more than `keptMs` ago: until then a late callback gets a clear error. */
export async function purgeAuthorizations(tx: WriteTx, keptMs: number): Promise<number> {
  return (
    tx
      .deleteFrom(table)
      // As a subquery the clock is read once, and the index on the expiry can serve.
      .where('expires_at', '<=', sql<number>`(select ${tx.now} - ${keptMs})`)
      .$call(changedRows)
  );
}

/** Counts the authorization requests of a tenant whose callback may still come. */
export async function countOpenAuthorizations(db: Reader, tenant: string): Promise<number> {
  return db
    .selectFrom(table)
    .where('tenant', '=', tenant)
    .where('used_at', 'is', null)
    .where('expires_at', '>', db.now)
    .$call(countRows);
}
