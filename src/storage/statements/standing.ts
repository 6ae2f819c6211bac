import { countRows, findsOne, type LockMode, type Reader, type WriteTx } from '../database.ts';

/** An app or a provider, by the column that names it in other tables. */
export interface Named {
  readonly column: 'app' | 'provider';
  readonly name: string;
}

/**
 * Locks the row of an app until the transaction ends. With `share` no other transaction changes or removes it meanwhile; a caller that
 * changes it takes `update`, and then sees what was stored for it.
 */
export async function lockApp(tx: WriteTx, name: string, mode: LockMode): Promise<void> {
  await tx.locked(tx.selectFrom('grantry_apps').select('name').where('name', '=', name), mode).execute();
}

/** Locks the row of a custom provider, as {@link lockApp}. */
export async function lockProvider(tx: WriteTx, id: string, mode: LockMode): Promise<void> {
  await tx.locked(tx.selectFrom('grantry_providers').select('id').where('id', '=', id), mode).execute();
}

/**
 * Tells whether a connection is under way with an app or at a provider: a browser may come back with a code, an answer may be
 * on its way, or tokens wait for their completion code. Of all tenants, because an app serves many.
 */
export async function hasConnections(db: Reader, { column, name }: Named): Promise<boolean> {
  const authorizations = db
    .selectFrom('grantry_authorizations')
    .select('state_hash')
    .where(column, '=', name)
    .where('expires_at', '>', db.now);
  if (await findsOne(authorizations)) return true;
  const sessions = db
    .selectFrom('grantry_connect_sessions')
    .select('id')
    .where(column, '=', name)
    .where((where) =>
      where.or([
        // Sealed tokens count until a worker has ended the session.
        where('state', '=', 'pending'),
        where.and([where('state', '=', 'exchanging'), where('expires_at', '>', db.now)]),
      ]),
    );
  return findsOne(sessions);
}

/** Counts the grants that use an app, without disconnected ones. */
export async function countGrantsOfApp(db: Reader, app: string): Promise<number> {
  return db.selectFrom('oauth_tokens').where('app', '=', app).where('state', '!=', 'disconnected').$call(countRows);
}

/** Tells whether any tenant has a grant at a provider. Disconnected grants do not count. */
export async function hasGrantAt(db: Reader, provider: string): Promise<boolean> {
  return db
    .selectFrom('oauth_tokens')
    .select('id')
    .where('provider', '=', provider)
    .where('state', '!=', 'disconnected')
    .$call(findsOne);
}
