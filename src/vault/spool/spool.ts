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

/** Room that is written before a refresh token is spent: a full disk must be noticed before, not after. */
const reservedBytes = 16_384;

const reservationsPerSweep = 64;
const sweptAtOnce = 32;
/** Multiples of it, without their whole part, come close to every fraction in turn. */
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

/** Which attempt a spooled answer belongs to. Nothing in it is secret. */
export type SpoolHead = z.output<typeof spoolHead>;

const spooledAnswer = z.object({
  status: z.number(),
  contentType: z.string().nullable(),
  retryAfter: z.string().nullable(),
  body: z.string().nullable(),
  incomplete: z.boolean(),
  requestedAt: z.number(),
});

/** A file that waits for an answer: its room on the disk is taken already. */
export interface SpoolSlot {
  /** Seals the answer into the file and flushes it. */
  keep(head: SpoolHead, tenant: PinnedTenant, answer: RawAnswer): Promise<void>;
  /** The answer is committed: the file is kept a while for a database that loses its tail. */
  markCommitted(): Promise<void>;
  /** No answer worth keeping came. */
  discard(): Promise<void>;
}

/** Some files next to each other: a spool can be too long for every start to read all of it. */
export interface SpoolPart {
  count: number;
  /** The fraction of all at which they begin. */
  from: number;
}

/** An answer found in the spool. */
export interface SpoolEntry {
  readonly head: SpoolHead;
  readonly committed: boolean;
  /** When the file was written, in milliseconds since 1970. */
  readonly writtenAt: number;
  read(tenant: PinnedTenant): RawAnswer;
  markCommitted(): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Token answers on a local disk, one sealed and flushed file per attempt.
 *
 * From the moment an answer arrives until it is committed, it exists nowhere else: at a provider that rotates, a crash or
 * a lost database in between would lose the grant. The file is written before anybody tries to understand the answer.
 */
export class Spool {
  readonly directory: string;
  readonly #owner: Owner;
  #made = false;
  #reservations = 0;

  constructor(directory: string, owner: Owner) {
    this.directory = directory;
    this.#owner = owner;
  }

  /**
   * @param name The grant's id, a dot and the attempt's.
   * @param sweepBefore What is older is swept away now and then, so that a process without workers does not pile it up.
   * @throws {GrantryError} `storage_unavailable` when there is no room: then nothing may be spent.
   */
  async reserve(name: string, sweepBefore?: number): Promise<SpoolSlot> {
    this.#reservations += 1;
    if (sweepBefore !== undefined && this.#reservations % reservationsPerSweep === 0) {
      // A part: a caller waits for this. Twice what has come since, and each time elsewhere, keeps the pile bounded.
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
      throw new GrantryError('storage_unavailable', 'The spool cannot be written, so no refresh token is spent.', {
        action: `Make room and write access for the spool directory ${this.directory}.`,
        cause: error,
      });
    }
  }

  /**
   * The answers in the spool, oldest first; of one grant if it is named, or only those that wait to be committed.
   * Unreadable files are left where they are.
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

  /** Which attempts the answers belong to, of so many files that begin at a fraction of all. */
  async heads(part: SpoolPart): Promise<SpoolHead[]> {
    const names = partOf((await this.#names()).filter(isAnswer), part);
    const heads: SpoolHead[] = [];
    for (let start = 0; start < names.length; start += sweptAtOnce) {
      const entries = await Promise.all(names.slice(start, start + sweptAtOnce).map((name) => this.#entry(name)));
      for (const entry of entries) if (entry !== undefined) heads.push(entry.head);
    }
    return heads;
  }

  /** How many files there are of each kind. */
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
   * Removes what is older than a time: reservations that a crash left behind, which hold nothing, and answers that were
   * committed so long ago that no database has lost them. With `part`, of so many files that begin at a fraction of all.
   */
  async sweep(olderThan: number, part?: SpoolPart): Promise<void> {
    const names = (await this.#names()).filter((name) => name.endsWith('.waiting') || name.endsWith('.saved'));
    const looked = part === undefined ? names : partOf(names, part);
    for (let start = 0; start < looked.length; start += sweptAtOnce) {
      await Promise.all(looked.slice(start, start + sweptAtOnce).map((name) => this.#removeIfOld(name, olderThan)));
    }
  }

  async #removeIfOld(name: string, olderThan: number): Promise<void> {
    const path = join(this.directory, name);
    const writtenAt = (await stat(path).catch(() => undefined))?.mtimeMs;
    if (writtenAt === undefined || writtenAt >= olderThan) return;
    await rm(path, { force: true }).catch(() => {
      // It only takes room, and keeps nobody from starting.
    });
  }

  get owner(): Owner {
    return this.#owner;
  }

  /** Whether an answer under this name waits to be committed. Synchronous, for the last look before a request. */
  hasAnswer(name: string): boolean {
    return existsSync(join(this.directory, `${name}.answer`));
  }

  /** Somebody may have removed the directory since it was made. */
  async #create(path: string): Promise<FileHandle> {
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
    await this.#makeDirectory();
    try {
      return await open(path, flags, 0o600);
    } catch (error) {
      if (!isMissing(error)) throw error;
      this.#made = false;
      await this.#makeDirectory();
      return open(path, flags, 0o600);
    }
  }

  async #makeDirectory(): Promise<void> {
    if (this.#made) return;
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await chmod(this.directory, 0o700);
    this.#made = true;
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.directory);
    } catch (error) {
      if (isMissing(error)) return [];
      throw new GrantryError('storage_unavailable', 'The spool directory cannot be read.', { cause: error });
    }
  }

  #slot(file: FileHandle, waiting: string, name: string): SpoolSlot {
    const answer = join(this.directory, `${name}.answer`);
    const saved = join(this.directory, `${name}.saved`);
    let kept = false;
    const dropReservation = async (): Promise<void> => {
      await file.close();
      await rm(waiting, { force: true });
    };
    return {
      keep: async (head, tenant, raw) => {
        try {
          const bytes = Buffer.from(`${JSON.stringify(head)}\n${tenant.seal(spoolPlace(head), sealable(raw))}\n`);
          // In one turn, past the thread pool where other files are being flushed: a process that is killed from here on
          // leaves the answer to the operating system. Flushing is against the machine's own end.
          ftruncateSync(file.fd, bytes.length);
          writeSync(file.fd, bytes, 0, bytes.length, 0);
          renameSync(waiting, answer);
          kept = true;
          await file.datasync();
        } finally {
          await file.close();
        }
        await this.#flushDirectory();
      },
      markCommitted: async () => {
        if (kept) await rename(answer, saved);
        else await dropReservation();
      },
      discard: async () => {
        try {
          if (kept) await rm(answer, { force: true });
          else await dropReservation();
        } catch {
          // It holds nothing worth keeping. What follows from the answer must be written, whatever becomes of the file.
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
      // The head, and the answer's JSON in base64 with escapes.
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
            // It keeps its first name and is replayed again, which changes nothing.
          });
        },
        remove: async () => {
          try {
            await rm(path, { force: true });
          } catch (error) {
            throw new GrantryError('storage_unavailable', 'A file of the spool cannot be removed.', { cause: error });
          }
        },
      };
    } catch {
      // Removed meanwhile, or not ours: nothing that this file could tell is lost by leaving it alone.
      return undefined;
    }
  }
}

function partOf(names: readonly string[], { count, from }: SpoolPart): readonly string[] {
  const first = Math.floor(from * Math.max(0, names.length - count + 1));
  return names.slice(first, first + count);
}

function isAnswer(name: string): boolean {
  return name.endsWith('.answer') || name.endsWith('.saved');
}

/** Names begin with the grant's id, so that looking for one grant's answers opens no other's. */
function mayBelongTo(name: string, grantId: string | undefined): boolean {
  const [named] = name.split('.');
  return grantId === undefined || named === grantId || named?.length !== grantId.length;
}

/** A seal binds the answer to its attempt: a file renamed or edited does not open. */
function spoolPlace(head: SpoolHead): { table: string; row: string; column: string; generation: number } {
  return { table: 'spool', row: head.grantId, column: `${head.attemptId}:${head.fence}`, generation: head.generation };
}

function sealable(raw: RawAnswer): Secret {
  return new Secret(JSON.stringify({ ...raw, body: raw.body?.reveal() ?? null }));
}

function readSealed(head: SpoolHead, tenant: PinnedTenant, sealed: string): RawAnswer {
  const plain = tenant.open(spoolPlace(head), sealed).reveal();
  const answer = spooledAnswer.parse(JSON.parse(plain));
  return { ...answer, body: answer.body === null || answer.body === '' ? null : new Secret(answer.body) };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
