import { constants, existsSync, ftruncateSync, renameSync, writeSync } from 'node:fs';
import { chmod, type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import type { Owner } from './owner.ts';

/** Bytes written before a refresh token is spent, so that a full disk is noticed before, not after. */
const reservedBytes = 16_384;

const reservationsPerSweep = 64;
const sweptAtOnce = 32;
/** Fractional parts of its multiples are spread evenly over 0..1 (low-discrepancy sequence). */
const goldenRatio = (Math.sqrt(5) - 1) / 2;

const spoolHead = z.strictObject({
  version: z.literal(1),
  tenant: z.string(),
  grantId: z.string(),
  attemptId: z.string(),
  generation: z.number(),
  fence: z.number(),
  /** The fingerprint of the token that was spent. */
  tokenFingerprint: z.string(),
  candidateId: z.string().nullable(),
  owner: z.object({ id: z.string(), host: z.string(), pid: z.number() }),
  at: z.number(),
});

/** Identification of the attempt that a spooled answer belongs to. It contains no secret. */
export type SpoolHead = z.output<typeof spoolHead>;

const spooledAnswer = z.object({
  status: z.number(),
  contentType: z.string().nullable(),
  retryAfter: z.string().nullable(),
  body: z.string().nullable(),
  incomplete: z.boolean(),
  requestedAt: z.number(),
});

/** A spool file reserved for an answer: its disk space is already allocated. */
export interface SpoolSlot {
  /** Seals the answer into the file and flushes it. */
  keep(head: SpoolHead, tenant: PinnedTenant, answer: RawAnswer): Promise<void>;
  /** Marks the answer as committed. The file is kept for a while, in case a failover loses the newest commits. */
  markCommitted(): Promise<void>;
  /** Removes the file when no answer worth keeping arrived. */
  discard(): Promise<void>;
}

/** A slice of the file list, for a spool too long to be read in full at every start. */
export interface SpoolPart {
  count: number;
  /** Start of the slice, as a fraction of the list. */
  from: number;
}

/** An answer found in the spool. */
export interface SpoolEntry {
  readonly head: SpoolHead;
  readonly committed: boolean;
  /** Write time in milliseconds since 1970. */
  readonly writtenAt: number;
  read(tenant: PinnedTenant): RawAnswer;
  markCommitted(): Promise<void>;
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
  #hasDirectory = false;
  #reservations = 0;

  constructor(directory: string, owner: Owner) {
    this.directory = directory;
    this.owner = owner;
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
      await this.sweep(sweepBefore, { count: 2 * reservationsPerSweep, from });
    }
    const path = join(this.directory, `${name}.waiting`);
    try {
      const file = await this.#create(path);
      try {
        await file.write(Buffer.alloc(reservedBytes));
        await file.datasync();
      } catch (error) {
        await file.close();
        await rm(path, { force: true });
        throw error;
      }
      return this.#slot(file, path, name);
    } catch (error) {
      throw new GrantryError('storage_unavailable', 'The spool cannot be written; the refresh token was not spent.', {
        action: `Free disk space for the spool directory ${this.directory} and make it writable.`,
        cause: error,
      });
    }
  }

  /**
   * Lists the answers in the spool, oldest first. `grantId` selects one grant, `waitingOnly` the uncommitted answers.
   * Unreadable files are left in place.
   */
  async list(grantId?: string, { waitingOnly = false }: { waitingOnly?: boolean } = {}): Promise<SpoolEntry[]> {
    const names = await this.#names();
    const entries: SpoolEntry[] = [];
    for (const name of names.filter((each) => isAnswer(each) && mayBelongTo(each, grantId))) {
      if (waitingOnly && !name.endsWith('.answer')) continue;
      const entry = await this.#entry(name);
      if (entry !== undefined && (grantId === undefined || entry.head.grantId === grantId)) entries.push(entry);
    }
    return entries.sort((one, other) => one.writtenAt - other.writtenAt);
  }

  /** Reads the heads of a slice of the answers. */
  async heads(part: SpoolPart): Promise<SpoolHead[]> {
    const names = partOf((await this.#names()).filter(isAnswer), part);
    const heads: SpoolHead[] = [];
    for (let start = 0; start < names.length; start += sweptAtOnce) {
      const entries = await Promise.all(names.slice(start, start + sweptAtOnce).map((name) => this.#entry(name)));
      for (const entry of entries) if (entry !== undefined) heads.push(entry.head);
    }
    return heads;
  }

  /** Counts the files of each kind. */
  async depth(): Promise<{ waiting: number; answer: number; saved: number }> {
    const depth = { waiting: 0, answer: 0, saved: 0 };
    for (const name of await this.#names()) {
      if (name.endsWith('.waiting')) depth.waiting += 1;
      else if (name.endsWith('.answer')) depth.answer += 1;
      else if (name.endsWith('.saved')) depth.saved += 1;
    }
    return depth;
  }

  /**
   * Removes files older than a time: empty reservations that a crash left behind, and answers committed long enough ago
   * that no failover can lose them any more. `part` restricts the sweep to a slice of the files.
   */
  async sweep(olderThan: number, part?: SpoolPart): Promise<void> {
    const names = (await this.#names()).filter((name) => name.endsWith('.waiting') || name.endsWith('.saved'));
    const swept = part === undefined ? names : partOf(names, part);
    for (let start = 0; start < swept.length; start += sweptAtOnce) {
      await Promise.all(swept.slice(start, start + sweptAtOnce).map((name) => this.#removeIfOld(name, olderThan)));
    }
  }

  async #removeIfOld(name: string, olderThan: number): Promise<void> {
    const path = join(this.directory, name);
    const writtenAt = (await stat(path).catch(() => undefined))?.mtimeMs;
    if (writtenAt === undefined || writtenAt >= olderThan) return;
    await rm(path, { force: true }).catch(() => {
      // The file only takes disk space; a failed removal must not block a start.
    });
  }

  /** Tells whether an uncommitted answer exists under this name. Synchronous: it is the last check before a request. */
  hasAnswer(name: string): boolean {
    return existsSync(join(this.directory, `${name}.answer`));
  }

  /** Creates the file. If the directory was removed since the spool made it, makes the directory again. */
  async #create(path: string): Promise<FileHandle> {
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
    await this.#makeDirectory();
    try {
      return await open(path, flags, 0o600);
    } catch (error) {
      if (!isMissing(error)) throw error;
      this.#hasDirectory = false;
      await this.#makeDirectory();
      return open(path, flags, 0o600);
    }
  }

  async #makeDirectory(): Promise<void> {
    if (this.#hasDirectory) return;
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await chmod(this.directory, 0o700);
    this.#hasDirectory = true;
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.directory);
    } catch (error) {
      if (isMissing(error)) return [];
      throw new GrantryError('storage_unavailable', `The spool directory ${this.directory} cannot be read.`, {
        action: 'Make the directory readable for the user that runs Grantry.',
        cause: error,
      });
    }
  }

  #slot(file: FileHandle, waiting: string, name: string): SpoolSlot {
    const answer = join(this.directory, `${name}.answer`);
    const saved = join(this.directory, `${name}.saved`);
    let isWritten = false;
    const dropReservation = async (): Promise<void> => {
      await file.close();
      await rm(waiting, { force: true });
    };
    return {
      keep: async (head, tenant, raw) => {
        try {
          const bytes = Buffer.from(`${JSON.stringify(head)}\n${tenant.seal(spoolPlace(head), sealable(raw))}\n`);
          // Synchronous on purpose: once write and rename return, a SIGKILL cannot lose the answer. The thread pool may be
          // busy with other flushes. The flush below only guards against power loss.
          ftruncateSync(file.fd, bytes.length);
          writeWhole(file.fd, bytes);
          renameSync(waiting, answer);
          isWritten = true;
          await file.datasync();
        } finally {
          await file.close();
        }
        await this.#flushDirectory();
      },
      markCommitted: async () => {
        if (isWritten) await rename(answer, saved);
        else await dropReservation();
      },
      discard: async () => {
        try {
          if (isWritten) await rm(answer, { force: true });
          else await dropReservation();
        } catch {
          // The file holds nothing worth keeping, and the outcome must be recorded even if the file stays.
        }
      },
    };
  }

  async #flushDirectory(): Promise<void> {
    const directory = await open(this.directory, constants.O_RDONLY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  async #entry(name: string): Promise<SpoolEntry | undefined> {
    const path = join(this.directory, name);
    try {
      const { size, mtimeMs } = await stat(path);
      // Upper bound for the head and the answer's JSON, escaped and in base64.
      if (size > limits.answerBytesMax * 4) return undefined;
      const [first = '', sealed = ''] = (await readFile(path, 'utf8')).split('\n');
      const head = spoolHead.parse(JSON.parse(first));
      return {
        head,
        committed: name.endsWith('.saved'),
        writtenAt: mtimeMs,
        read: (tenant) => readSealed(head, tenant, sealed),
        markCommitted: async () => {
          if (!name.endsWith('.answer')) return;
          await rename(path, path.replace(/\.answer$/, '.saved')).catch(() => {
            // The file keeps its name and is replayed again, which is idempotent.
          });
        },
        remove: async () => {
          try {
            await rm(path, { force: true });
          } catch (error) {
            throw new GrantryError('storage_unavailable', `The spool file ${name} cannot be removed.`, {
              action: `Make the spool directory ${this.directory} writable.`,
              cause: error,
            });
          }
        },
      };
    } catch {
      // Removed meanwhile, or not a spool file. Leaving it in place loses nothing.
      return undefined;
    }
  }
}

/** Writes all of the bytes. On a disk that gets full a write may stop early without an error; the next one then fails. */
export function writeWhole(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, at);
}

function partOf(names: readonly string[], { count, from }: SpoolPart): readonly string[] {
  const first = Math.floor(from * Math.max(0, names.length - count + 1));
  return names.slice(first, first + count);
}

function isAnswer(name: string): boolean {
  return name.endsWith('.answer') || name.endsWith('.saved');
}

/** Filters by the grant's id, the first part of a name, so that a search for one grant opens no other grant's files. */
function mayBelongTo(name: string, grantId: string | undefined): boolean {
  const [named] = name.split('.');
  return grantId === undefined || named === grantId || named?.length !== grantId.length;
}

/** Binds the seal to the attempt: a renamed or edited file does not open. */
function spoolPlace(head: SpoolHead): { table: string; row: string; column: string; generation: number } {
  return { table: 'spool', row: head.grantId, column: `${head.attemptId}:${head.fence}`, generation: head.generation };
}

export function sealable(raw: RawAnswer): Secret {
  return new Secret(JSON.stringify({ ...raw, body: raw.body?.reveal() ?? null }));
}

function readSealed(head: SpoolHead, tenant: PinnedTenant, sealed: string): RawAnswer {
  return answerOf(tenant.open(spoolPlace(head), sealed));
}

/** Reads what {@link sealable} made. */
export function answerOf(plain: Secret): RawAnswer {
  const answer = spooledAnswer.parse(JSON.parse(plain.reveal()));
  return { ...answer, body: answer.body === null || answer.body === '' ? null : new Secret(answer.body) };
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
