import type { Insertable } from 'kysely';
import { changedOne, type WriteTx } from '../../database.ts';
import type { LeftTokenTable } from '../../schema.ts';
import type { GrantRow } from '../grants.ts';

/** Notes a token that no grant holds any more and that was not revoked. It goes on taking a place at the provider. */
export async function insertLeftToken(tx: WriteTx, token: Omit<Insertable<LeftTokenTable>, 'left_at'>): Promise<void> {
  await tx
    .insertInto('grantry_left_tokens')
    .values({ ...token, left_at: tx.now })
    .onConflict((conflict) => conflict.columns(['registration', 'fingerprint']).doNothing())
    .execute();
}

/** Forgets a token that was revoked after all, or that a grant holds again. */
export async function deleteLeftToken(
  tx: WriteTx,
  token: { registration: string; fingerprint: string },
): Promise<void> {
  await tx
    .deleteFrom('grantry_left_tokens')
    .where('registration', '=', token.registration)
    .where('fingerprint', '=', token.fingerprint)
    .execute();
}

/** Notes the tokens of a grant that were replaced by hand, before they are shredded; only those of earlier generations. */
export async function leaveReplacedTokens(
  tx: WriteTx,
  row: Pick<GrantRow, 'client_id' | 'id' | 'provider' | 'account' | 'consent_user'> &
    Pick<LeftTokenTable, 'registration' | 'dc'>,
  belowGeneration: number,
): Promise<void> {
  const { client_id: tenant, id: grantId, provider, account, registration, dc, consent_user } = row;
  const replaced = await tx
    .selectFrom('grantry_candidates')
    .select(['token_fingerprint', 'received_at'])
    .where('tenant', '=', tenant)
    .where('grant_id', '=', grantId)
    .where('fence', '=', 0)
    .where('state', '=', 'untested')
    .where('generation', '<', belowGeneration)
    .execute();
  for (const { token_fingerprint: fingerprint, received_at: consented_at } of replaced)
    await insertLeftToken(tx, { registration, fingerprint, tenant, provider, account, dc, consent_user, consented_at });
}

/** The tokens of one user that are counted together. Empty texts stand for an unknown user or data centre. */
export interface SlotGroup {
  readonly registration: string;
  readonly dc: string;
  readonly consent_user: string;
}

/** Notes that an operator is warned of a group. Returns false if one was warned before. */
export async function insertSlotWarning(tx: WriteTx, group: SlotGroup): Promise<boolean> {
  return tx
    .insertInto('grantry_slot_warnings')
    .values({ ...group, warned_at: tx.now })
    .onConflict((conflict) => conflict.columns(['registration', 'dc', 'consent_user']).doNothing())
    .$call(changedOne);
}

/** Forgets a warning: its group has room again. */
export async function deleteSlotWarning(tx: WriteTx, group: SlotGroup): Promise<void> {
  await tx
    .deleteFrom('grantry_slot_warnings')
    .where('registration', '=', group.registration)
    .where('dc', '=', group.dc)
    .where('consent_user', '=', group.consent_user)
    .execute();
}
