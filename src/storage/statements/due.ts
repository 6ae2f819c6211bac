import { sql } from 'kysely';
import type { CheckedKey } from '../../base/ids.ts';
import { changedOne, type WriteTx } from '../database.ts';
import type { GrantState } from '../schema.ts';
import { type GrantSummary, summaryColumns } from './grants.ts';

/**
 * Claims grants in one state that are due, of all tenants, the longest waiting first. No other worker gets them for
 * `holdMs`, or for `doubtHoldMs` where a holder left its lease behind: a worker that dies delays them by that time.
 * `leftForMs` restricts the claim to leases that were left behind within that time.
 *
 * By the index on state and due time the cost depends on what is due, and not on what is stored.
 */
export async function claimDueGrants(
  tx: WriteTx,
  claim: {
    state: GrantState;
    limit: number;
    holdMs: number;
    doubtHoldMs: number;
    exceptProviders: readonly string[];
    leftForMs?: number;
  },
): Promise<GrantSummary[]> {
  const { leftForMs } = claim;
  return tx
    .updateTable('oauth_tokens')
    .set((column) => ({
      // A holder that left its lease may have spent the token.
      due_at: column
        .case()
        .when('lease_owner', 'is', null)
        .then(sql<number>`${tx.now} + ${claim.holdMs}`)
        .else(sql<number>`${tx.now} + ${claim.doubtHoldMs}`)
        .end(),
    }))
    .where('id', 'in', (from) => {
      const due = from
        .selectFrom('oauth_tokens')
        .select('id')
        .where('state', '=', claim.state)
        // As a subquery the clock is read once, and the index can serve.
        .where('due_at', '<=', sql<number>`(select ${tx.now})`)
        // They became due when their lease ended, so that the index can skip what has waited longer.
        .$if(leftForMs !== undefined, (query) =>
          query
            .where('lease_owner', 'is not', null)
            .where('due_at', '>', sql<number>`(select ${tx.now} - ${leftForMs})`),
        )
        .$if(claim.exceptProviders.length > 0, (query) => query.where('provider', 'not in', claim.exceptProviders))
        .orderBy('due_at')
        .limit(claim.limit);
      return tx.locked(due, 'skip');
    })
    .returning(summaryColumns)
    .execute();
}

/**
 * Schedules a claimed grant, unless a verdict or new tokens have scheduled it since the claim: those know the provider's
 * deadlines.
 */
export async function rescheduleGrant(
  tx: WriteTx,
  grant: { tenant: string; id: string; generation: number; claimedDueAt: number | null; dueAt: number | null },
): Promise<void> {
  await tx
    .updateTable('oauth_tokens')
    .set({ due_at: grant.dueAt })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .where('generation', '=', grant.generation)
    .where('due_at', '=', grant.claimedDueAt)
    .execute();
}

/** Notes that tokens of these grants were handed out. Rows that another transaction holds are left to the next note. */
export async function noteUse(tx: WriteTx, grants: readonly CheckedKey[]): Promise<void> {
  await tx
    .updateTable('oauth_tokens')
    .set({ used_at: tx.now })
    .where('id', 'in', (from) =>
      tx.locked(
        from
          .selectFrom('oauth_tokens')
          .select('id')
          .where((where) =>
            where(
              where.refTuple('client_id', 'provider', 'account'),
              'in',
              grants.map(({ tenant, provider, account }) => where.tuple(tenant, provider, account)),
            ),
          ),
        'skip',
      ),
    )
    .execute();
}

/** Shreds the tokens of a grant that was condemned long ago. The row stays, with its reason. */
export async function shredCondemned(
  tx: WriteTx,
  grant: { tenant: string; id: string; generation: number; at: string },
): Promise<boolean> {
  return tx
    .updateTable('oauth_tokens')
    .set({
      access_token: null,
      refresh_token: null,
      refresh_fingerprint: null,
      due_at: null,
      updated_at: grant.at,
      changed_at: tx.changeMark,
    })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .where('generation', '=', grant.generation)
    .where('state', '=', 'reauthorization_required')
    .$call(changedOne);
}
