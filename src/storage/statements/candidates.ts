import type { Selectable } from 'kysely';
import { limits } from '../../base/limits.ts';
import { changedOne, changedRows, type Reader, type WriteTx } from '../database.ts';
import type { CandidateTable } from '../schema.ts';
import type { GrantName, GrantRow } from './grants.ts';

export type CandidateRow = Selectable<CandidateTable>;

/** Keeps a token set that arrived after its lease was lost. Returns false when it is kept already. */
export async function insertCandidate(
  tx: WriteTx,
  candidate: Omit<CandidateRow, 'received_at' | 'retired_at'>,
): Promise<boolean> {
  return tx
    .insertInto('grantry_candidates')
    .values({ ...candidate, received_at: tx.now })
    .onConflict((conflict) => conflict.columns(['tenant', 'grant_id', 'token_fingerprint']).doNothing())
    .$call(changedOne);
}

/** Finds the newest candidate that is not rejected and not older than the grant's last authorization. */
export async function newestCandidate(
  db: Reader,
  grant: { tenant: string; grantId: string; authorizedGeneration: number; exceptId?: string | null },
): Promise<CandidateRow | undefined> {
  const { exceptId } = grant;
  return db
    .selectFrom('grantry_candidates')
    .selectAll()
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('state', '=', 'untested')
    .where('generation', '>=', grant.authorizedGeneration)
    .$if(typeof exceptId === 'string', (query) => query.where('id', '!=', exceptId ?? ''))
    .orderBy('received_at', 'desc')
    .orderBy('fence', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/**
 * Finds the living grants of all tenants that keep a refresh token as a candidate. Reads the whole table, which has few rows,
 * so it is only for the end of a grant.
 */
export async function grantsWithCandidate(db: Reader, fingerprint: string): Promise<GrantName[]> {
  return db
    .selectFrom('grantry_candidates')
    .innerJoin('oauth_tokens', (join) =>
      join
        .onRef('oauth_tokens.client_id', '=', 'grantry_candidates.tenant')
        .onRef('oauth_tokens.id', '=', 'grantry_candidates.grant_id'),
    )
    .select(['oauth_tokens.id', 'oauth_tokens.client_id', 'oauth_tokens.provider', 'oauth_tokens.account'])
    .where('grantry_candidates.token_fingerprint', '=', fingerprint)
    .where('grantry_candidates.state', '=', 'untested')
    .where('oauth_tokens.state', '!=', 'disconnected')
    .limit(limits.grantsNamedMax)
    .execute();
}

/** Lists the last candidates that came for a generation's token, also rejected ones, newest first. */
export async function listSuccessors(
  db: Reader,
  grant: { tenant: string; grantId: string; generation: number },
): Promise<CandidateRow[]> {
  return db
    .selectFrom('grantry_candidates')
    .selectAll()
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('state', 'in', ['untested', 'dead'])
    .where('generation', '>=', grant.generation)
    .orderBy('received_at', 'desc')
    .orderBy('fence', 'desc')
    .limit(limits.candidatesListedMax)
    .execute();
}

/** Marks a candidate that the provider refused more than once. Only `recover` tries it again. */
export async function rejectCandidate(tx: WriteTx, candidate: { tenant: string; id: string }): Promise<void> {
  await closeCandidate(tx, candidate, 'dead');
}

/** Opens rejected candidates of a grant again, except those that its last authorization replaced. Returns their number. */
export async function reopenCandidates(
  tx: WriteTx,
  grant: { tenant: string; grantId: string; authorizedGeneration: number; ids: readonly string[] },
): Promise<number> {
  return tx
    .updateTable('grantry_candidates')
    .set({ state: 'untested', retired_at: null })
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('state', '=', 'dead')
    .where('generation', '>=', grant.authorizedGeneration)
    .where('id', 'in', grant.ids)
    .$call(changedRows);
}

/** Marks the candidates that are older than a token which was proven newer and saved. */
export async function supersedeCandidates(
  tx: WriteTx,
  grant: { tenant: string; grantId: string; untilGeneration: number },
): Promise<void> {
  await tx
    .updateTable('grantry_candidates')
    .set({ state: 'superseded', retired_at: tx.now })
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('state', '=', 'untested')
    .where('generation', '<=', grant.untilGeneration)
    .execute();
}

/** Shreds the candidates of a grant; with `belowGeneration`, only those of earlier generations. */
export async function deleteCandidates(
  tx: WriteTx,
  grant: { tenant: string; grantId: string; belowGeneration?: number },
): Promise<void> {
  const { belowGeneration } = grant;
  await tx
    .deleteFrom('grantry_candidates')
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .$if(belowGeneration !== undefined, (query) => query.where('generation', '<', belowGeneration ?? 0))
    .execute();
}

/** Marks a candidate whose token was spent and whose successor was saved. */
export async function retireCandidate(tx: WriteTx, candidate: { tenant: string; id: string }): Promise<void> {
  await closeCandidate(tx, candidate, 'superseded');
}

/** Finds the candidate of a grant with a certain token, in any state. */
export async function findCandidate(
  db: Reader,
  wanted: { tenant: string; grantId: string; fingerprint: string },
): Promise<CandidateRow | undefined> {
  return db
    .selectFrom('grantry_candidates')
    .selectAll()
    .where('tenant', '=', wanted.tenant)
    .where('grant_id', '=', wanted.grantId)
    .where('token_fingerprint', '=', wanted.fingerprint)
    .executeTakeFirst();
}

/** Lists the last candidates of a grant, tried or not, newest first. Those below its last authorization were replaced by hand. */
export async function listCandidates(db: Reader, grant: Pick<GrantRow, 'client_id' | 'id'>): Promise<CandidateRow[]> {
  return db
    .selectFrom('grantry_candidates')
    .selectAll()
    .where('tenant', '=', grant.client_id)
    .where('grant_id', '=', grant.id)
    .orderBy('received_at', 'desc')
    .orderBy('fence', 'desc')
    .limit(limits.candidatesListedMax)
    .execute();
}

/** Lists all candidates of a grant, in any state. */
export async function listCandidatesOfGrant(
  db: Reader,
  grant: Pick<GrantRow, 'client_id' | 'id'>,
): Promise<CandidateRow[]> {
  return db
    .selectFrom('grantry_candidates')
    .selectAll()
    .where('tenant', '=', grant.client_id)
    .where('grant_id', '=', grant.id)
    .execute();
}

/** Replaces the seal of a candidate; its tokens stay. */
export async function replaceCandidateSeal(
  tx: WriteTx,
  { tenant, id, tokens }: { tenant: string; id: string; tokens: string },
): Promise<void> {
  await tx
    .updateTable('grantry_candidates')
    .set({ tokens })
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .execute();
}

async function closeCandidate(
  tx: WriteTx,
  { tenant, id }: { tenant: string; id: string },
  state: 'dead' | 'superseded',
): Promise<void> {
  await tx
    .updateTable('grantry_candidates')
    .set({ state, retired_at: tx.now })
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .execute();
}
