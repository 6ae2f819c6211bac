import { type Kysely, type RawBuilder, type Selectable, sql } from 'kysely';
import type { ConnectSessionTable, Schema } from '../schema.ts';

export type ConnectSessionRow = Selectable<ConnectSessionTable>;

const columns = [
  'id',
  'client_id',
  'token_hash',
  'provider',
  'account',
  'app',
  'scopes',
  'return_to',
  'user_id',
  'browser_hash',
  'completion_hash',
  'pending',
  'state',
  'error',
  'granted',
  'starts',
  'created_at',
  'expires_at',
  'completed_at',
] as const satisfies readonly (keyof ConnectSessionRow)[];

export type NewConnectSession = Pick<
  ConnectSessionRow,
  'id' | 'client_id' | 'token_hash' | 'provider' | 'account' | 'app' | 'scopes' | 'return_to' | 'user_id'
> & { lifeMs: number };

/** Names one session in a statement that changes it. */
interface Place {
  readonly tenant: string;
  readonly id: string;
}

/** A session as it was started that time: whoever comes back from an earlier start changes nothing of a later one. */
interface Started extends Place {
  starts: number;
}

/** Keeps a new session, whose link nobody has used. */
export async function insertConnectSession(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  session: NewConnectSession,
): Promise<void> {
  const { lifeMs, ...row } = session;
  await db
    .insertInto('grantry_connect_sessions')
    .values({ ...row, state: 'open', starts: 0, created_at: now, expires_at: sql<number>`${now} + ${lifeMs}` })
    .execute();
}

/** The session with that id. Sessions are asked for by a key that may see all tenants, so no tenant names them. */
export async function findConnectSession(db: Kysely<Schema>, id: string): Promise<ConnectSessionRow | undefined> {
  return db.selectFrom('grantry_connect_sessions').select(columns).where('id', '=', id).executeTakeFirst();
}

/** The session of a link: the browser knows no tenant, and the token, 256 random bits, is what names the row. */
export async function findConnectSessionByToken(
  db: Kysely<Schema>,
  tokenHash: string,
): Promise<ConnectSessionRow | undefined> {
  return db
    .selectFrom('grantry_connect_sessions')
    .select(columns)
    .where('token_hash', '=', tokenHash)
    .executeTakeFirst();
}

/** Sessions, the newest first, after the one that the page before ended with. */
export async function listConnectSessions(
  db: Kysely<Schema>,
  filter: { tenant?: string | undefined; after?: { createdAt: number; id: string } | undefined; limit: number },
): Promise<ConnectSessionRow[]> {
  const { tenant, after, limit } = filter;
  return db
    .selectFrom('grantry_connect_sessions')
    .select(columns)
    .$if(tenant !== undefined, (query) => query.where('client_id', '=', tenant ?? ''))
    .$if(after !== undefined, (query) =>
      query.where((where) =>
        where.or([
          where('created_at', '<', after?.createdAt ?? 0),
          where.and([where('created_at', '=', after?.createdAt ?? 0), where('id', '<', after?.id ?? '')]),
        ]),
      ),
    )
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
}

/**
 * Binds a session to the browser that pressed its button, the first time, and gives it at least `lifeMs` from now. False
 * when it is bound to another one, over, or was started too often.
 */
export async function startConnectSession(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  start: Place & { browserHash: string; lifeMs: number; startsMax: number },
): Promise<boolean> {
  const until = sql<number>`${now} + ${start.lifeMs}`;
  const { numUpdatedRows } = await tx
    .updateTable('grantry_connect_sessions')
    .set((column) => ({
      state: 'started',
      browser_hash: start.browserHash,
      starts: column('starts', '+', 1),
      expires_at: sql<number>`case when expires_at < ${until} then ${until} else expires_at end`,
    }))
    .where('client_id', '=', start.tenant)
    .where('id', '=', start.id)
    // An exchange that never ended, because its process died, does not stand in the way of another try.
    .where('state', 'in', ['open', 'started', 'exchanging'])
    .where((where) => where.or([where('browser_hash', 'is', null), where('browser_hash', '=', start.browserHash)]))
    .where('starts', '<', start.startsMax)
    .where('expires_at', '>', now)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Takes a session for the exchange of one code: of several callbacks that arrive at once, one gets it. */
export async function claimConnectSession(
  db: Kysely<Schema>,
  claim: Started & { browserHash: string },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_connect_sessions')
    .set({ state: 'exchanging' })
    .where('client_id', '=', claim.tenant)
    .where('id', '=', claim.id)
    .where('state', '=', 'started')
    .where('starts', '=', claim.starts)
    .where('browser_hash', '=', claim.browserHash)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** The browser came back without a grant: the session can be tried again until it ends. */
export async function returnConnectSession(db: Kysely<Schema>, back: Started & { error: string }): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_connect_sessions')
    .set({ state: 'started', error: back.error })
    .where('client_id', '=', back.tenant)
    .where('id', '=', back.id)
    .where('state', '=', 'exchanging')
    .where('starts', '=', back.starts)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Puts sealed tokens aside for the completion code. False when the session went on without them. */
export async function holdConnectSession(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  held: Started & { pending: string; completionHash: string; granted: string; lifeMs: number },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('grantry_connect_sessions')
    .set({
      state: 'pending',
      error: null,
      pending: held.pending,
      completion_hash: held.completionHash,
      granted: held.granted,
      expires_at: sql<number>`${now} + ${held.lifeMs}`,
    })
    .where('client_id', '=', held.tenant)
    .where('id', '=', held.id)
    .where('state', '=', 'exchanging')
    .where('starts', '=', held.starts)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Ends a session with a grant, in the transaction that stores it. False when it ended otherwise meanwhile. */
export async function completeConnectSession(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  completed: Started & { from: 'exchanging' | 'pending'; granted: string },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('grantry_connect_sessions')
    .set({ state: 'completed', error: null, pending: null, granted: completed.granted, completed_at: now })
    .where('client_id', '=', completed.tenant)
    .where('id', '=', completed.id)
    .where('state', '=', completed.from)
    .where('starts', '=', completed.starts)
    // Tokens that waited for their code have a deadline; those that come straight from the provider have met theirs.
    .$if(completed.from === 'pending', (query) => query.where('expires_at', '>', now))
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Ends a session without a grant and shreds what it held; the caller has put that where it is revoked from. */
export async function failConnectSession(tx: Kysely<Schema>, failed: Place & { error: string }): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('grantry_connect_sessions')
    .set({ state: 'failed', error: failed.error, pending: null })
    .where('client_id', '=', failed.tenant)
    .where('id', '=', failed.id)
    .where('state', '=', 'pending')
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Sessions whose tokens nobody claimed in time, of all tenants. */
export async function listUnclaimedConnectSessions(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  limit: number,
): Promise<ConnectSessionRow[]> {
  return (
    db
      .selectFrom('grantry_connect_sessions')
      .select(columns)
      .where('state', '=', 'pending')
      // As a subquery the clock is read once, and the index on the expiry can serve.
      .where('expires_at', '<=', sql<number>`(select ${now})`)
      .orderBy('expires_at')
      .limit(limit)
      .execute()
  );
}

/** Forgets sessions that ended more than `keptMs` ago, with their authorization requests. */
export async function purgeConnectSessions(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  keptMs: number,
): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('grantry_connect_sessions')
    .where('state', '<>', 'pending')
    .where('expires_at', '<=', sql<number>`(select ${now} - ${keptMs})`)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

/** Whether somebody is connecting a tenant at a provider by that app: tokens may be on their way, or wait for their code. */
export async function isConnecting(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  of: { tenant: string; provider: string; app: string | null },
): Promise<boolean> {
  const row = await db
    .selectFrom('grantry_connect_sessions')
    .select('id')
    .where('client_id', '=', of.tenant)
    .where('provider', '=', of.provider)
    .$if(of.app !== null, (query) => query.where('app', '=', of.app ?? ''))
    .where('state', 'in', ['exchanging', 'pending'])
    .where('expires_at', '>', now)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** How many sessions of a tenant hold sealed tokens. */
export async function countPendingConnectSessions(db: Kysely<Schema>, tenant: string): Promise<number> {
  const { count } = await db
    .selectFrom('grantry_connect_sessions')
    .select(({ fn }) => fn.countAll<number | string | bigint>().as('count'))
    .where('client_id', '=', tenant)
    .where('state', '=', 'pending')
    .executeTakeFirstOrThrow();
  return Number(count);
}
