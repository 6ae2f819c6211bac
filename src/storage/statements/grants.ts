import { type Selectable } from 'kysely';
import type { CheckedKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { userIn } from '../consent-user.ts';
import { changedOne, countRows, type Reader, type WriteTx } from '../database.ts';
import type { GrantState, GrantTable } from '../schema.ts';

export type GrantRow = Selectable<GrantTable>;

/** A grant without its sealed columns, as lists show it. */
export type GrantSummary = Omit<GrantRow, 'access_token' | 'refresh_token'>;

/** Reads a row's metadata. What is no JSON object was not written by Grantry, and reads as an empty one. */
export function metadataOf(row: Pick<GrantRow, 'metadata'>): Record<string, unknown> {
  try {
    const metadata: unknown = JSON.parse(row.metadata);
    return typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata) ? { ...metadata } : {};
  } catch {
    return {};
  }
}

/** The scopes of a row. */
export function scopesOfRow({ scopes }: Pick<GrantRow, 'scopes'>): string[] {
  return scopes === '' ? [] : scopes.split(',');
}

export const summaryColumns = [
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
  'consented_at',
  'consent_user',
] as const satisfies readonly (keyof GrantSummary)[];

export const grantColumns = [...summaryColumns, 'access_token', 'refresh_token'] as const;

/** The columns of a grant that no process holds. */
export const clearedLease = { lease_owner: null, lease_until: null } as const;

/** The columns of a grant about which nothing is in doubt and nothing waits. */
export const settled = { ...clearedLease, doubt_since: null, retry_at: null, overlap_until: null } as const;

/** Finds a tenant's grant by its key, also a disconnected one. */
export async function findGrant(db: Reader, key: CheckedKey): Promise<GrantRow | undefined> {
  return db
    .selectFrom('oauth_tokens')
    .select(grantColumns)
    .where('client_id', '=', key.tenant)
    .where('provider', '=', key.provider)
    .where('account', '=', key.account)
    .executeTakeFirst();
}

/** Reads a tenant's grant by its id. */
export async function readGrant(db: Reader, tenant: string, id: string): Promise<GrantRow | undefined> {
  return db
    .selectFrom('oauth_tokens')
    .select(grantColumns)
    .where('client_id', '=', tenant)
    .where('id', '=', id)
    .executeTakeFirst();
}

/** Reads a tenant's grant and keeps others from changing it until the transaction ends. */
export async function lockGrant(tx: WriteTx, tenant: string, id: string): Promise<GrantRow | undefined> {
  const query = tx.selectFrom('oauth_tokens').select(grantColumns).where('client_id', '=', tenant).where('id', '=', id);
  return tx.locked(query).executeTakeFirst();
}

/** Reads what tells a waiter that another process's refresh has ended. */
export async function peekGrant(
  db: Reader,
  tenant: string,
  id: string,
): Promise<
  (Pick<GrantRow, 'generation' | 'state' | 'lease_owner' | 'lease_until' | 'retry_at'> & { now: number }) | undefined
> {
  return db
    .selectFrom('oauth_tokens')
    .select(['generation', 'state', 'lease_owner', 'lease_until', 'retry_at', db.now.as('now')])
    .where('client_id', '=', tenant)
    .where('id', '=', id)
    .executeTakeFirst();
}

/** The columns that a new authorization brings, and the time of its arrival. */
export type NewAuthorization = Pick<
  GrantRow,
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
> & {
  /** Left out by a consent that goes on with the stored refresh token, unless it names the user. */
  consented_at?: number;
  consent_user?: string | null;
  at: string;
  /** The generation of an authorization that goes on; the new one's own when left out. */
  authorized_generation?: number;
};

export type NewGrant = NewAuthorization & Pick<GrantRow, 'id' | 'client_id' | 'provider' | 'account'>;

/** The columns that a new authorization decides; the grant is active at once. */
function authorized<G extends NewAuthorization>(tx: WriteTx, { at, ...columns }: G) {
  return {
    ...columns,
    ...settled,
    updated_at: at,
    state: 'active' as const,
    reason: null,
    authorized_generation: columns.authorized_generation ?? columns.generation,
    last_refreshed_at: null,
    changed_at: tx.changeMark,
    condemned_at: null,
  };
}

/** Inserts a grant that is active at once. Returns false when the key is taken. */
export async function insertGrant(tx: WriteTx, grant: NewGrant): Promise<boolean> {
  return tx
    .insertInto('oauth_tokens')
    .values({ ...authorized(tx, grant), created_at: grant.at, lease_fence: 0, used_at: null })
    .onConflict((conflict) => conflict.columns(['client_id', 'provider', 'account']).doNothing())
    .$call(changedOne);
}

/**
 * Puts a new authorization's tokens into an existing row, also a disconnected one. Returns false when the row has changed
 * since it was read.
 *
 * The fence grows, so that a refresh in flight for the old authorization loses its lease and cannot overwrite the new one.
 */
export async function replaceAuthorization(
  tx: WriteTx,
  seen: Pick<GrantRow, 'client_id' | 'id' | 'generation' | 'lease_fence'>,
  authorization: NewAuthorization,
): Promise<boolean> {
  return tx
    .updateTable('oauth_tokens')
    .set({ ...authorized(tx, authorization), lease_fence: seen.lease_fence + 1 })
    .where('client_id', '=', seen.client_id)
    .where('id', '=', seen.id)
    .where('generation', '=', seen.generation)
    .where('lease_fence', '=', seen.lease_fence)
    .$call(changedOne);
}

/** The columns that a consent without a refresh token brings. Tokens are sealed for the generation. */
export type RenewedAccess = Omit<NewAuthorization, 'app' | 'refresh_fingerprint' | 'due_at'> &
  Partial<Pick<GrantRow, 'due_at' | 'state' | 'reason' | 'condemned_at'>>;

/**
 * Gives a grant a new access token beside its refresh token. Lease, doubts, candidates and the authorization stay. Returns
 * false when the row has changed since it was read.
 */
export async function renewAccess(
  tx: WriteTx,
  seen: Pick<GrantRow, 'client_id' | 'id' | 'generation' | 'lease_fence' | 'state'>,
  { at, ...columns }: RenewedAccess,
): Promise<boolean> {
  return tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      ...columns,
      updated_at: at,
      changed_at: tx.changeMark,
      ...(columns.state === 'suspect'
        ? { doubt_since: column.fn.coalesce('doubt_since', tx.now), retry_at: null, due_at: tx.now }
        : {}),
    }))
    .where('client_id', '=', seen.client_id)
    .where('id', '=', seen.id)
    .where('generation', '=', seen.generation)
    .where('lease_fence', '=', seen.lease_fence)
    .where('state', '=', seen.state)
    .$call(changedOne);
}

/**
 * Disconnects a grant: removes its tokens, keeps its generation and advances the fence, so that no refresh in flight can
 * bring it back. Returns false when there is no such grant, or it is disconnected already.
 */
export async function markDisconnected(
  tx: WriteTx,
  grant: { tenant: string; grantId: string; reason: string; at: string },
): Promise<boolean> {
  return tx
    .updateTable('oauth_tokens')
    .set((row) => ({
      access_token: null,
      refresh_token: null,
      token_expiry: null,
      refresh_fingerprint: null,
      state: 'disconnected' as const,
      reason: grant.reason,
      updated_at: grant.at,
      changed_at: tx.changeMark,
      ...settled,
      due_at: null,
      lease_fence: row('lease_fence', '+', 1),
    }))
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.grantId)
    .where('state', '!=', 'disconnected')
    .$call(changedOne);
}

/**
 * Replaces a grant's metadata, and its scopes when given. The caller has locked the row and merged the members: each engine
 * merges JSON in its own way.
 */
export async function updateMetadata(
  tx: WriteTx,
  grant: { tenant: string; id: string; at: string },
  news: { metadata: Readonly<Record<string, unknown>>; scopes?: string },
): Promise<boolean> {
  const consent_user = userIn(news.metadata);
  return tx
    .updateTable('oauth_tokens')
    .set({
      metadata: JSON.stringify(news.metadata),
      updated_at: grant.at,
      changed_at: tx.changeMark,
      ...(consent_user === null ? {} : { consent_user }),
      ...(news.scopes === undefined ? {} : { scopes: news.scopes }),
    })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .$call(changedOne);
}

export interface GrantListFilter {
  tenant?: string | undefined;
  /** An empty list matches no grant. */
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
export async function listGrants(db: Reader, filter: GrantListFilter): Promise<GrantSummary[]> {
  const { tenant, tenants, provider, providers, state, updatedSince, after } = filter;
  if (tenants?.length === 0 || providers?.length === 0) return [];
  let query = db.selectFrom('oauth_tokens').select(summaryColumns);
  if (tenant !== undefined) query = query.where('client_id', '=', tenant);
  if (tenants !== undefined) query = query.where('client_id', 'in', [...tenants]);
  if (provider !== undefined) query = query.where('provider', '=', provider);
  if (providers !== undefined) query = query.where('provider', 'in', [...providers]);
  // Written as NOT (state <> 'active') so that SQLite uses the index of the key, which avoids a sort.
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
  db: Reader,
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

/** The columns that name a grant. */
const nameColumns = ['id', 'client_id', 'provider', 'account'] as const;

export type GrantName = Pick<GrantRow, (typeof nameColumns)[number]>;

/** Finds the grants of all tenants that hold a refresh token: one user may have given it to several of them. */
export async function grantsWithRefreshToken(db: Reader, fingerprint: string): Promise<GrantName[]> {
  return db
    .selectFrom('oauth_tokens')
    .select(nameColumns)
    .where('refresh_fingerprint', '=', fingerprint)
    .limit(limits.grantsNamedMax)
    .execute();
}

/** Names the app that refreshes a grant from now on. Returns false for a disconnected grant. */
export async function bindApp(tx: WriteTx, grant: { tenant: string; id: string; app: string }): Promise<boolean> {
  return (
    tx
      .updateTable('oauth_tokens')
      // A token in memory carries its app: calls go where the app says.
      .set({ app: grant.app, changed_at: tx.changeMark })
      .where('client_id', '=', grant.tenant)
      .where('id', '=', grant.id)
      .where('state', '!=', 'disconnected')
      .$call(changedOne)
  );
}

/** Replaces the seals of a grant's tokens. The tokens stay, so no process needs to read them again. */
export async function resealGrant(
  tx: WriteTx,
  grant: { tenant: string; id: string },
  seals: Pick<GrantRow, 'access_token' | 'refresh_token'>,
): Promise<void> {
  await tx
    .updateTable('oauth_tokens')
    .set(seals)
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .execute();
}

/**
 * Finds the grants of an app, of all tenants: one user may have consented for several. A grant without an app counts, a
 * disconnected one does not.
 */
export async function grantsOfApp(
  db: Reader,
  { provider, app }: { provider: string; app: string | null },
): Promise<GrantName[]> {
  return db
    .selectFrom('oauth_tokens')
    .select(nameColumns)
    .where('provider', '=', provider)
    .$if(app !== null, (query) => query.where((where) => where.or([where('app', '=', app), where('app', 'is', null)])))
    .where('state', '!=', 'disconnected')
    .limit(limits.grantsNamedMax)
    .execute();
}

/** Counts the grants of a tenant, without disconnected ones. */
export async function countGrantsOfTenant(db: Reader, tenant: string): Promise<number> {
  return db
    .selectFrom('oauth_tokens')
    .where('client_id', '=', tenant)
    .where('state', '!=', 'disconnected')
    .$call(countRows);
}
