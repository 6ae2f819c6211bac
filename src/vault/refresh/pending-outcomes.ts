import { isGrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { finishAttempt, listAttempts, mayHaveSpent } from '../../storage/statements/attempts.ts';
import { type GrantRow, lockGrant } from '../../storage/statements/grants.ts';
import { raiseDoubt, releaseLease } from '../../storage/statements/leases.ts';
import { deleteTokenRequest } from '../../storage/statements/token-requests.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { isoNow, type OutcomeJournal, type PendingOutcome, type VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';

/**
 * Outcomes of attempts that the database could not record yet.
 *
 * An attempt that stays open looks like a lost answer, and at a strict provider a lost answer ends the grant. So a
 * process that knows that nothing was lost records that as soon as the database is back. If the process dies first, the
 * attempt stays in doubt, as it should.
 */
export class PendingOutcomes implements OutcomeJournal {
  readonly #ends = new Map<string, PendingOutcome>();
  #writing: Promise<void> | undefined;

  get isEmpty(): boolean {
    return this.#ends.size === 0;
  }

  /** Runs `write`, which records an attempt's end, and remembers the end if the database is down. */
  async orRemember<T>(end: PendingOutcome, write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (isGrantryError(error, 'storage_unavailable') && this.#ends.size < limits.pendingOutcomesMax) {
        this.#ends.set(end.attemptId, end);
      }
      throw error;
    }
  }

  /** Writes all remembered outcomes. Concurrent callers share one run. */
  write(context: VaultContext): Promise<void> {
    this.#writing ??= this.#writeAll(context).finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeAll(context: VaultContext): Promise<void> {
    for (const end of this.#ends.values()) {
      await changing(context, (change) => writeEnd(context, change, end));
      this.#ends.delete(end.attemptId);
    }
  }
}

async function writeEnd(context: VaultContext, change: ChangeTransaction, end: PendingOutcome): Promise<void> {
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
