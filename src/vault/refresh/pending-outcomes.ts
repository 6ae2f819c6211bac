import { codeOf, isGrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { changing } from '../changing.ts';
import type { OutcomeJournal, PendingOutcome, VaultContext } from '../context.ts';

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
    // Loaded before an end can wait: an upgrade may remove the program's files meanwhile.
    await import('./write-end.ts');
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
    const { writeEnd } = await import('./write-end.ts');
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
