import { codeOf, GrantryError, invalidRequest, isGrantryError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { WriteTx } from '../../storage/database.ts';
import { type EventMark, hasEvent } from '../../storage/statements/events.ts';
import {
  adoptInstance,
  type InstanceRow,
  isAnonymous,
  isFromFuture,
  joinedPlace,
  livesAt,
  moveInstance,
  quarantineInstance,
  readInstance,
  tellsMore,
} from '../../storage/statements/instance.ts';
import type { Store, StoreLocation } from '../../storage/store.ts';
import { type HighWaterMark, type HighWaterMarks, newerEvent } from './high-water-mark.ts';

/** The mark's trail has this many steps within the time for which the spool keeps answers. */
const trailSteps = 4;

/** `changing`, bound to its context; it writes the instance's row. */
export type WriteInstance = <T>(
  run: (change: { tx: WriteTx; recordOther: (change: InstanceChange) => void }) => Promise<T>,
) => Promise<T>;

interface InstanceChange {
  readonly type: 'vault.quarantined' | 'vault.adopted';
  readonly reason?: string;
  readonly details?: Readonly<Record<string, number>>;
}

export interface GuardOptions {
  store: Store;
  write: WriteInstance;
  marks: HighWaterMarks;
  instance: InstanceRow;
  /** The installation's name in this process's settings. */
  installation: string | null;
  logger: Logger;
  monotonic: () => number;
  now: () => number;
  /** The time for which the spool keeps committed answers. */
  spoolKeptMs: number;
  /** The shortest pause between two reads of the identity, and between two writes of the mark. */
  recheckMs: number;
}

/**
 * Prevents a clone from spending the refresh tokens of the original (security: F-17, F-18).
 *
 * The database stores its place and its events. The home stores the newest event that it has seen. A database in
 * another place, of another installation, or without that event is quarantined: valid tokens are handed out, but no
 * grant is refreshed until an operator adopts it. A promoted PostgreSQL is the original, perhaps without its last
 * commits. If it lacks more than the spool can bring back, it is a recovered backup.
 */
export class Guard {
  readonly #options: GuardOptions;
  #reason: string | null = null;
  #checkedAt = 0;
  #rememberedAt = 0;
  #newest: HighWaterMark;
  #written: HighWaterMark | undefined;
  #place: StoreLocation = { location: '', timeline: null };
  #failedOver = false;
  /** The home's mark is an event that was recorded while the clock was ahead: any later event may replace it. */
  #isMarkOutdated = false;

  private constructor(options: GuardOptions) {
    this.#options = options;
    this.#newest = { epoch: options.instance.epoch, event: null, timeline: null, metAt: null, trail: [] };
  }

  static async open(options: GuardOptions): Promise<Guard> {
    const guard = new Guard(options);
    await guard.#check(options.instance);
    return guard;
  }

  /** The reason for the quarantine, or null. */
  get reason(): string | null {
    return this.#reason;
  }

  /** True from the discovery of a promoted standby until the spool has brought back the commits that it lacks. */
  get failedOver(): boolean {
    return this.#failedOver;
  }

  /** The time after which the database must have every attempt. Null on PostgreSQL, whose failovers may lose some. */
  get attemptsKnownSince(): number | null {
    return this.#place.timeline === null ? (this.#newest.metAt ?? null) : null;
  }

  /**
   * Checks again before a token is spent: the database may have been restored, adopted or failed over a moment ago.
   *
   * @throws {GrantryError} `grant_quarantined`
   */
  async assertMayRefresh(): Promise<void> {
    if (this.#reason === null || this.isStale) await this.recheck();
    if (this.#reason !== null) throw new GrantryError('grant_quarantined', this.#reason);
  }

  /** True if the last check is some seconds old. */
  get isStale(): boolean {
    return this.#options.monotonic() - this.#checkedAt >= this.#options.recheckMs;
  }

  /** Checks again: after an outage the database may be another one, and a quarantine may have ended. */
  async recheck(): Promise<void> {
    const instance = await readInstance(this.#options.store.db);
    if (instance !== undefined) await this.#check(instance);
  }

  /**
   * Runs `replay`, which restores the commits that a promoted standby lacks. The home forgets the old timeline only
   * after `replay` succeeds: a process that comes earlier, or after a crash, must replay them too.
   */
  async finishFailover(replay: () => Promise<unknown>): Promise<void> {
    const place = this.#place;
    await replay();
    // Another standby was promoted meanwhile, and may lack other commits.
    if (this.#place.timeline !== place.timeline) return;
    await this.#options.write(({ tx }) => moveInstance(tx, place));
    this.#failedOver = false;
    // The events that only the old primary had are gone, so the mark goes back with the database.
    this.remember({ reset: true });
  }

  /** Quarantines a database whose spool holds answers to attempts that it never had. */
  async quarantineBehindSpool(): Promise<void> {
    this.#reason = await this.#quarantine(
      'This database lacks attempts that its spool has: an older copy was restored together with its home.',
    );
  }

  /** Notes an event that this process committed. The mark is written every few seconds and when the vault closes. */
  async note(event: EventMark): Promise<void> {
    this.#newest = { ...this.#newest, event: newerEvent(this.#newest.event, event) };
    const now = this.#options.monotonic();
    if (now - this.#rememberedAt < this.#options.recheckMs) return;
    this.#rememberedAt = now;
    await this.#checkAndRemember();
  }

  /** Writes the last mark of a vault that closes. */
  async close(): Promise<void> {
    if (this.isStale && this.#newest !== this.#written) await this.#checkAndRemember();
    else this.remember();
  }

  /**
   * Checks the database, and only then moves the mark. An older copy may have been restored in place since the last
   * check. An event that was written into the copy would replace the event that it lacks.
   */
  async #checkAndRemember(): Promise<void> {
    try {
      await this.recheck();
    } catch (error) {
      // The change is committed, so the failure of a later check must not look like a failed change.
      this.#options.logger.warn('the high-water mark is not moved: the database cannot be checked', {
        code: codeOf(error),
      });
      return;
    }
    this.remember();
  }

  /** Writes the mark if it moved. With a read-only home, only the detection of older copies is lost. */
  remember(options: { reset?: boolean } = {}): void {
    const { marks, instance, logger } = this.#options;
    if (this.#reason !== null || this.#failedOver) return;
    if (this.#newest.event === null || this.#newest === this.#written) return;
    try {
      marks.write(instance.vault_id, this.#newest, { reset: options.reset === true || this.#isMarkOutdated });
      this.#isMarkOutdated = false;
      this.#written = this.#newest;
    } catch {
      logger.warn('the high-water mark cannot be written to the home', {});
    }
  }

  /** Makes this database, in its place and under this installation's name, the one that refreshes. Begins a new epoch. */
  async adopt(): Promise<void> {
    const { store, marks, installation } = this.#options;
    const instance = await readInstance(store.db);
    if (instance === undefined) throw new GrantryError('internal', 'The table grantry_instance is empty.');
    const known = marks.read(instance.vault_id);
    const epoch = Math.max(instance.epoch, known?.epoch ?? 0) + 1;
    const place = await store.location();
    const name = installation ?? instance.installation;
    const adoption = { ...place, from: instance.epoch, epoch, installation: name };
    const isAdopted = await this.#options.write(async ({ tx, recordOther }) => {
      const isFirst = await adoptInstance(tx, adoption);
      if (isFirst) recordOther({ type: 'vault.adopted', details: { epoch } });
      return isFirst;
    });
    if (!isAdopted) {
      throw invalidRequest('Another process has just adopted this database.', {
        action: 'No action is needed: the quarantine is over.',
      });
    }
    const event = (await readInstance(store.db))?.newest ?? null;
    // The adopting process has replayed the spool, so older attempts that the database lacks are settled.
    const metAt = this.#options.now();
    marks.write(instance.vault_id, { epoch, event, timeline: place.timeline, metAt, trail: [] }, { reset: true });
    await this.recheck();
  }

  async #check(read: InstanceRow): Promise<void> {
    this.#checkedAt = this.#options.monotonic();
    const { store, marks } = this.#options;
    const mark = marks.read(read.vault_id);
    // Another process may have adopted the database and moved the mark after the row was read.
    const isOlder = mark !== undefined && mark.epoch > read.epoch;
    const instance = isOlder ? ((await readInstance(store.db)) ?? read) : read;
    const place = await store.location();
    this.#reason = await this.#judge(instance, place, mark);
    if (this.#reason !== null) return;
    await this.#notePlace(instance, place);
    // A promotion that this process has handled does not count again, even if the home cannot be written.
    const known = this.#newest.timeline ?? (mark === undefined ? instance.timeline : mark.timeline);
    const promoted = this.#failedOver || isNewer(place.timeline, known);
    this.#place = place;
    this.#isMarkOutdated = !!mark?.event && isFromFuture(mark.event, instance.now);
    const newest = await this.#marked(instance, mark, promoted);
    if (!isSame(newest, this.#newest)) this.#newest = newest;
    if (promoted) this.#failedOver = true;
    else if (mark === undefined) this.remember();
  }

  /** Notes what the place tells beyond what is known of it, so that a later copy is told from it. */
  async #notePlace(instance: InstanceRow, { location }: StoreLocation): Promise<void> {
    if (!tellsMore(instance.location, location)) return;
    const joined = { location: joinedPlace(instance.location, location), timeline: instance.timeline };
    try {
      await this.#options.write(({ tx }) => moveInstance(tx, joined));
    } catch (error) {
      // A standby takes no writes; the primary will note it.
      if (!isGrantryError(error)) throw error;
    }
  }

  /** Makes the new mark from the database, the home's mark and what this process has noted since. */
  async #marked(instance: InstanceRow, mark: HighWaterMark | undefined, promoted: boolean): Promise<HighWaterMark> {
    const { now, spoolKeptMs } = this.#options;
    const { epoch } = instance;
    const noted = this.#newest.epoch === epoch ? this.#newest : undefined;
    const before = mark?.epoch === epoch ? mark : undefined;
    const own = noted?.event ?? null;
    const isOutdated = promoted || (own !== null && isFromFuture(own, instance.now));
    const event = isOutdated ? instance.newest : newerEvent(instance.newest, own);
    const { timeline } = this.#place;
    const metAt = before?.metAt ?? noted?.metAt ?? now();
    if (timeline === null) return { epoch, event, timeline, metAt, trail: [] };
    const steps = noted?.trail?.length ? noted.trail : (before?.trail ?? []);
    // Steps that the new primary lacks would make the next failover look like an old backup.
    const trail = promoted ? await this.#stepsOf(instance, steps) : steps;
    return { epoch, event, timeline, metAt, trail: trailTo(instance.newest, trail, spoolKeptMs) };
  }

  /** Returns the steps of a trail that the database has. */
  async #stepsOf(instance: InstanceRow, steps: readonly EventMark[]): Promise<readonly EventMark[]> {
    const known = await Promise.all(steps.map((step) => this.#knows(instance, step)));
    return steps.filter((_, index) => known[index]);
  }

  async #judge(instance: InstanceRow, place: StoreLocation, mark: HighWaterMark | undefined): Promise<string | null> {
    const { installation, spoolKeptMs } = this.#options;
    if (instance.quarantined_reason !== null) return instance.quarantined_reason;
    if (installation !== null && instance.installation !== null && installation !== instance.installation) {
      // Not stored: a stray process must not stop the real installation.
      return `This process belongs to installation ${installation}, and the database to ${instance.installation}.`;
    }
    if (isAnonymous(place.location) && installation === null) {
      return 'The server tells no identity, so this may be a copy. Set GRANTRY_INSTALLATION to the name of this installation.';
    }
    if (!livesAt(instance.location, place.location)) {
      return this.#quarantine('This database was made elsewhere: it was copied, restored or moved.');
    }
    const isOldPrimary = (seen: HighWaterMark | undefined): boolean =>
      seen !== undefined && seen.epoch >= instance.epoch && isNewer(seen.timeline, place.timeline);
    if (isOldPrimary(mark) || isOldPrimary(this.#newest)) {
      return this.#quarantine('This PostgreSQL is the old primary: a standby was promoted in its place.');
    }
    if (mark === undefined || !(await this.#isBehind(instance, mark))) return null;
    if (isNewer(place.timeline, mark.timeline)) {
      if (!(await this.#lacksMoreThanSpool(instance, mark, spoolKeptMs))) return null;
      return this.#quarantine(
        'This PostgreSQL was promoted and lacks too many events that its home has seen: it is an old backup, or was far behind.',
      );
    }
    return this.#quarantine('This database lacks an event that its home has seen: an older copy was restored.');
  }

  async #quarantine(reason: string): Promise<string> {
    try {
      await this.#options.write(async ({ tx, recordOther }) => {
        if (await quarantineInstance(tx, reason)) recordOther({ type: 'vault.quarantined', reason });
      });
    } catch (error) {
      // A read-only copy does no harm, and its tokens may still be read.
      if (!isGrantryError(error)) throw error;
    }
    return reason;
  }

  /** Returns true if the home has seen a later epoch, or an event that the database lacks. */
  async #isBehind(instance: InstanceRow, { epoch, event }: HighWaterMark): Promise<boolean> {
    if (epoch !== instance.epoch) return epoch > instance.epoch;
    return !(await this.#knows(instance, event));
  }

  async #knows({ newest }: InstanceRow, event: EventMark | null): Promise<boolean> {
    return event === null || event.id === newest?.id || hasEvent(this.#options.store.db, event);
  }

  /** Returns true if the database lacks an event so old that the spool no longer has the answers of that time. */
  async #lacksMoreThanSpool(
    instance: InstanceRow,
    { trail = [] }: HighWaterMark,
    spoolKeptMs: number,
  ): Promise<boolean> {
    const [oldest, newest] = [trail[0], trail.at(-1)];
    if (oldest === undefined || newest === undefined) return false;
    return newest.at - oldest.at > spoolKeptMs && !(await this.#knows(instance, oldest));
  }
}

/**
 * Adds the database's newest event to the trail. The trail reaches back to one event older than the spool's keeping
 * time. The age of the first lost event shows how much a database has lost. The age of the newest event does not, since
 * hours may lie before it.
 */
function trailTo(newest: EventMark | null, known: readonly EventMark[], spoolKeptMs: number): readonly EventMark[] {
  if (newest === null) return [];
  const kept = known.filter((step) => step.at <= newest.at);
  const last = kept.at(-1);
  const isStep = last === undefined || newest.at - last.at >= spoolKeptMs / trailSteps;
  const trail = isStep ? [...kept, newest] : kept;
  const oldest = trail.findLastIndex((step) => newest.at - step.at > spoolKeptMs);
  return trail.slice(Math.max(0, oldest));
}

function isSame(one: HighWaterMark, other: HighWaterMark): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** True for a higher timeline of the same PostgreSQL: a standby was promoted. */
function isNewer(timeline: number | null, than: number | null): boolean {
  return timeline !== null && than !== null && timeline > than;
}
