import { type Selectable, sql } from 'kysely';
import { changedOne, changedRows, clockOf, countRows, findsOne, type Reader, type WriteTx } from '../database.ts';
import { intact, type Listed, marked, onlyIntact } from '../row-seal.ts';
import type { ConnectSessionTable } from '../schema.ts';

export type ConnectSessionRow = Omit<Selectable<ConnectSessionTable>, 'mac'>;

const table = 'grantry_connect_sessions';

export type NewConnectSession = Pick<
  ConnectSessionRow,
  | 'id'
  | 'tenant'
  | 'token_hash'
  | 'provider'
  | 'account'
  | 'app'
  | 'scopes'
  | 'adds'
  | 'return_to'
  | 'user_id'
  | 'environment'
  | 'expect_organization'
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
  const { lifeMs, ...given } = session;
  const now = await clockOf(tx);
  const row = { ...given, state: 'open' as const, starts: 0, created_at: now, expires_at: now + lifeMs };
  await tx
    .insertInto(table)
    .values({ ...row, mac: tx.rows.mac(table, row) })
    .execute();
}

/**
 * Finds a session by its id. Callers with a key for all tenants ask only by the id.
 *
 * @throws {GrantryError} `integrity_failed`
 */
export async function findConnectSession(db: Reader, id: string): Promise<ConnectSessionRow | undefined> {
  const found = await db.selectFrom(table).selectAll().where('id', '=', id).executeTakeFirst();
  return intact(db, table, found);
}

/** Finds the session of a link. The browser knows no tenant: the token, 256 random bits, names the row. */
export async function findConnectSessionByToken(db: Reader, tokenHash: string): Promise<ConnectSessionRow | undefined> {
  const found = await db.selectFrom(table).selectAll().where('token_hash', '=', tokenHash).executeTakeFirst();
  return intact(db, table, found);
}

/** Lists sessions, newest first, after the last one of the page before. Altered ones are marked. */
export async function listConnectSessions(
  db: Reader,
  filter: {
    tenant?: string | undefined;
    /** Only sessions of these tenants; of none when empty. */
    tenants?: readonly string[] | undefined;
    providers?: readonly string[] | undefined;
    after?: { createdAt: number; id: string } | undefined;
    limit: number;
  },
): Promise<Listed<ConnectSessionRow>[]> {
  const { tenant, tenants, providers, after, limit } = filter;
  if (tenants?.length === 0 || providers?.length === 0) return [];
  const found = await db
    .selectFrom(table)
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
  return marked(db, table, found);
}

/**
 * Binds a session to the browser that first presses its button, and gives it at least `lifeMs` from now. Returns false when
 * it is bound to another browser, is over, or was started too often.
 */
export async function startConnectSession(
  tx: WriteTx,
  start: Place & { browserHash: string; lifeMs: number; startsMax: number },
): Promise<boolean> {
  const { tenant, id, browserHash, lifeMs, startsMax } = start;
  return change(
    tx,
    { tenant, id },
    (row, now) =>
      // A process may have died during an exchange: that must not block another try.
      ['open', 'started', 'exchanging'].includes(row.state) &&
      (row.browser_hash === null || row.browser_hash === browserHash) &&
      row.starts < startsMax &&
      row.expires_at > now,
    (row, now) => ({
      state: 'started',
      browser_hash: browserHash,
      starts: row.starts + 1,
      expires_at: Math.max(row.expires_at, now + lifeMs),
    }),
  );
}

/** Takes a session for the exchange of one code. Of several callbacks that arrive at once, one gets it. */
export async function claimConnectSession(tx: WriteTx, claim: Started & { browserHash: string }): Promise<boolean> {
  return change(
    tx,
    claim,
    (row) => isStart(row, claim, 'started') && row.browser_hash === claim.browserHash,
    () => ({ state: 'exchanging' }),
  );
}

/** Returns a session whose browser came back without a grant: it can be tried again until it ends. */
export async function returnConnectSession(tx: WriteTx, back: Started & { error: string }): Promise<boolean> {
  return change(
    tx,
    back,
    (row) => isStart(row, back, 'exchanging'),
    () => ({ state: 'started', error: back.error }),
  );
}

/** The `granted` of a session that waits without tokens: it adds scopes to a token that its grant has. */
export const nothingGranted = 'null';

/** Keeps sealed tokens for the completion code. Returns false when the session has changed meanwhile. */
export async function holdConnectSession(
  tx: WriteTx,
  held: Started & { pending: string; completionHash: string; granted: string; lifeMs: number },
): Promise<boolean> {
  const { pending, granted, completionHash: completion_hash, lifeMs } = held;
  return change(
    tx,
    held,
    (row) => isStart(row, held, 'exchanging'),
    (_, now) => ({ pending, granted, completion_hash, state: 'pending', error: null, expires_at: now + lifeMs }),
  );
}

/** Ends a session with a grant, in the transaction that stores it. Returns false when the session has ended otherwise. */
export async function completeConnectSession(
  tx: WriteTx,
  completed: Started & { from: 'exchanging' | 'pending'; granted: string },
): Promise<boolean> {
  const { from, granted } = completed;
  return change(
    tx,
    completed,
    // Only tokens that waited for their code have a deadline.
    (row, now) => isStart(row, completed, from) && (from !== 'pending' || row.expires_at > now),
    (_, now) => ({ state: 'completed', error: null, pending: null, granted, completed_at: now }),
  );
}

/** Ends a session without a grant and shreds its tokens. The caller has queued them for revocation. */
export async function failConnectSession(tx: WriteTx, failed: Place & { error: string }): Promise<boolean> {
  return change(
    tx,
    failed,
    (row) => row.state === 'pending',
    () => ({ state: 'failed', error: failed.error, pending: null }),
  );
}

/**
 * Changes a session that is as expected, and writes its new MAC. Returns false for any other session.
 *
 * @throws {GrantryError} `integrity_failed`
 */
async function change(
  tx: WriteTx,
  { tenant, id }: Place,
  isExpected: (row: ConnectSessionRow, now: number) => boolean,
  changesOf: (row: ConnectSessionRow, now: number) => Partial<ConnectSessionRow>,
): Promise<boolean> {
  const query = tx.selectFrom(table).selectAll().where('tenant', '=', tenant).where('id', '=', id);
  const row = await intact(tx, table, await tx.locked(query).executeTakeFirst());
  if (row === undefined) return false;
  const now = await clockOf(tx);
  if (!isExpected(row, now)) return false;
  const changes = changesOf(row, now);
  const mac = tx.rows.mac(table, { ...row, ...changes });
  const update = tx.updateTable(table).set({ ...changes, mac });
  return changedOne(update.where('tenant', '=', tenant).where('id', '=', id));
}

function isStart(row: ConnectSessionRow, { starts }: Started, state: ConnectSessionRow['state']): boolean {
  return row.state === state && row.starts === starts;
}

/** Lists sessions whose tokens were not claimed in time, of all tenants. Altered ones are passed over. */
export async function listUnclaimedConnectSessions(db: Reader, limit: number): Promise<ConnectSessionRow[]> {
  const unclaimed = db
    .selectFrom(table)
    .selectAll()
    .where('state', '=', 'pending')
    // As a subquery the clock is read once, and the index on the expiry can serve.
    .where('expires_at', '<=', sql<number>`(select ${db.now})`)
    .orderBy('expires_at')
    .orderBy('id');
  // Altered rows stay where they are, and must not keep the others from their turn.
  for (let offset = 0; ; offset += limit) {
    const found = await unclaimed.limit(limit).offset(offset).execute();
    const kept = await onlyIntact(db, table, found);
    if (kept.length > 0 || found.length < limit) return kept;
  }
}

/** Deletes sessions that ended more than `keptMs` ago, with their authorization requests. */
export async function purgeConnectSessions(tx: WriteTx, keptMs: number): Promise<number> {
  return tx
    .deleteFrom(table)
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
    .selectFrom(table)
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
  return db.selectFrom(table).where('tenant', '=', tenant).where('state', '=', 'pending').$call(countRows);
}
