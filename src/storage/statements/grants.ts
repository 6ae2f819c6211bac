import type { Kysely, RawBuilder, Selectable } from 'kysely';
import type { CheckedKey } from '../../base/ids.ts';
import type { GrantState, GrantTable, Schema } from '../schema.ts';

export type GrantRow = Selectable<GrantTable>;

/** A grant without its sealed columns, as lists show it. */
export type GrantSummary = Omit<GrantRow, 'access_token' | 'refresh_token'>;

/** A row's metadata. */
export function metadataOf(row: Pick<GrantRow, 'metadata'>): Record<string, unknown> {
  // The column holds a JSON object: it is checked on its way in.
  return JSON.parse(row.metadata) as Record<string, unknown>;
}

const summaryColumns = [
  'id',
  'client_id',
  'provider',
  'account',
  'token_expiry',
  'scopes',
  'metadata',
  'created_at',
  'updated_at',
  'app',
  'state',
  'reason',
  'generation',
  'authorized_generation',
  'token_type',
  'obtained_at',
  'last_refreshed_at',
  'changed_at',
  'refresh_fingerprint',
  'doubt_since',
  'retry_at',
  'overlap_until',
  'lease_owner',
  'lease_until',
  'lease_fence',
  'condemned_at',
  'used_at',
  'due_at',
] as const satisfies readonly (keyof GrantSummary)[];

const allColumns = [...summaryColumns, 'access_token', 'refresh_token'] as const;

/** Finds a tenant's grant by its key, tombstones included. */
export async function findGrant(db: Kysely<Schema>, key: CheckedKey): Promise<GrantRow | undefined> {
  return db
    .selectFrom('oauth_tokens')
    .select(allColumns)
    .where('client_id', '=', key.tenant)
    .where('provider', '=', key.provider)
    .where('account', '=', key.account)
    .executeTakeFirst();
}

/** Reads a tenant's grant by its id. */
export async function readGrant(db: Kysely<Schema>, tenant: string, id: string): Promise<GrantRow | undefined> {
  return db
    .selectFrom('oauth_tokens')
    .select(allColumns)
    .where('client_id', '=', tenant)
    .where('id', '=', id)
    .executeTakeFirst();
}

/**
 * Reads a tenant's grant and keeps others from changing it until the transaction ends.
 *
 * In SQLite every transaction of ours is `BEGIN IMMEDIATE` and holds the only write lock already.
 */
export async function lockGrant(
  tx: Kysely<Schema>,
  kind: 'sqlite' | 'postgres',
  tenant: string,
  id: string,
): Promise<GrantRow | undefined> {
  const query = tx.selectFrom('oauth_tokens').select(allColumns).where('client_id', '=', tenant).where('id', '=', id);
  return (kind === 'postgres' ? query.forUpdate() : query).executeTakeFirst();
}

/** What a waiter looks at to learn whether somebody else's refresh has ended. */
export async function peekGrant(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  tenant: string,
  id: string,
): Promise<
  (Pick<GrantRow, 'generation' | 'state' | 'lease_owner' | 'lease_until' | 'retry_at'> & { now: number }) | undefined
> {
  return db
    .selectFrom('oauth_tokens')
    .select(['generation', 'state', 'lease_owner', 'lease_until', 'retry_at', now.as('now')])
    .where('client_id', '=', tenant)
    .where('id', '=', id)
    .executeTakeFirst();
}

export type NewGrant = Pick<
  GrantRow,
  | 'id'
  | 'client_id'
  | 'provider'
  | 'account'
  | 'access_token'
  | 'refresh_token'
  | 'token_expiry'
  | 'scopes'
  | 'metadata'
  | 'app'
  | 'generation'
  | 'token_type'
  | 'obtained_at'
  | 'refresh_fingerprint'
  | 'due_at'
> & { at: string };

/** Inserts a grant that is active at once. Returns false when the key is taken. */
export async function insertGrant(db: Kysely<Schema>, now: RawBuilder<number>, grant: NewGrant): Promise<boolean> {
  const { at, ...columns } = grant;
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('oauth_tokens')
    .values({
      ...columns,
      created_at: at,
      updated_at: at,
      state: 'active',
      reason: null,
      authorized_generation: grant.generation,
      last_refreshed_at: null,
      changed_at: now,
      doubt_since: null,
      retry_at: null,
      overlap_until: null,
      lease_owner: null,
      lease_until: null,
      lease_fence: 0,
      condemned_at: null,
      used_at: null,
    })
    .onConflict((conflict) => conflict.columns(['client_id', 'provider', 'account']).doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

/**
 * Puts a new authorization's tokens into an existing row, tombstones included. Returns false when the row changed since
 * it was read.
 *
 * The fence grows, so that a refresh which is in flight for the old authorization loses its lease and cannot overwrite
 * the new one.
 */
export async function replaceAuthorization(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  seen: Pick<GrantRow, 'client_id' | 'id' | 'generation' | 'lease_fence'>,
  grant: Omit<NewGrant, 'id' | 'client_id' | 'provider' | 'account'>,
): Promise<boolean> {
  const { at, ...columns } = grant;
  const { numUpdatedRows } = await db
    .updateTable('oauth_tokens')
    .set({
      ...columns,
      updated_at: at,
      state: 'active',
      reason: null,
      authorized_generation: grant.generation,
      last_refreshed_at: null,
      changed_at: now,
      doubt_since: null,
      retry_at: null,
      overlap_until: null,
      lease_owner: null,
      lease_until: null,
      lease_fence: seen.lease_fence + 1,
      condemned_at: null,
    })
    .where('client_id', '=', seen.client_id)
    .where('id', '=', seen.id)
    .where('generation', '=', seen.generation)
    .where('lease_fence', '=', seen.lease_fence)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/**
 * Turns a grant into a tombstone: no tokens, the generation kept and the fence advanced, so that nothing which is in
 * flight can bring it back. Returns false when there is no such grant, or it is a tombstone already.
 */
export async function entombGrant(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  grant: { tenant: string; id: string; reason: string; at: string },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('oauth_tokens')
    .set((row) => ({
      access_token: null,
      refresh_token: null,
      token_expiry: null,
      refresh_fingerprint: null,
      state: 'disconnected' as const,
      reason: grant.reason,
      updated_at: grant.at,
      changed_at: now,
      doubt_since: null,
      retry_at: null,
      overlap_until: null,
      lease_owner: null,
      lease_until: null,
      due_at: null,
      lease_fence: row('lease_fence', '+', 1),
    }))
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .where('state', '!=', 'disconnected')
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/**
 * Writes what is known of a grant beside its tokens; what is left out stays. The row is locked, so that nobody's members
 * are lost: both engines can merge JSON, and each does it in a way of its own.
 */
export async function describeAnew(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  grant: { tenant: string; id: string; at: string },
  news: { metadata: Readonly<Record<string, unknown>>; scopes?: string },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('oauth_tokens')
    .set({
      metadata: JSON.stringify(news.metadata),
      updated_at: grant.at,
      changed_at: now,
      ...(news.scopes === undefined ? {} : { scopes: news.scopes }),
    })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

export interface GrantListFilter {
  tenant?: string | undefined;
  /** Of none of them when empty. */
  tenants?: readonly string[] | undefined;
  provider?: string | undefined;
  providers?: readonly string[] | undefined;
  state?: GrantState | undefined;
  updatedSince?: string | undefined;
  /** The last row of the page before. */
  after?: { tenant: string; provider: string; account: string } | undefined;
  limit: number;
}

/** Lists grants in the order of their keys. */
export async function listGrants(db: Kysely<Schema>, filter: GrantListFilter): Promise<GrantSummary[]> {
  const { tenant, tenants, provider, providers, state, updatedSince, after } = filter;
  if (tenants?.length === 0 || providers?.length === 0) return [];
  let query = db.selectFrom('oauth_tokens').select(summaryColumns);
  if (tenant !== undefined) query = query.where('client_id', '=', tenant);
  if (tenants !== undefined) query = query.where('client_id', 'in', [...tenants]);
  if (provider !== undefined) query = query.where('provider', '=', provider);
  if (providers !== undefined) query = query.where('provider', 'in', [...providers]);
  // Nearly all are active. Said like this it keeps SQLite from the index of states, and from sorting what that finds.
  if (state === 'active') query = query.where((where) => where.not(where('state', '<>', state)));
  else if (state !== undefined) query = query.where('state', '=', state);
  if (updatedSince !== undefined) query = query.where('updated_at', '>=', updatedSince);
  if (after !== undefined) {
    query = query.where((where) =>
      where(
        where.refTuple('client_id', 'provider', 'account'),
        '>',
        where.tuple(after.tenant, after.provider, after.account),
      ),
    );
  }
  return query.orderBy('client_id').orderBy('provider').orderBy('account').limit(filter.limit).execute();
}

/** The grants that changed at or after a time of the database's clock, oldest change first. */
export async function grantsChangedSince(
  db: Kysely<Schema>,
  changedAt: number,
  limit: number,
): Promise<Pick<GrantRow, 'client_id' | 'provider' | 'account' | 'generation' | 'state' | 'changed_at'>[]> {
  return db
    .selectFrom('oauth_tokens')
    .select(['client_id', 'provider', 'account', 'generation', 'state', 'changed_at'])
    .where('changed_at', '>=', changedAt)
    .orderBy('changed_at')
    .limit(limit)
    .execute();
}

/** The keys of all grants that hold a refresh token, whatever tenant they belong to. For reports only. */
export async function grantsWithRefreshToken(
  db: Kysely<Schema>,
  fingerprint: string,
): Promise<Pick<GrantRow, 'id' | 'client_id' | 'provider' | 'account'>[]> {
  return db
    .selectFrom('oauth_tokens')
    .select(['id', 'client_id', 'provider', 'account'])
    .where('refresh_fingerprint', '=', fingerprint)
    .limit(20)
    .execute();
}

/** Lets every grant of an app try again at once: what held them back may just have been fixed. */
export async function clearBackOff(db: Kysely<Schema>, app: string): Promise<void> {
  await db
    .updateTable('oauth_tokens')
    .set({ retry_at: null })
    .where('app', '=', app)
    .where('state', 'in', ['active', 'uncertain'])
    .where('retry_at', 'is not', null)
    .execute();
}

/** Names the app that a grant is refreshed with from now on. Returns false for a tombstone. */
export async function bindApp(
  db: Kysely<Schema>,
  grant: { tenant: string; id: string; app: string },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('oauth_tokens')
    .set({ app: grant.app })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .where('state', '!=', 'disconnected')
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** How many grants, tombstones not counted, use an app. */
export async function countGrantsOfApp(db: Kysely<Schema>, app: string): Promise<number> {
  const { count } = await db
    .selectFrom('oauth_tokens')
    .select(({ fn }) => fn.countAll<number | string | bigint>().as('count'))
    .where('app', '=', app)
    .where('state', '!=', 'disconnected')
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Whether a tenant may have a grant at a provider by that app: one without an app counts for each; tombstones do not. */
export async function hasGrantOfApp(
  db: Kysely<Schema>,
  { tenant, provider, app }: { tenant: string; provider: string; app: string | null },
): Promise<boolean> {
  const row = await db
    .selectFrom('oauth_tokens')
    .select('id')
    .where('client_id', '=', tenant)
    .where('provider', '=', provider)
    .$if(app !== null, (query) => query.where((where) => where.or([where('app', '=', app), where('app', 'is', null)])))
    .where('state', '!=', 'disconnected')
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Whether anybody has a grant at a provider; tombstones do not count. */
export async function hasGrantAt(db: Kysely<Schema>, provider: string): Promise<boolean> {
  const row = await db
    .selectFrom('oauth_tokens')
    .select('id')
    .where('provider', '=', provider)
    .where('state', '!=', 'disconnected')
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** How many grants of a tenant are left, tombstones not counted. */
export async function countGrantsOfTenant(db: Kysely<Schema>, tenant: string): Promise<number> {
  const { count } = await db
    .selectFrom('oauth_tokens')
    .select(({ fn }) => fn.countAll<number | string | bigint>().as('count'))
    .where('client_id', '=', tenant)
    .where('state', '!=', 'disconnected')
    .executeTakeFirstOrThrow();
  return Number(count);
}
