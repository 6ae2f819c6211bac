import { finishAttempt, listAttempts, mayHaveSpent } from '../../storage/statements/attempts.ts';
import { type GrantRow, lockGrant } from '../../storage/statements/grants.ts';
import { raiseDoubt, releaseLease } from '../../storage/statements/leases.ts';
import { deleteTokenRequest } from '../../storage/statements/token-requests.ts';
import type { ChangeTransaction } from '../changing.ts';
import { isoNow, type PendingOutcome, type VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';

/** Records the end of an attempt that could not be written when it ended. */
export async function writeEnd(context: VaultContext, change: ChangeTransaction, end: PendingOutcome): Promise<void> {
  const { tx } = change;
  const { tenant, grantId, attemptId: id, fence, outcome, detail } = end;
  const row = await lockGrant(tx, tenant, grantId);
  // If no attempt is open, the claim was rolled back, or the end was written after all.
  if (row === undefined || !(await finishAttempt(tx, { tenant, id, outcome, detail }))) return;
  if (outcome === 'not_sent') await deleteTokenRequest(tx, { fingerprint: end.tokenFingerprint, attemptId: id });
  await releaseLease(tx, { ...end, owner: context.owner.id, fence });
  await reviveIfNothingWasLost(context, change, row, end);
}

/** Revives a grant that another process gave up because the open attempt looked like a lost answer. */
async function reviveIfNothingWasLost(
  context: VaultContext,
  change: ChangeTransaction,
  row: GrantRow,
  end: PendingOutcome,
): Promise<void> {
  const { tenant, grantId, generation } = end;
  if (row.state !== 'reauthorization_required' || row.reason !== reasons.lostRotation) return;
  if (row.generation !== generation) return;
  const attempts = await listAttempts(change.tx, { tenant, grantId, generation });
  if (attempts.some(mayHaveSpent)) return;
  const reason = reasons.nothingWasLost;
  await raiseDoubt(change.tx, { tenant, grantId, reason, at: isoNow(context), from: [row.state] });
  change.record(row, { type: 'grant.revived', to: 'uncertain', reason });
}
