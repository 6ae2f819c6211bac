import { GrantryError, isGrantryError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { lastEventSeq } from '../../storage/statements/events.ts';
import {
  adoptInstance,
  type InstanceRow,
  livesAt,
  moveInstance,
  quarantineInstance,
  readInstance,
} from '../../storage/statements/instance.ts';
import type { Store, StoreLocation } from '../../storage/store.ts';
import type { SeenMark, SeenMarks, TrailStep } from './high-water-mark.ts';

/** A step of the mark's trail for this part of the time for which the spool keeps answers. */
const trailSteps = 4;

export interface GuardOptions {
  store: Store;
  marks: SeenMarks;
  instance: InstanceRow;
  /** This process's own name for the installation. */
  installation: string | null;
  logger: Logger;
  monotonic: () => number;
  now: () => number;
  /** How long answers that were committed are kept in the spool. */
  spoolKeptMs: number;
  /** How often the identity is read again, and the mark written, at most. */
  recheckMs: number;
}

/**
 * Keeps a clone from spending the refresh tokens of the original (security: F-17, F-18).
 *
 * The database says where it was made and how many events it has had; the home remembers the newest it saw. A database
 * that lives elsewhere, belongs to another installation, or knows less than this home does, is quarantined: tokens that
 * are valid are read, none is refreshed, until somebody adopts it. A PostgreSQL that was promoted is none of these: it is
 * the original, perhaps without its tail; unless it lacks more than the spool still has, as a backup that was recovered.
 */
export class Guard {
  readonly #options: GuardOptions;
  #reason: string | null = null;
  #checkedAt = 0;
  #rememberedAt = 0;
  #newest: SeenMark;
  #written: SeenMark | undefined;
  #place: StoreLocation = { location: '', timeline: null };
  #failedOver = false;

  private constructor(options: GuardOptions) {
    this.#options = options;
    this.#newest = { epoch: options.instance.epoch, seq: 0, timeline: null, metAt: null, trail: [] };
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

  /** A promoted standby was found: what its tail lost is to be brought back from the spool. */
  get failedOver(): boolean {
    return this.#failedOver;
  }

  /** To later attempts than this the database must have its rows. Null on PostgreSQL, whose failovers may lose some. */
  get attemptsKnownSince(): number | null {
    return this.#place.timeline === null ? (this.#newest.metAt ?? null) : null;
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
    return this.#options.monotonic() - this.#checkedAt >= this.#options.recheckMs;
  }

  /** Looks again: after an outage the database may be another one, and a quarantine may have ended. */
  async recheck(): Promise<void> {
    const instance = await readInstance(this.#options.store.db);
    if (instance !== undefined) await this.#check(instance);
  }

  /**
   * Runs what brings back the tail that a promoted standby lacks. Only when that has succeeded does the home forget the
   * old timeline: whoever comes before, or after a crash in between, must bring it back as well.
   */
  async bringTailBack(bringBack: () => Promise<unknown>): Promise<void> {
    const place = this.#place;
    await bringBack();
    // Promoted once more meanwhile: that one may lack another tail.
    if (this.#place.timeline !== place.timeline) return;
    await moveInstance(this.#options.store.db, place);
    this.#failedOver = false;
    // Events that the old primary took with it will never be seen again: the mark goes back with the database.
    this.remember({ reset: true });
  }

  /** The spool holds answers to attempts that this database has never known. */
  async quarantineBehindSpool(): Promise<void> {
    this.#reason = await this.#quarantine(
      'This database knows less than the spool of its home: an older copy was put back together with the home.',
    );
  }

  /** An event was committed here. The mark is written now and then, and when the vault closes. */
  note(seq: number): void {
    if (seq > this.#newest.seq) this.#newest = { ...this.#newest, seq };
    const now = this.#options.monotonic();
    if (now - this.#rememberedAt < this.#options.recheckMs) return;
    this.#rememberedAt = now;
    this.remember();
  }

  /** Writes the mark if it moved. A home that cannot be written costs only the detection of older copies. */
  remember(options: { reset?: boolean } = {}): void {
    const { marks, instance, logger } = this.#options;
    if (this.#reason !== null || this.#failedOver) return;
    if (this.#newest.seq === 0 || this.#newest === this.#written) return;
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
    // Nobody has recorded these attempts, and nobody will: whoever adopts has read the spool.
    const metAt = this.#options.now();
    marks.write(instance.vault_id, { epoch, seq, timeline: place.timeline, metAt, trail: [] }, { reset: true });
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
    // What this process has dealt with needs no second time, also where the home cannot be written.
    const known = this.#newest.timeline ?? (mark === undefined ? instance.timeline : mark.timeline);
    const promoted = this.#failedOver || isNewer(place.timeline, known);
    this.#place = place;
    const newest = this.#marked(instance, mark, promoted);
    if (!isSame(newest, this.#newest)) this.#newest = newest;
    if (promoted) this.#failedOver = true;
    else if (mark === undefined) this.remember();
  }

  /** The mark as it is to be, from what the database knows, what the home knew, and what this process has noted since. */
  #marked(instance: InstanceRow, mark: SeenMark | undefined, promoted: boolean): SeenMark {
    const { now, spoolKeptMs } = this.#options;
    const { epoch } = instance;
    const noted = this.#newest.epoch === epoch ? this.#newest : undefined;
    const before = mark?.epoch === epoch ? mark : undefined;
    const seq = Math.max(instance.last_seq ?? 0, promoted ? 0 : (noted?.seq ?? 0));
    const { timeline } = this.#place;
    const metAt = before?.metAt ?? noted?.metAt ?? now();
    if (timeline === null) return { epoch, seq, timeline, metAt, trail: [] };
    const steps = noted?.trail?.length ? noted.trail : (before?.trail ?? []);
    return { epoch, seq, timeline, metAt, trail: trailTo(instance, steps, spoolKeptMs) };
  }

  async #judge(instance: InstanceRow, place: StoreLocation, mark: SeenMark | undefined): Promise<string | null> {
    const { installation, spoolKeptMs } = this.#options;
    if (instance.quarantined_reason !== null) return instance.quarantined_reason;
    if (installation !== null && instance.installation !== null && installation !== instance.installation) {
      // Not written down: a stray process must not put the real installation out of work.
      return `This process calls itself ${installation}, and the database belongs to ${instance.installation}.`;
    }
    if (!livesAt(instance.location, place.location)) {
      return this.#quarantine('This database was made elsewhere: it was copied, restored or moved.');
    }
    const isOldPrimary = (seen: SeenMark | undefined): boolean =>
      seen !== undefined && seen.epoch >= instance.epoch && isNewer(seen.timeline, place.timeline);
    if (isOldPrimary(mark) || isOldPrimary(this.#newest)) {
      return this.#quarantine('A standby was promoted in place of this PostgreSQL: it is the old primary.');
    }
    if (mark === undefined || !isBehind(instance, mark)) return null;
    if (isNewer(place.timeline, mark.timeline)) {
      if (!lacksMoreThanSpool(instance, mark, spoolKeptMs)) return null;
      return this.#quarantine(
        'This PostgreSQL was promoted without much that its home has seen: it is an older backup, or was far behind.',
      );
    }
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

/** It lacks an event so much older than the newest that the spool's answers from back then are gone. */
function lacksMoreThanSpool(instance: InstanceRow, { trail = [] }: SeenMark, spoolKeptMs: number): boolean {
  const [oldest, newest] = [trail[0], trail.at(-1)];
  if (oldest === undefined || newest === undefined) return false;
  return newest.at - oldest.at > spoolKeptMs && (instance.last_seq ?? 0) < oldest.seq;
}

/**
 * The trail with the database's newest event. It reaches back to one event that is older than what the spool keeps: not the
 * time of the newest event tells how much a database has lost, since there may be none for hours, but the first it lacks.
 */
function trailTo(
  { last_seq: seq, last_at: at }: InstanceRow,
  known: readonly TrailStep[],
  spoolKeptMs: number,
): readonly TrailStep[] {
  if (seq === null || at === null) return [];
  const kept = known.filter((step) => step.seq <= seq);
  const last = kept.at(-1);
  const isStep = last === undefined || at - last.at >= spoolKeptMs / trailSteps;
  const trail = isStep ? [...kept, { seq, at }] : kept;
  const oldest = trail.findLastIndex((step) => at - step.at > spoolKeptMs);
  return trail.slice(Math.max(0, oldest));
}

function isSame(one: SeenMark, other: SeenMark): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** A higher timeline of the same PostgreSQL: a standby was promoted. */
function isNewer(timeline: number | null, than: number | null): boolean {
  return timeline !== null && than !== null && timeline > than;
}
