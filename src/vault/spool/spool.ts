import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { readDepth, type SpoolDepth } from './depth.ts';
import { isMissing } from './files.ts';
import { type SpoolFile, SpoolFolder } from './folder.ts';
import { openSealed, readHead, type SpoolHead } from './head.ts';
import { mayBelongTo, type SpoolKind, shardOf, shards } from './names.ts';
import type { Owner } from './owner.ts';
import { reserveSlot, type SpoolSlot } from './slot.ts';
import { partOf, type SpoolPart, SpoolSweeper, type SweepTimes } from './sweeper.ts';

export type { SpoolHead } from './head.ts';
export type { SpoolSlot } from './slot.ts';
export type { SpoolPart } from './sweeper.ts';

const reservationsPerSweep = 64;
const readAtOnce = 32;
/** Fractional parts of its multiples are spread evenly over 0..1 (low-discrepancy sequence). */
const goldenRatio = (Math.sqrt(5) - 1) / 2;

/** The kinds that may hold tokens which the database lacks, or lost in a failover. */
const replayed: readonly SpoolKind[] = ['answer', 'refused', 'saved'];

/** An answer found in the spool. */
export interface SpoolEntry {
  readonly head: SpoolHead;
  readonly kind: SpoolKind;
  readonly committed: boolean;
  /** Write time in milliseconds since 1970. */
  readonly writtenAt: number;
  /** The time since which the file has its kind. */
  readonly keptSince: number;
  read(tenant: PinnedTenant): RawAnswer;
  markCommitted(): Promise<void>;
  /** Sets the answer aside: the database refuses it, or it was not understood. Returns true: it is in a file. */
  setAside(kind: 'refused' | 'unread'): Promise<boolean>;
  remove(): Promise<void>;
}

/**
 * Token answers on a local disk, one sealed and flushed file per attempt.
 *
 * Until an answer is committed, it exists nowhere else. At a provider that rotates, a crash or a lost database before the
 * commit would lose the grant. Therefore the file is written before the answer is parsed.
 */
export class Spool {
  readonly directory: string;
  readonly owner: Owner;
  readonly #folder: SpoolFolder;
  readonly #sweeper: SpoolSweeper;
  #reservations = 0;
  #slices = 0;

  constructor(directory: string, owner: Owner, now: () => number) {
    this.directory = directory;
    this.owner = owner;
    this.#folder = new SpoolFolder(directory, now);
    this.#sweeper = new SpoolSweeper(this.#folder);
  }

  /**
   * Reserves the file of an attempt.
   *
   * @param name The grant's id, a dot and the attempt's id.
   * @param sweepBefore Every 64th reservation removes some older files, so that they do not pile up without workers.
   * @throws {GrantryError} `storage_unavailable` when the file cannot be written: no token may be spent then.
   */
  async reserve(name: string, sweepBefore?: number): Promise<SpoolSlot> {
    this.#reservations += 1;
    if (sweepBefore !== undefined && this.#reservations % reservationsPerSweep === 0) {
      // Only a slice, because a caller waits for it. Each sweep covers twice the files added since the last one and starts
      // elsewhere, which bounds the total.
      const from = (this.#reservations * goldenRatio) % 1;
      await this.sweep({ olderThan: sweepBefore }, { count: 2 * reservationsPerSweep, from });
    }
    return reserveSlot(this.#folder, name, this.owner);
  }

  /**
   * Lists answers of these kinds, oldest first; `grantId` selects one grant. Damaged files are left in place. A file or
   * folder that this process may not read is left out and noted, see {@link unreadableOf}.
   *
   * @param most Lists so many at most; each call begins elsewhere.
   */
  async list(
    grantId?: string,
    kinds: readonly SpoolKind[] = replayed,
    most = Number.POSITIVE_INFINITY,
  ): Promise<SpoolEntry[]> {
    if (grantId === undefined && kinds.includes('saved')) this.#folder.forgetUnreadable();
    const files = await this.#files(kinds.includes('saved') ? shardsFor(grantId) : []);
    const wanted = files.filter(({ name }) => kinds.includes(name.kind) && mayBelongTo(name, grantId));
    if (grantId !== undefined) this.#folder.noteUnreadable(grantId);
    this.#slices += 1;
    const some =
      wanted.length <= most ? wanted : partOf(wanted, { count: most, from: (this.#slices * goldenRatio) % 1 });
    const entries = (await this.#entries(some)).filter(({ head }) => grantId === undefined || head.grantId === grantId);
    return entries.sort((one, other) => one.writtenAt - other.writtenAt);
  }

  /** Reads the heads of a slice of the answers. */
  async heads(part: SpoolPart): Promise<SpoolHead[]> {
    const files = await this.#files([]);
    // Each shard is a random choice of grants, so a full one is sample enough.
    const first = Math.floor(part.from * shards.length);
    for (const shard of [...shards.slice(first), ...shards.slice(0, first)]) {
      if (files.length >= part.count) break;
      files.push(...(await this.#folder.shard(shard)));
    }
    const answers = files.filter(({ name }) => name.kind !== 'waiting');
    return (await this.#entries(partOf(answers, part))).map(({ head }) => head);
  }

  /** Counts the files of each kind. */
  depth(): Promise<SpoolDepth> {
    return readDepth(this.directory);
  }

  /** Removes files whose time is over; `part` restricts the sweep to a slice of the files. */
  async sweep(times: SweepTimes, part?: SpoolPart): Promise<void> {
    await this.#sweeper.sweep(times, part);
  }

  /** Tells whether an uncommitted answer exists under this name. Synchronous: it is the last check before a request. */
  hasAnswer(name: string): boolean {
    return existsSync(this.#folder.at(`${name}.answer`)) || existsSync(this.#folder.at(`${name}.refused`));
  }

  /** Returns a path that may hold an answer of this grant and could not be read when it was last tried. */
  unreadableOf(grantId: string): string | undefined {
    return this.#folder.unreadableOf(grantId);
  }

  /** The files and folders that could not be read when they were last tried. */
  get unreadable(): readonly string[] {
    return this.#folder.unreadable;
  }

  /** Returns the unreadable paths that were not returned before, so that each is reported once. */
  newlyUnreadable(): readonly string[] {
    return this.#folder.newlyUnreadable();
  }

  async #files(from: readonly string[]): Promise<SpoolFile[]> {
    const files = await this.#folder.open();
    for (const shard of from) files.push(...(await this.#folder.shard(shard)));
    return files;
  }

  async #entries(files: readonly SpoolFile[]): Promise<SpoolEntry[]> {
    const entries: SpoolEntry[] = [];
    for (let start = 0; start < files.length; start += readAtOnce) {
      const some = await Promise.all(files.slice(start, start + readAtOnce).map((file) => this.#entry(file)));
      for (const entry of some) if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  async #entry(file: SpoolFile): Promise<SpoolEntry | undefined> {
    const { kind, minute, grantId } = file.name;
    try {
      const { size, mtimeMs } = await stat(this.#folder.at(file.path));
      // Upper bound for the head and the answer's JSON, escaped and in base64.
      if (size > limits.answerBytesMax * 4) return undefined;
      const [first = '', sealed = ''] = (await readFile(this.#folder.at(file.path), 'utf8')).split('\n');
      const head = readHead(first);
      if (head === undefined) return undefined;
      return {
        head,
        kind,
        committed: kind === 'saved',
        writtenAt: mtimeMs,
        keptSince: minute === null ? mtimeMs : minute * 60_000,
        read: (tenant) => openSealed(head, tenant, sealed),
        markCommitted: async () => {
          if (kind !== 'saved') await this.#move(file, 'saved');
        },
        setAside: async (to) => {
          if (to !== kind) await this.#move(file, to);
          return true;
        },
        remove: () => this.#remove(file.path),
      };
    } catch (error) {
      // Removed or renamed meanwhile. Any other failure hides an answer that may be there.
      if (!isMissing(error)) this.#folder.noteUnreadable(grantId, file.path);
      return undefined;
    }
  }

  /** A file that cannot be renamed keeps its kind. It is replayed again, which is idempotent. */
  async #move(file: SpoolFile, kind: SpoolKind): Promise<void> {
    await this.#folder.move(file, kind).catch(() => {});
  }

  async #remove(path: string): Promise<void> {
    try {
      await this.#folder.remove(path);
    } catch (error) {
      throw new GrantryError('storage_unavailable', `The spool file ${path} cannot be removed.`, {
        action: `Make the spool directory ${this.directory} writable.`,
        cause: error,
      });
    }
  }
}

function shardsFor(grantId: string | undefined): readonly string[] {
  return grantId === undefined ? shards : [shardOf(grantId)];
}
