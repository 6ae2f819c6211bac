import { readFile, stat } from 'node:fs/promises';
import type { SpoolFile, SpoolFolder } from './folder.ts';
import { ownerOfReservation } from './head.ts';
import { minuteOf, type SpoolName, shards } from './names.ts';
import { isKnownAlive, isKnownDead } from './owner.ts';

const sweptAtOnce = 32;
/** A reservation whose owner cannot be observed, such as one in another container, is kept this long. */
const unobservedKeptMs = 86_400_000;

/** A slice of the files, for a caller that must not wait for a scan of all of them. */
export interface SpoolPart {
  count: number;
  /** Start of the slice, as a fraction of all files. */
  from: number;
}

/** The ages after which a sweep removes files. */
export interface SweepTimes {
  /** Reservations that a crash left behind, and answers committed before this time, are removed. */
  readonly olderThan: number;
  /** Answers that were not understood before this time are removed; left out, none is. */
  readonly unreadBefore?: number;
}

/**
 * Removes files whose time is over. The name of a committed file tells its time, and each shard is read once a
 * minute. So nearly every round costs as much as is removed, not as much as is kept.
 */
export class SpoolSweeper {
  readonly #folder: SpoolFolder;
  /** The minute before which a shard holds no more files. */
  readonly #sweptUntil = new Map<string, number>();

  constructor(folder: SpoolFolder) {
    this.#folder = folder;
  }

  async sweep(times: SweepTimes, part?: SpoolPart): Promise<void> {
    const files = await this.#folder.open();
    const candidates = files.filter(({ name }) => name.kind !== 'answer' && name.kind !== 'refused');
    await this.#removeDue(part === undefined ? candidates : partOf(candidates, part), times);
    for (const shard of this.#shardsOf(part)) await this.#sweepShard(shard, times, part);
  }

  #shardsOf(part: SpoolPart | undefined): readonly string[] {
    if (part === undefined) return shards;
    return shards.slice(Math.floor(part.from * shards.length)).slice(0, 1);
  }

  async #sweepShard(shard: string, times: SweepTimes, part: SpoolPart | undefined): Promise<void> {
    const dueMinute = minuteOf(times.olderThan);
    if ((this.#sweptUntil.get(shard) ?? 0) >= dueMinute) return;
    const files = await this.#folder.shard(shard);
    const due = files.filter(({ name }) => (name.minute ?? 0) < dueMinute);
    const removed = due.slice(0, part?.count);
    await this.#removeDue(removed, times);
    if (removed.length < due.length) return;
    this.#sweptUntil.set(shard, dueMinute);
  }

  async #removeDue(files: readonly SpoolFile[], times: SweepTimes): Promise<void> {
    for (let start = 0; start < files.length; start += sweptAtOnce) {
      const some = files.slice(start, start + sweptAtOnce);
      await Promise.all(
        some.map(async (file) => {
          if (!(await this.#isDue(file, times))) return;
          await this.#folder.remove(file.path).catch(() => {
            // The file only takes disk space; a failed removal must not block a start.
          });
        }),
      );
    }
  }

  async #isDue({ path, name }: SpoolFile, { olderThan, unreadBefore = 0 }: SweepTimes): Promise<boolean> {
    if (name.kind === 'answer' || name.kind === 'refused') return false;
    const endsAt = name.kind === 'unread' ? unreadBefore : olderThan;
    if (name.minute !== null) return endOf(name) <= endsAt;
    const writtenAt = (await stat(this.#folder.at(path)).catch(() => undefined))?.mtimeMs;
    if (writtenAt === undefined || writtenAt >= endsAt) return false;
    return name.kind !== 'waiting' || this.#isAbandoned(path, writtenAt, olderThan);
  }

  /**
   * Tells whether a reservation's owner is gone. A clock that jumped makes a living owner's reservation look old, and its
   * refresh may be under way. So only the owner's end counts where it can be observed.
   */
  async #isAbandoned(path: string, writtenAt: number, olderThan: number): Promise<boolean> {
    const [line = ''] = (await readFile(this.#folder.at(path), 'utf8').catch(() => '')).split('\n', 1);
    const owner = ownerOfReservation(line);
    if (owner === undefined || isKnownDead(owner)) return true;
    return !isKnownAlive(owner) && writtenAt + unobservedKeptMs < olderThan;
  }
}

/** Returns the end of the minute in a name. */
function endOf({ minute }: SpoolName): number {
  return ((minute ?? 0) + 1) * 60_000;
}

/** Returns a slice of a list. */
export function partOf<T>(list: readonly T[], { count, from }: SpoolPart): readonly T[] {
  const first = Math.floor(from * Math.max(0, list.length - count + 1));
  return list.slice(first, first + count);
}
