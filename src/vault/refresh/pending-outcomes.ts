import { codeOf, isGrantryError } from '../../base/errors.ts';
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
  /** By grant: a refresh needs only those of its own grant. */
  readonly #ends = new Map<string, Map<string, PendingOutcome>>();
  #count = 0;
  /** Grants in the last warning; 0 since a round without failures. */
  #told = 0;
  #writing: Promise<void> | undefined;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Runs `write`, which records an attempt's end, and remembers the end if the database is down. */
  async orRemember<T>(end: PendingOutcome, write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (isGrantryError(error, 'storage_unavailable') && this.#count < limits.pendingOutcomesMax) this.#add(end);
      throw error;
    }
  }

  /** Writes the outcomes of one grant. A caller that is about to spend its token relies on all of them. */
  async writeOf(context: VaultContext, grantId: string): Promise<boolean> {
    const ends = [...(this.#ends.get(grantId)?.values() ?? [])];
    for (const end of ends) await this.#write(context, end);
    return ends.length > 0;
  }

  /** Writes the outcomes of all grants. One that cannot be written, as for a locked row, stays and keeps no other. */
  write(context: VaultContext): Promise<void> {
    this.#writing ??= this.#writeAll(context).finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeAll(context: VaultContext): Promise<void> {
    const grants = [...this.#ends.keys()].values();
    const failed: { grant: string; error: unknown }[] = [];
    // A row that is locked holds one of these up for seconds, and the others go on.
    const worker = async (): Promise<void> => {
      for (const grantId of grants) {
        try {
          await this.writeOf(context, grantId);
        } catch (error) {
          failed.push({ grant: grantId, error });
        }
      }
    };
    await Promise.all(Array.from({ length: writersMax }, worker));
    this.#tell(context, failed);
  }

  /** Says it when it begins and when it has doubled: an outage lasts many rounds. */
  #tell(context: VaultContext, failed: readonly { grant: string; error: unknown }[]): void {
    const [first] = failed;
    if (first === undefined) this.#told = 0;
    if (first === undefined || failed.length < 2 * this.#told) return;
    this.#told = failed.length;
    const { grant, error } = first;
    const fields = { grants: failed.length, grant, code: codeOf(error) };
    context.logger.warn('the ends of attempts cannot be written yet', fields);
  }

  async #write(context: VaultContext, end: PendingOutcome): Promise<void> {
    await changing(context, (change) => writeEnd(context, change, end));
    const ofGrant = this.#ends.get(end.grantId);
    if (ofGrant?.delete(end.attemptId) !== true) return;
    this.#count -= 1;
    if (ofGrant.size === 0) this.#ends.delete(end.grantId);
  }

  #add(end: PendingOutcome): void {
    const ofGrant = this.#ends.get(end.grantId) ?? new Map<string, PendingOutcome>();
    this.#ends.set(end.grantId, ofGrant);
    if (!ofGrant.has(end.attemptId)) this.#count += 1;
    ofGrant.set(end.attemptId, end);
  }
}

/** Outcomes that are written at the same time. */
const writersMax = 3;

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
