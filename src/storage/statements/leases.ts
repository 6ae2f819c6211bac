import type { Kysely, RawBuilder } from 'kysely';
import { sql } from 'kysely';
import type { GrantState, Schema } from '../schema.ts';
import type { GrantRow } from './grants.ts';

/** The right to spend a grant's refresh token, as its holder remembers it. */
export interface Lease {
  readonly tenant: string;
  readonly grantId: string;
  /** The generation whose refresh token may be spent. */
  readonly generation: number;
  readonly owner: string;
  readonly fence: number;
}

/** The row as the claimant read it: what was decided from it holds only as long as it stands. */
export type SeenGrant = Pick<GrantRow, 'client_id' | 'id' | 'generation' | 'state' | 'lease_fence'>;

/** A lease whose owner is dead, and how much of it need not be waited for. */
export interface WaivedLease {
  readonly owner: string;
  readonly ms: number;
}

/**
 * Claims the lease of a grant if nobody holds it and nobody has claimed it since the row was read: whoever did may have
 * been refused in between, and what he wrote about the next try must be read first. Returns the new fence, or undefined
 * when the row is not to be had.
 *
 * The end of the lease is written and compared by the database's clock alone: clocks of two hosts never meet. Of a lease
 * whose owner is dead, so much need not be waited for as `waived` says. A holder who dies leaves the grant due at the end of
 * the lease, so that workers ask again even if nobody else does; `overlapMs` says for how long the token that is about to be
 * spent may be tried again.
 */
export async function claimLease(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  claim: {
    seen: SeenGrant;
    owner: string;
    leaseMs: number;
    overlapMs: number | null;
    waived?: WaivedLease | undefined;
  },
): Promise<number | undefined> {
  const { seen, overlapMs, waived } = claim;
  const leaseEnd = sql<number>`${now} + ${claim.leaseMs}`;
  const row = await tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      lease_owner: claim.owner,
      lease_until: leaseEnd,
      lease_fence: column('lease_fence', '+', 1),
      due_at: leaseEnd,
      ...(overlapMs === null
        ? {}
        : { overlap_until: column.fn.coalesce('overlap_until', sql<number>`${now} + ${overlapMs}`) }),
    }))
    .where('client_id', '=', seen.client_id)
    .where('id', '=', seen.id)
    .where('generation', '=', seen.generation)
    .where('state', '=', seen.state)
    .where('lease_fence', '=', seen.lease_fence)
    .where((column) =>
      column.or([
        column('lease_until', 'is', null),
        column('lease_until', '<', now),
        ...(waived === undefined
          ? []
          : [
              column.and([
                column('lease_owner', '=', waived.owner),
                column('lease_until', '<', sql<number>`${now} + ${waived.ms}`),
              ]),
            ]),
      ]),
    )
    .returning('lease_fence')
    .executeTakeFirst();
  return row?.lease_fence;
}

/** Moves the end of a lease that is still ours. Returns false when somebody else has claimed since. */
export async function renewLease(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  lease: Lease,
  leaseMs: number,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('oauth_tokens')
    .set({ lease_until: sql<number>`${now} + ${leaseMs}`, due_at: sql<number>`${now} + ${leaseMs}` })
    .where('client_id', '=', lease.tenant)
    .where('id', '=', lease.grantId)
    .where('lease_fence', '=', lease.fence)
    .where('lease_owner', '=', lease.owner)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

export type SavedTokens = Pick<
  GrantRow,
  'access_token' | 'refresh_token' | 'token_expiry' | 'token_type' | 'obtained_at' | 'refresh_fingerprint' | 'due_at'
> & { at: string; atMs: number; scopes?: string | undefined };

/**
 * Saves refreshed tokens as the next generation and ends the lease, if the lease still holds and the generation is
 * still the one that was spent. Returns false when somebody else has been here.
 */
export async function saveTokens(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  lease: Lease,
  tokens: SavedTokens,
): Promise<boolean> {
  const { at, atMs, scopes, ...columns } = tokens;
  const { numUpdatedRows } = await tx
    .updateTable('oauth_tokens')
    .set({
      ...columns,
      ...(scopes === undefined ? {} : { scopes }),
      updated_at: at,
      last_refreshed_at: atMs,
      generation: lease.generation + 1,
      state: 'active',
      reason: null,
      changed_at: now,
      doubt_since: null,
      retry_at: null,
      overlap_until: null,
      lease_owner: null,
      lease_until: null,
      condemned_at: null,
    })
    .where('client_id', '=', lease.tenant)
    .where('id', '=', lease.grantId)
    .where('lease_fence', '=', lease.fence)
    .where('generation', '=', lease.generation)
    .where('state', '!=', 'disconnected')
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

export interface GrantVerdict {
  state: GrantState;
  reason: string | null;
  /** By the database's clock, in milliseconds from now; null lets the next caller try at once. */
  retryInMs: number | null;
  /** Keeps the lease until it ends by itself: where a second request before then could kill the grant. */
  keepLease?: boolean;
  condemned?: boolean;
  /** When a worker looks at it next; with the next try when left out. */
  dueInMs?: number | null;
  at: string;
}

/**
 * Writes what an attempt without tokens showed about a grant, and ends the lease, if the lease still holds. Returns
 * false when somebody else has been here: the word of a holder who lost the lease decides nothing.
 */
export async function settleLease(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  lease: Lease,
  verdict: GrantVerdict,
): Promise<boolean> {
  const doubtful = verdict.state === 'uncertain' || verdict.state === 'suspect';
  const { numUpdatedRows } = await tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      state: verdict.state,
      reason: verdict.reason,
      updated_at: verdict.at,
      changed_at: now,
      doubt_since: doubtful ? column.fn.coalesce('doubt_since', now) : null,
      retry_at: later(now, verdict.retryInMs),
      due_at: later(now, verdict.dueInMs === undefined ? (verdict.retryInMs ?? 0) : verdict.dueInMs),
      condemned_at: verdict.condemned === true ? column.fn.coalesce('condemned_at', now) : null,
      ...(doubtful ? {} : { overlap_until: null }),
      ...(verdict.keepLease === true ? {} : { lease_owner: null, lease_until: null }),
    }))
    .where('client_id', '=', lease.tenant)
    .where('id', '=', lease.grantId)
    .where('lease_fence', '=', lease.fence)
    .where('generation', '=', lease.generation)
    .where('state', '!=', 'disconnected')
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Gives a lease back; a grant that is not in doubt has spent nothing. */
export async function releaseLease(tx: Kysely<Schema>, lease: Lease): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      lease_owner: null,
      lease_until: null,
      overlap_until: column.case().when('state', '=', 'active').then(null).else(column.ref('overlap_until')).end(),
    }))
    .where('client_id', '=', lease.tenant)
    .where('id', '=', lease.grantId)
    .where('lease_fence', '=', lease.fence)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Puts a grant in doubt outside of a lease: an unfinished attempt was found, or a late answer arrived. */
export async function raiseDoubt(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  grant: { tenant: string; grantId: string; reason: string; at: string; from: GrantState[] },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      state: 'uncertain' as const,
      reason: grant.reason,
      updated_at: grant.at,
      changed_at: now,
      doubt_since: column.fn.coalesce('doubt_since', now),
      retry_at: null,
      due_at: now,
      condemned_at: null,
    }))
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.grantId)
    .where('state', 'in', grant.from)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

function later(now: RawBuilder<number>, inMs: number | null): RawBuilder<number> | null {
  return inMs === null ? null : sql<number>`${now} + ${Math.round(inMs)}`;
}
