import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { CheckedKey } from '../../base/ids.ts';
import type { StoreKind } from '../engine/engine.ts';
import type { GrantState, Schema } from '../schema.ts';
import type { GrantRow } from './grants.ts';

export type DueGrant = Pick<
  GrantRow,
  | 'id'
  | 'client_id'
  | 'provider'
  | 'account'
  | 'state'
  | 'reason'
  | 'metadata'
  | 'generation'
  | 'token_expiry'
  | 'last_refreshed_at'
  | 'used_at'
  | 'condemned_at'
  | 'retry_at'
  | 'due_at'
  | 'lease_owner'
  | 'created_at'
>;

const columns = [
  'id',
  'client_id',
  'provider',
  'account',
  'state',
  'reason',
  'metadata',
  'generation',
  'token_expiry',
  'last_refreshed_at',
  'used_at',
  'condemned_at',
  'retry_at',
  'due_at',
  'lease_owner',
  'created_at',
] as const satisfies readonly (keyof DueGrant)[];

/**
 * Claims grants in one state that are due, of all tenants, the longest waiting first. No other worker gets them for
 * `holdMs`, or `doubtHoldMs` where a lease was left behind: who claims and dies delays them by as much. With `leftForMs`
 * only those whose lease was left behind, within so long.
 *
 * The index on state and due time makes this cost what is due, whatever is stored.
 */
export async function claimDueGrants(
  db: Kysely<Schema>,
  kind: StoreKind,
  now: RawBuilder<number>,
  claim: {
    state: GrantState;
    limit: number;
    holdMs: number;
    doubtHoldMs: number;
    exceptProviders: readonly string[];
    leftForMs?: number;
  },
): Promise<DueGrant[]> {
  const { leftForMs } = claim;
  return db
    .updateTable('oauth_tokens')
    .set((column) => ({
      // Whoever left a lease may have spent the token.
      due_at: column
        .case()
        .when('lease_owner', 'is', null)
        .then(sql<number>`${now} + ${claim.holdMs}`)
        .else(sql<number>`${now} + ${claim.doubtHoldMs}`)
        .end(),
    }))
    .where('id', 'in', (from) => {
      const due = from
        .selectFrom('oauth_tokens')
        .select('id')
        .where('state', '=', claim.state)
        // As a subquery the clock is read once, and the index can serve.
        .where('due_at', '<=', sql<number>`(select ${now})`)
        // They became due when their lease ended: what has waited longer need not be looked through.
        .$if(leftForMs !== undefined, (query) =>
          query.where('lease_owner', 'is not', null).where('due_at', '>', sql<number>`(select ${now} - ${leftForMs})`),
        )
        .$if(claim.exceptProviders.length > 0, (query) => query.where('provider', 'not in', claim.exceptProviders))
        .orderBy('due_at')
        .limit(claim.limit);
      return kind === 'postgres' ? due.forUpdate().skipLocked() : due;
    })
    .returning(columns)
    .execute();
}

/**
 * Says when a claimed grant is due next, unless that was said since it was claimed: by a verdict, which knows the
 * provider's deadlines, or with new tokens.
 */
export async function rescheduleGrant(
  db: Kysely<Schema>,
  grant: { tenant: string; id: string; generation: number; claimedDueAt: number | null; dueAt: number | null },
): Promise<void> {
  await db
    .updateTable('oauth_tokens')
    .set({ due_at: grant.dueAt })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .where('generation', '=', grant.generation)
    .where('due_at', '=', grant.claimedDueAt)
    .execute();
}

/** Notes that tokens of these grants were handed out. */
export async function noteUse(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  grants: readonly CheckedKey[],
): Promise<void> {
  await db
    .updateTable('oauth_tokens')
    .set({ used_at: now })
    .where((where) =>
      where(
        where.refTuple('client_id', 'provider', 'account'),
        'in',
        grants.map(({ tenant, provider, account }) => where.tuple(tenant, provider, account)),
      ),
    )
    .execute();
}

/** Shreds the tokens of a grant that was condemned long ago; the row stays and says why. */
export async function shredCondemned(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  grant: { tenant: string; id: string; generation: number; at: string },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('oauth_tokens')
    .set({
      access_token: null,
      refresh_token: null,
      refresh_fingerprint: null,
      due_at: null,
      updated_at: grant.at,
      changed_at: now,
    })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .where('generation', '=', grant.generation)
    .where('state', '=', 'reauthorization_required')
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}
