import type { Kysely, RawBuilder, Selectable } from 'kysely';
import type { CandidateTable, Schema } from '../schema.ts';

export type CandidateRow = Selectable<CandidateTable>;

const columns = [
  'id',
  'client_id',
  'grant_id',
  'fence',
  'generation',
  'tokens',
  'token_fingerprint',
  'received_at',
  'state',
] as const satisfies readonly (keyof CandidateRow)[];

/** Keeps a token set that arrived when its lease was no longer ours. The same set twice is kept once. */
export async function insertCandidate(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  candidate: Omit<CandidateRow, 'received_at'>,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('grantry_candidates')
    .values({ ...candidate, received_at: now })
    .onConflict((conflict) => conflict.columns(['client_id', 'grant_id', 'token_fingerprint']).doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

/** The newest candidate that is not known to be dead and is not older than the grant's last authorization. */
export async function newestCandidate(
  db: Kysely<Schema>,
  grant: { tenant: string; grantId: string; authorizedGeneration: number; exceptId?: string | null },
): Promise<CandidateRow | undefined> {
  const { exceptId } = grant;
  return db
    .selectFrom('grantry_candidates')
    .select(columns)
    .where('client_id', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('state', '=', 'untested')
    .where('generation', '>=', grant.authorizedGeneration)
    .$if(typeof exceptId === 'string', (query) => query.where('id', '!=', exceptId ?? ''))
    .orderBy('received_at', 'desc')
    .orderBy('fence', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The newest candidate that came for a generation's token, refused as it may have been. */
export async function newestSuccessor(
  db: Kysely<Schema>,
  grant: { tenant: string; grantId: string; generation: number },
): Promise<CandidateRow | undefined> {
  return db
    .selectFrom('grantry_candidates')
    .select(columns)
    .where('client_id', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('state', 'in', ['untested', 'dead'])
    .where('generation', '>=', grant.generation)
    .orderBy('received_at', 'desc')
    .orderBy('fence', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The provider refused this candidate, and more than once: it is dead, and kept for `recover` alone. */
export async function buryCandidate(tx: Kysely<Schema>, candidate: { tenant: string; id: string }): Promise<void> {
  await tx
    .updateTable('grantry_candidates')
    .set({ state: 'dead' })
    .where('client_id', '=', candidate.tenant)
    .where('id', '=', candidate.id)
    .execute();
}

/** A token proven newer was saved: what was kept of this grant before is superseded. */
export async function supersedeCandidates(
  tx: Kysely<Schema>,
  grant: { tenant: string; grantId: string; untilGeneration: number },
): Promise<void> {
  await tx
    .updateTable('grantry_candidates')
    .set({ state: 'superseded' })
    .where('client_id', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('state', '=', 'untested')
    .where('generation', '<=', grant.untilGeneration)
    .execute();
}

/** Shreds everything that was kept of a grant. */
export async function deleteCandidates(tx: Kysely<Schema>, grant: { tenant: string; grantId: string }): Promise<void> {
  await tx
    .deleteFrom('grantry_candidates')
    .where('client_id', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .execute();
}

/** This candidate's token was spent, and what came for it was saved. */
export async function retireCandidate(tx: Kysely<Schema>, candidate: { tenant: string; id: string }): Promise<void> {
  await tx
    .updateTable('grantry_candidates')
    .set({ state: 'superseded' })
    .where('client_id', '=', candidate.tenant)
    .where('id', '=', candidate.id)
    .execute();
}

/** Everything that was kept of a grant since its last authorization, tried or not, newest first. */
export async function listCandidates(
  db: Kysely<Schema>,
  grant: { tenant: string; grantId: string; authorizedGeneration: number; limit: number },
): Promise<CandidateRow[]> {
  return db
    .selectFrom('grantry_candidates')
    .select(columns)
    .where('client_id', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('generation', '>=', grant.authorizedGeneration)
    .orderBy('received_at', 'desc')
    .orderBy('fence', 'desc')
    .limit(grant.limit)
    .execute();
}
