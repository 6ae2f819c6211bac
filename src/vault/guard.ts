import { GrantryError, isGrantryError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { lastEventSeq } from '../storage/events.ts';
import {
  adoptInstance,
  type InstanceRow,
  moveInstance,
  quarantineInstance,
  readInstance,
} from '../storage/instance.ts';
import type { Store, StoreLocation } from '../storage/store.ts';
import type { SeenMark, SeenMarks } from './seen.ts';

/** How often a quarantine is looked at again, and the mark is written, at most. */
const recheckMs = 2_000;

export interface GuardOptions {
  store: Store;
  marks: SeenMarks;
  instance: InstanceRow;
  /** This process's own name for the installation. */
  installation: string | null;
  logger: Logger;
  monotonic: () => number;
}

/**
 * Keeps a clone from spending the refresh tokens of the original (security: F-17, F-18).
 *
 * The database says where it was made and how many events it has had; the home remembers the newest it saw. A database
 * that lives elsewhere, belongs to another installation, or knows less than this home does, is quarantined: tokens that
 * are valid are read, none is refreshed, until somebody adopts it. A PostgreSQL that was promoted is none of these: it is
 * the original, perhaps without its tail.
 */
export class Guard {
  readonly #options: GuardOptions;
  #reason: string | null = null;
  #checkedAt = 0;
  #rememberedAt = 0;
  #newest: SeenMark;
  #written: SeenMark | undefined;
  /** A promoted standby was found: what its tail lost is to be brought back from the spool. */
  failedOver = false;

  private constructor(options: GuardOptions) {
    this.#options = options;
    this.#newest = { epoch: options.instance.epoch, seq: 0, timeline: null };
  }

  static async open(options: GuardOptions): Promise<Guard> {
    const guard = new Guard(options);
    await guard.#check(options.instance);
    return guard;
  }

  /** Why nothing may be refreshed, or null. */
  get reason(): string | null {
    return this.#reason;
  }

  /**
   * Looks again before anything is spent: the database may have been put back, adopted or failed over a moment ago.
   *
   * @throws {GrantryError} `grant_quarantined`
   */
  async assertMayRefresh(): Promise<void> {
    if (this.#reason === null || this.isStale) await this.recheck();
    if (this.#reason !== null) throw new GrantryError('grant_quarantined', this.#reason);
  }

  /** The last look is some seconds old. */
  get isStale(): boolean {
    return this.#options.monotonic() - this.#checkedAt >= recheckMs;
  }

  /** Looks again: after an outage the database may be another one, and a quarantine may have ended. */
  async recheck(): Promise<void> {
    const instance = await readInstance(this.#options.store.db);
    if (instance !== undefined) await this.#check(instance);
  }

  /** An event was committed here. The mark is written now and then, and when the vault closes. */
  note(seq: number): void {
    if (seq > this.#newest.seq) this.#newest = { ...this.#newest, seq };
    const now = this.#options.monotonic();
    if (now - this.#rememberedAt < recheckMs) return;
    this.#rememberedAt = now;
    this.remember();
  }

  /** Writes the mark if it moved. A home that cannot be written costs only the detection of older copies. */
  remember(options: { reset?: boolean } = {}): void {
    const { marks, instance, logger } = this.#options;
    if (this.#reason !== null || this.#newest.seq === 0 || this.#newest === this.#written) return;
    try {
      marks.write(instance.vault_id, this.#newest, options);
      this.#written = this.#newest;
    } catch {
      logger.warn('the newest event cannot be noted in the home', {});
    }
  }

  /** Declares this database the one that refreshes, here and under this installation's name, in its next epoch. */
  async adopt(): Promise<void> {
    const { store, marks, installation } = this.#options;
    const instance = await readInstance(store.db);
    if (instance === undefined) throw new GrantryError('internal', 'the database forgot its identity');
    const known = marks.read(instance.vault_id);
    const epoch = Math.max(instance.epoch, known?.epoch ?? 0) + 1;
    const place = await store.location();
    const name = installation ?? instance.installation;
    const adopted = await adoptInstance(store.db, { ...place, from: instance.epoch, epoch, installation: name });
    if (!adopted) throw new GrantryError('invalid_request', 'Somebody else has just adopted this database.');
    const seq = await lastEventSeq(store.db);
    marks.write(instance.vault_id, { epoch, seq, timeline: place.timeline }, { reset: true });
    await this.recheck();
  }

  async #check(read: InstanceRow): Promise<void> {
    this.#checkedAt = this.#options.monotonic();
    const { store, marks } = this.#options;
    const mark = marks.read(read.vault_id);
    // Another process may have committed, and moved the mark, since the row was read: only a look after the mark counts.
    const instance = isBehind(read, mark) ? ((await readInstance(store.db)) ?? read) : read;
    const place = await store.location();
    this.#reason = await this.#judge(instance, place, mark);
    if (this.#reason !== null) return;
    const promoted =
      isNewer(place.timeline, mark === undefined ? instance.timeline : mark.timeline) ||
      isNewer(place.timeline, this.#newest.timeline);
    const known = promoted || instance.epoch !== this.#newest.epoch ? 0 : this.#newest.seq;
    const seq = Math.max(instance.last_seq ?? 0, known);
    const moved = seq !== this.#newest.seq || instance.epoch !== this.#newest.epoch || promoted;
    if (moved || place.timeline !== this.#newest.timeline) {
      this.#newest = { epoch: instance.epoch, seq, timeline: place.timeline };
    }
    if (promoted) {
      this.failedOver = true;
      // Events that the old primary took with it will never be seen again: the mark goes back with the database.
      this.remember({ reset: true });
    } else if (mark === undefined) this.remember();
  }

  async #judge(instance: InstanceRow, place: StoreLocation, mark: SeenMark | undefined): Promise<string | null> {
    const { store, installation } = this.#options;
    if (instance.quarantined_reason !== null) return instance.quarantined_reason;
    if (installation !== null && instance.installation !== null && installation !== instance.installation) {
      // Not written down: a stray process must not put the real installation out of work.
      return `This process calls itself ${installation}, and the database belongs to ${instance.installation}.`;
    }
    if (place.location !== instance.location) {
      return this.#quarantine('This database was made elsewhere: it was copied, restored or moved.');
    }
    if (mark !== undefined && mark.epoch >= instance.epoch && isNewer(mark.timeline, place.timeline)) {
      return this.#quarantine('A standby was promoted in place of this PostgreSQL: it is the old primary.');
    }
    if (isNewer(place.timeline, instance.timeline)) await moveInstance(store.db, place);
    if (mark === undefined || isNewer(place.timeline, mark.timeline) || !isBehind(instance, mark)) return null;
    return this.#quarantine('This database knows less than its home has seen of it: an older copy was put back.');
  }

  async #quarantine(reason: string): Promise<string> {
    try {
      await quarantineInstance(this.#options.store.db, reason);
    } catch (error) {
      // A copy that cannot be written is no danger, and its tokens may still be read.
      if (!isGrantryError(error)) throw error;
    }
    return reason;
  }
}

/** The home has seen a later epoch or a later event than the database knows. */
function isBehind(instance: InstanceRow, mark: SeenMark | undefined): boolean {
  if (mark === undefined) return false;
  return mark.epoch > instance.epoch || (mark.epoch === instance.epoch && mark.seq > (instance.last_seq ?? 0));
}

/** A higher timeline of the same PostgreSQL: a standby was promoted. */
function isNewer(timeline: number | null, than: number | null): boolean {
  return timeline !== null && than !== null && timeline > than;
}
