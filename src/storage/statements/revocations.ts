import { type Selectable, sql } from 'kysely';
import { changedOne, changedRows, countRows, findsOne, type Reader, type WriteTx } from '../database.ts';
import type { RevocationTable } from '../schema.ts';
import type { Named } from './standing.ts';

export type RevocationRow = Selectable<RevocationTable>;

type Consent = 'consented_at' | 'consent_user';

/** Queues a token for revocation at the provider: due at once, and again until `lifeMs` have passed. */
export async function insertRevocation(
  tx: WriteTx,
  revocation: Omit<RevocationRow, 'attempts' | 'next_at' | 'deadline_at' | 'created_at' | Consent> &
    Partial<Pick<RevocationRow, Consent>> & { lifeMs: number },
): Promise<void> {
  const { lifeMs, ...row } = revocation;
  await tx
    .insertInto('grantry_revocations')
    .values({
      consented_at: null,
      consent_user: null,
      ...row,
      attempts: 0,
      next_at: tx.now,
      deadline_at: sql<number>`${tx.now} + ${lifeMs}`,
      created_at: tx.now,
    })
    .execute();
}

/** Counts a try, and keeps other workers away for `holdMs`. */
function claiming(tx: WriteTx, holdMs: number) {
  return tx
    .updateTable('grantry_revocations')
    .set((column) => ({ attempts: column('attempts', '+', 1), next_at: sql<number>`${tx.now} + ${holdMs}` }));
}

/**
 * Claims revocations that are due, of all tenants, the longest waiting first. No other worker gets them for `holdMs`: a
 * worker that dies delays them by that time. `attempts` counts this claim; rescheduling must name it.
 */
export async function claimDueRevocations(
  tx: WriteTx,
  claim: { limit: number; holdMs: number; exceptProviders?: readonly string[] },
): Promise<RevocationRow[]> {
  const { exceptProviders = [] } = claim;
  return claiming(tx, claim.holdMs)
    .where((where) => {
      const due = where
        .selectFrom('grantry_revocations')
        .select(['tenant', 'id'])
        // As a subquery the clock is read once, and the index can serve.
        .where('next_at', '<=', sql<number>`(select ${tx.now})`)
        .$if(exceptProviders.length > 0, (query) => query.where('provider', 'not in', exceptProviders))
        .orderBy('next_at')
        .limit(claim.limit);
      // Workers pass over rows that another one is claiming.
      return where(where.refTuple('tenant', 'id'), 'in', tx.locked(due, 'skip').$asTuple('tenant', 'id'));
    })
    .returningAll()
    .execute();
}

/** Claims revocations of apps whether they are due or not: a consent needs the places that their tokens take. */
export async function claimRevocationsOfApps(
  tx: WriteTx,
  claim: { apps: readonly string[]; holdMs: number; limit: number },
): Promise<RevocationRow[]> {
  return claiming(tx, claim.holdMs)
    .where((where) => {
      const waiting = where
        .selectFrom('grantry_revocations')
        .select(['tenant', 'id'])
        .where('app', 'in', claim.apps)
        .orderBy('created_at')
        .limit(claim.limit);
      return where(where.refTuple('tenant', 'id'), 'in', tx.locked(waiting, 'skip').$asTuple('tenant', 'id'));
    })
    .returningAll()
    .execute();
}

/** Claims one grant's revocations whether they are due or not: a disconnect tries them at once. */
export async function claimRevocationsOfGrant(
  tx: WriteTx,
  claim: { tenant: string; grantId: string; holdMs: number },
): Promise<RevocationRow[]> {
  return claiming(tx, claim.holdMs)
    .where('tenant', '=', claim.tenant)
    .where('grant_id', '=', claim.grantId)
    .returningAll()
    .execute();
}

/** Claims revocations that were just queued, unless a worker has claimed them since. */
export async function claimNewRevocations(
  tx: WriteTx,
  claim: { tenant: string; ids: readonly string[]; holdMs: number },
): Promise<RevocationRow[]> {
  return claiming(tx, claim.holdMs)
    .where('tenant', '=', claim.tenant)
    .where('id', 'in', claim.ids)
    .where('attempts', '=', 0)
    .returningAll()
    .execute();
}

/** Shreds a token that is revoked, dead or past its deadline. Returns false when it is gone already. */
export async function deleteRevocation(tx: WriteTx, revocation: { tenant: string; id: string }): Promise<boolean> {
  return changedOne(
    tx.deleteFrom('grantry_revocations').where('tenant', '=', revocation.tenant).where('id', '=', revocation.id),
  );
}

/** Puts the next try off by `delayMs`. Returns false when another worker has claimed it since. */
export async function rescheduleRevocation(
  tx: WriteTx,
  revocation: { tenant: string; id: string; attempts: number; delayMs: number },
): Promise<boolean> {
  return tx
    .updateTable('grantry_revocations')
    .set({ next_at: sql<number>`${tx.now} + ${revocation.delayMs}` })
    .where('tenant', '=', revocation.tenant)
    .where('id', '=', revocation.id)
    .where('attempts', '=', revocation.attempts)
    .$call(changedOne);
}

/** Tells whether a token that is not past its deadline waits to be revoked with an app, or at a provider. */
export async function hasRevocations(db: Reader, of: Named): Promise<boolean> {
  return db
    .selectFrom('grantry_revocations')
    .select('id')
    .where(of.column, '=', of.name)
    .where('deadline_at', '>', db.now)
    .$call(findsOne);
}

/**
 * Deletes tokens that are past their deadline, of an app or at a provider: before another takes its place, which must not get
 * the last try.
 */
export async function deleteOverdueRevocations(tx: WriteTx, of: Named): Promise<number> {
  return tx
    .deleteFrom('grantry_revocations')
    .where(of.column, '=', of.name)
    .where('deadline_at', '<=', tx.now)
    .$call(changedRows);
}

/** Tells whether tokens of apps wait to be revoked: the provider still keeps them. */
export async function tokensToRevoke(db: Reader, apps: readonly string[]): Promise<boolean> {
  return db.selectFrom('grantry_revocations').select('id').where('app', 'in', apps).$call(findsOne);
}

/** Counts the tokens of a tenant that wait to be revoked. */
export async function countRevocationsOfTenant(db: Reader, tenant: string): Promise<number> {
  return db.selectFrom('grantry_revocations').where('tenant', '=', tenant).$call(countRows);
}
