import { type Selectable, sql } from 'kysely';
import { changedOne, changedRows, countRows, findsOne, type Reader, type WriteTx } from '../database.ts';
import type { ConnectSessionTable } from '../schema.ts';

export type ConnectSessionRow = Selectable<ConnectSessionTable>;

export type NewConnectSession = Pick<
  ConnectSessionRow,
  'id' | 'tenant' | 'token_hash' | 'provider' | 'account' | 'app' | 'scopes' | 'return_to' | 'user_id'
> & { lifeMs: number };

/** Names one session in a statement that changes it. */
interface Place {
  readonly tenant: string;
  readonly id: string;
}

/** Names one start of a session: a callback of an earlier start must not change a later one. */
interface Started extends Place {
  starts: number;
}

/** Keeps a new session. Its link is unused. */
export async function insertConnectSession(tx: WriteTx, session: NewConnectSession): Promise<void> {
  const { lifeMs, ...row } = session;
  await tx
    .insertInto('grantry_connect_sessions')
    .values({ ...row, state: 'open', starts: 0, created_at: tx.now, expires_at: sql<number>`${tx.now} + ${lifeMs}` })
    .execute();
}

/** Finds a session by its id. Callers with a key for all tenants ask only by the id. */
export async function findConnectSession(db: Reader, id: string): Promise<ConnectSessionRow | undefined> {
  return db.selectFrom('grantry_connect_sessions').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Finds the session of a link. The browser knows no tenant: the token, 256 random bits, names the row. */
export async function findConnectSessionByToken(db: Reader, tokenHash: string): Promise<ConnectSessionRow | undefined> {
  return db.selectFrom('grantry_connect_sessions').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst();
}

/** Lists sessions, newest first, after the last one of the page before. */
export async function listConnectSessions(
  db: Reader,
  filter: {
    tenant?: string | undefined;
    /** Of none of them when empty. */
    tenants?: readonly string[] | undefined;
    providers?: readonly string[] | undefined;
    after?: { createdAt: number; id: string } | undefined;
    limit: number;
  },
): Promise<ConnectSessionRow[]> {
  const { tenant, tenants, providers, after, limit } = filter;
  if (tenants?.length === 0 || providers?.length === 0) return [];
  return db
    .selectFrom('grantry_connect_sessions')
    .selectAll()
    .$if(tenant !== undefined, (query) => query.where('tenant', '=', tenant ?? ''))
    .$if(tenants !== undefined, (query) => query.where('tenant', 'in', tenants ?? []))
    .$if(providers !== undefined, (query) => query.where('provider', 'in', providers ?? []))
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
 * Binds a session to the browser that first presses its button, and gives it at least `lifeMs` from now. Returns false when
 * it is bound to another browser, is over, or was started too often.
 */
export async function startConnectSession(
  tx: WriteTx,
  start: Place & { browserHash: string; lifeMs: number; startsMax: number },
): Promise<boolean> {
  const until = sql<number>`${tx.now} + ${start.lifeMs}`;
  return (
    tx
      .updateTable('grantry_connect_sessions')
      .set((column) => ({
        state: 'started',
        browser_hash: start.browserHash,
        starts: column('starts', '+', 1),
        expires_at: sql<number>`case when expires_at < ${until} then ${until} else expires_at end`,
      }))
      .where('tenant', '=', start.tenant)
      .where('id', '=', start.id)
      // A process may have died during an exchange: that must not block another try.
      .where('state', 'in', ['open', 'started', 'exchanging'])
      .where((where) => where.or([where('browser_hash', 'is', null), where('browser_hash', '=', start.browserHash)]))
      .where('starts', '<', start.startsMax)
      .where('expires_at', '>', tx.now)
      .$call(changedOne)
  );
}

/** Takes a session for the exchange of one code. Of several callbacks that arrive at once, one gets it. */
export async function claimConnectSession(tx: WriteTx, claim: Started & { browserHash: string }): Promise<boolean> {
  return tx
    .updateTable('grantry_connect_sessions')
    .set({ state: 'exchanging' })
    .where('tenant', '=', claim.tenant)
    .where('id', '=', claim.id)
    .where('state', '=', 'started')
    .where('starts', '=', claim.starts)
    .where('browser_hash', '=', claim.browserHash)
    .$call(changedOne);
}

/** Returns a session whose browser came back without a grant: it can be tried again until it ends. */
export async function returnConnectSession(tx: WriteTx, back: Started & { error: string }): Promise<boolean> {
  return tx
    .updateTable('grantry_connect_sessions')
    .set({ state: 'started', error: back.error })
    .where('tenant', '=', back.tenant)
    .where('id', '=', back.id)
    .where('state', '=', 'exchanging')
    .where('starts', '=', back.starts)
    .$call(changedOne);
}

/** Keeps sealed tokens for the completion code. Returns false when the session has changed meanwhile. */
export async function holdConnectSession(
  tx: WriteTx,
  held: Started & { pending: string; completionHash: string; granted: string; lifeMs: number },
): Promise<boolean> {
  const { tenant, id, starts, lifeMs, completionHash: completion_hash, ...columns } = held;
  return tx
    .updateTable('grantry_connect_sessions')
    .set({ ...columns, completion_hash, state: 'pending', error: null, expires_at: sql<number>`${tx.now} + ${lifeMs}` })
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('state', '=', 'exchanging')
    .where('starts', '=', starts)
    .$call(changedOne);
}

/** Ends a session with a grant, in the transaction that stores it. Returns false when the session has ended otherwise. */
export async function completeConnectSession(
  tx: WriteTx,
  completed: Started & { from: 'exchanging' | 'pending'; granted: string },
): Promise<boolean> {
  return (
    tx
      .updateTable('grantry_connect_sessions')
      .set({ state: 'completed', error: null, pending: null, granted: completed.granted, completed_at: tx.now })
      .where('tenant', '=', completed.tenant)
      .where('id', '=', completed.id)
      .where('state', '=', completed.from)
      .where('starts', '=', completed.starts)
      // Only tokens that waited for their code have a deadline.
      .$if(completed.from === 'pending', (query) => query.where('expires_at', '>', tx.now))
      .$call(changedOne)
  );
}

/** Ends a session without a grant and shreds its tokens. The caller has queued them for revocation. */
export async function failConnectSession(tx: WriteTx, failed: Place & { error: string }): Promise<boolean> {
  return tx
    .updateTable('grantry_connect_sessions')
    .set({ state: 'failed', error: failed.error, pending: null })
    .where('tenant', '=', failed.tenant)
    .where('id', '=', failed.id)
    .where('state', '=', 'pending')
    .$call(changedOne);
}

/** Lists sessions whose tokens were not claimed in time, of all tenants. */
export async function listUnclaimedConnectSessions(db: Reader, limit: number): Promise<ConnectSessionRow[]> {
  return (
    db
      .selectFrom('grantry_connect_sessions')
      .selectAll()
      .where('state', '=', 'pending')
      // As a subquery the clock is read once, and the index on the expiry can serve.
      .where('expires_at', '<=', sql<number>`(select ${db.now})`)
      .orderBy('expires_at')
      .limit(limit)
      .execute()
  );
}

/** Deletes sessions that ended more than `keptMs` ago, with their authorization requests. */
export async function purgeConnectSessions(tx: WriteTx, keptMs: number): Promise<number> {
  return tx
    .deleteFrom('grantry_connect_sessions')
    .where('state', '<>', 'pending')
    .where('expires_at', '<=', sql<number>`(select ${tx.now} - ${keptMs})`)
    .$call(changedRows);
}

/** Tells whether a session of that app is open for a tenant: tokens may be on their way, or wait for their code. */
export async function isConnecting(
  db: Reader,
  of: { tenant: string; provider: string; app: string | null },
): Promise<boolean> {
  return db
    .selectFrom('grantry_connect_sessions')
    .select('id')
    .where('tenant', '=', of.tenant)
    .where('provider', '=', of.provider)
    .$if(of.app !== null, (query) => query.where('app', '=', of.app ?? ''))
    .where('state', 'in', ['exchanging', 'pending'])
    .where('expires_at', '>', db.now)
    .$call(findsOne);
}

/** Counts the sessions of a tenant that hold sealed tokens. */
export async function countPendingConnectSessions(db: Reader, tenant: string): Promise<number> {
  return db
    .selectFrom('grantry_connect_sessions')
    .where('tenant', '=', tenant)
    .where('state', '=', 'pending')
    .$call(countRows);
}
