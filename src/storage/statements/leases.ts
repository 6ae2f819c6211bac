import { type RawBuilder, sql } from 'kysely';
import { changedOne, type WriteTx } from '../database.ts';
import type { GrantState } from '../schema.ts';
import { clearedLease, type GrantRow, settled } from './grants.ts';

/** The right to spend a grant's refresh token, as its holder remembers it. */
export interface Lease {
  readonly tenant: string;
  readonly grantId: string;
  /** The generation whose refresh token may be spent. */
  readonly generation: number;
  readonly owner: string;
  readonly fence: number;
}

/** The row as the claimant read it: a claim fails when the row has changed since. */
export type SeenGrant = Pick<GrantRow, 'client_id' | 'id' | 'generation' | 'state' | 'lease_fence'>;

/** A lease whose owner is dead, and the part of it that a claimant need not wait for. */
export interface WaivedLease {
  readonly owner: string;
  readonly ms: number;
}

/**
 * Claims the lease of a free grant that no process has claimed since the row was read. A process that did may have been
 * refused and have scheduled the next attempt, so its row must be read first. Returns the new fence, or undefined when the
 * row cannot be claimed.
 *
 * Only the database's clock writes and compares the end of the lease: clocks of two hosts differ. `waived` is the part of a
 * dead owner's lease that need not pass. The grant is due at the end of the lease, so that workers look at it when the
 * holder dies. `overlapMs` is how long the token that is about to be spent may be tried again.
 */
export async function claimLease(
  tx: WriteTx,
  claim: {
    seen: SeenGrant;
    owner: string;
    leaseMs: number;
    overlapMs: number | null;
    waived?: WaivedLease | undefined;
  },
): Promise<number | undefined> {
  const { seen, overlapMs, waived } = claim;
  const leaseEnd = sql<number>`${tx.now} + ${claim.leaseMs}`;
  const row = await tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      lease_owner: claim.owner,
      lease_until: leaseEnd,
      lease_fence: column('lease_fence', '+', 1),
      due_at: leaseEnd,
      ...(overlapMs === null
        ? {}
        : { overlap_until: column.fn.coalesce('overlap_until', sql<number>`${tx.now} + ${overlapMs}`) }),
    }))
    .where('client_id', '=', seen.client_id)
    .where('id', '=', seen.id)
    .where('generation', '=', seen.generation)
    .where('state', '=', seen.state)
    .where('lease_fence', '=', seen.lease_fence)
    .where((column) =>
      column.or([
        column('lease_until', 'is', null),
        column('lease_until', '<', tx.now),
        ...(waived === undefined
          ? []
          : [
              column.and([
                column('lease_owner', '=', waived.owner),
                column('lease_until', '<', sql<number>`${tx.now} + ${waived.ms}`),
              ]),
            ]),
      ]),
    )
    .returning('lease_fence')
    .executeTakeFirst();
  return row?.lease_fence;
}

/** Extends a lease that is still ours. Returns false when another process has claimed it since. */
export async function renewLease(tx: WriteTx, lease: Lease, leaseMs: number): Promise<boolean> {
  return tx
    .updateTable('oauth_tokens')
    .set({ lease_until: sql<number>`${tx.now} + ${leaseMs}`, due_at: sql<number>`${tx.now} + ${leaseMs}` })
    .where('client_id', '=', lease.tenant)
    .where('id', '=', lease.grantId)
    .where('lease_fence', '=', lease.fence)
    .where('lease_owner', '=', lease.owner)
    .$call(changedOne);
}

export type SavedTokens = Pick<
  GrantRow,
  'access_token' | 'refresh_token' | 'token_expiry' | 'token_type' | 'obtained_at' | 'refresh_fingerprint' | 'due_at'
> & { at: string; atMs: number; scopes?: string | undefined };

/**
 * Saves refreshed tokens as the next generation and ends the lease. Returns false when the lease or the generation is no
 * longer the one that was spent.
 */
export async function saveTokens(tx: WriteTx, lease: Lease, tokens: SavedTokens): Promise<boolean> {
  const { at, atMs, scopes, ...columns } = tokens;
  return tx
    .updateTable('oauth_tokens')
    .set({
      ...columns,
      ...(scopes === undefined ? {} : { scopes }),
      updated_at: at,
      last_refreshed_at: atMs,
      generation: lease.generation + 1,
      state: 'active',
      reason: null,
      changed_at: tx.changeMark,
      ...settled,
      condemned_at: null,
    })
    .where('client_id', '=', lease.tenant)
    .where('id', '=', lease.grantId)
    .where('lease_fence', '=', lease.fence)
    .where('generation', '=', lease.generation)
    .where('state', '!=', 'disconnected')
    .$call(changedOne);
}

export interface GrantVerdict {
  state: GrantState;
  reason: string | null;
  /** By the database's clock, in milliseconds from now; null lets the next caller try at once. */
  retryInMs: number | null;
  /** Keeps the lease until its time ends, where an earlier second request could kill the grant. */
  keepLease?: boolean;
  condemned?: boolean;
  /** When a worker looks at it next; the time of the next try when left out. */
  dueInMs?: number | null;
  at: string;
}

/**
 * Writes what an attempt without tokens showed about a grant, and ends the lease. Returns false when the lease is no
 * longer ours: a holder that lost its lease decides nothing.
 */
export async function settleLease(tx: WriteTx, lease: Lease, verdict: GrantVerdict): Promise<boolean> {
  const doubtful = verdict.state === 'uncertain' || verdict.state === 'suspect';
  return tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      state: verdict.state,
      reason: verdict.reason,
      updated_at: verdict.at,
      changed_at: tx.changeMark,
      doubt_since: doubtful ? column.fn.coalesce('doubt_since', tx.now) : null,
      retry_at: later(tx, verdict.retryInMs),
      due_at: later(tx, verdict.dueInMs === undefined ? (verdict.retryInMs ?? 0) : verdict.dueInMs),
      // A doubt after a second chance leaves the time of the verdict: else every lost answer would begin the chances anew.
      ...(doubtful
        ? {}
        : { condemned_at: verdict.condemned === true ? column.fn.coalesce('condemned_at', tx.now) : null }),
      ...(doubtful ? {} : { overlap_until: null }),
      ...(verdict.keepLease === true ? {} : clearedLease),
    }))
    .where('client_id', '=', lease.tenant)
    .where('id', '=', lease.grantId)
    .where('lease_fence', '=', lease.fence)
    .where('generation', '=', lease.generation)
    .where('state', '!=', 'disconnected')
    .$call(changedOne);
}

/** Returns a lease. A grant that is not in doubt has spent nothing, so its overlap ends too. */
export async function releaseLease(tx: WriteTx, lease: Lease): Promise<boolean> {
  return tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      ...clearedLease,
      overlap_until: column.case().when('state', '=', 'active').then(null).else(column.ref('overlap_until')).end(),
    }))
    .where('client_id', '=', lease.tenant)
    .where('id', '=', lease.grantId)
    .where('lease_fence', '=', lease.fence)
    .$call(changedOne);
}

/** Puts a grant in doubt without a lease: an unfinished attempt was found, or a late answer arrived. */
export async function raiseDoubt(
  tx: WriteTx,
  grant: { tenant: string; grantId: string; reason: string; at: string; from: GrantState[] },
): Promise<boolean> {
  return tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      state: 'uncertain' as const,
      reason: grant.reason,
      updated_at: grant.at,
      changed_at: tx.changeMark,
      doubt_since: column.fn.coalesce('doubt_since', tx.now),
      retry_at: null,
      due_at: tx.now,
      condemned_at: null,
    }))
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.grantId)
    .where('state', 'in', grant.from)
    .$call(changedOne);
}

function later(tx: WriteTx, inMs: number | null): RawBuilder<number> | null {
  return inMs === null ? null : sql<number>`${tx.now} + ${Math.round(inMs)}`;
}
