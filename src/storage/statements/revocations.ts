import { type Kysely, type RawBuilder, type Selectable, sql } from 'kysely';
import type { StoreKind } from '../engine/engine.ts';
import type { RevocationTable, Schema } from '../schema.ts';

export type RevocationRow = Selectable<RevocationTable>;

const columns = [
  'id',
  'client_id',
  'grant_id',
  'provider',
  'account',
  'app',
  'dc',
  'token',
  'token_fingerprint',
  'attempts',
  'next_at',
  'deadline_at',
  'created_at',
] as const satisfies readonly (keyof RevocationRow)[];

/** Keeps a token that is to be revoked at the provider, at once and then again until `lifeMs` have passed. */
export async function insertRevocation(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  revocation: Omit<RevocationRow, 'attempts' | 'next_at' | 'deadline_at' | 'created_at'> & { lifeMs: number },
): Promise<void> {
  const { lifeMs, ...row } = revocation;
  await tx
    .insertInto('grantry_revocations')
    .values({ ...row, attempts: 0, next_at: now, deadline_at: sql<number>`${now} + ${lifeMs}`, created_at: now })
    .execute();
}

/**
 * Claims revocations that are due, of all tenants, the longest waiting first. Nobody else gets them for `holdMs`: who
 * claims and dies delays them by as much. `attempts` counts this one and is what finishing or rescheduling must name.
 */
export async function claimDueRevocations(
  db: Kysely<Schema>,
  kind: StoreKind,
  now: RawBuilder<number>,
  claim: { limit: number; holdMs: number },
): Promise<RevocationRow[]> {
  return db
    .updateTable('grantry_revocations')
    .set((column) => ({
      attempts: column('attempts', '+', 1),
      next_at: sql<number>`${now} + ${claim.holdMs}`,
    }))
    .where('id', 'in', (column) => {
      const due = column
        .selectFrom('grantry_revocations')
        .select('id')
        // As a subquery the clock is read once, and the index can serve.
        .where('next_at', '<=', sql<number>`(select ${now})`)
        .orderBy('next_at')
        .limit(claim.limit);
      // SQLite lets only one write; PostgreSQL's workers pass over what another one is claiming.
      return kind === 'sqlite' ? due : due.forUpdate().skipLocked();
    })
    .returning(columns)
    .execute();
}

/** Claims one grant's revocations whether they are due or not: whoever disconnects tries at once. */
export async function claimRevocationsOfGrant(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  claim: { tenant: string; grantId: string; holdMs: number },
): Promise<RevocationRow[]> {
  return db
    .updateTable('grantry_revocations')
    .set((column) => ({
      attempts: column('attempts', '+', 1),
      next_at: sql<number>`${now} + ${claim.holdMs}`,
    }))
    .where('client_id', '=', claim.tenant)
    .where('grant_id', '=', claim.grantId)
    .returning(columns)
    .execute();
}

/** The token is revoked, or was dead, or its time is over: shreds it. Returns false when it is gone already. */
export async function deleteRevocation(
  db: Kysely<Schema>,
  revocation: { tenant: string; id: string },
): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('grantry_revocations')
    .where('client_id', '=', revocation.tenant)
    .where('id', '=', revocation.id)
    .executeTakeFirstOrThrow();
  return numDeletedRows === 1n;
}

/** Tries again in `delayMs`. Returns false when somebody else has claimed it since. */
export async function rescheduleRevocation(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  revocation: { tenant: string; id: string; attempts: number; delayMs: number },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('grantry_revocations')
    .set({ next_at: sql<number>`${now} + ${revocation.delayMs}` })
    .where('client_id', '=', revocation.tenant)
    .where('id', '=', revocation.id)
    .where('attempts', '=', revocation.attempts)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Whether a token waits to be revoked with an app, or at a provider, and has not waited in vain for its whole time. */
export async function hasRevocations(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  of: { column: 'app' | 'provider'; name: string },
): Promise<boolean> {
  const row = await db
    .selectFrom('grantry_revocations')
    .select('id')
    .where(of.column, '=', of.name)
    .where('deadline_at', '>', now)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** How many tokens of a tenant wait to be revoked. */
export async function countRevocationsOfTenant(db: Kysely<Schema>, tenant: string): Promise<number> {
  const { count } = await db
    .selectFrom('grantry_revocations')
    .select(({ fn }) => fn.countAll<number | string | bigint>().as('count'))
    .where('client_id', '=', tenant)
    .executeTakeFirstOrThrow();
  return Number(count);
}
