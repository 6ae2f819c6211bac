import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { chmod, type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { systemCodeOf } from '../../base/system-error.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { flushDirectory, flushFile, isMissing, writeReserved } from './files.ts';
import { answerOf, sealable } from './head.ts';

/** Bytes written before a code is spent, so that a full disk is noticed before, not after. */
const reservedBytes = 16_384;

const consentHead = z.strictObject({
  version: z.literal(1),
  /** The hash of the callback or of the code; the grant's event names it too. */
  id: z.string().regex(/^[0-9a-f]{64}$/),
  tenant: z.string(),
  provider: z.string(),
  account: z.string(),
  app: z.string(),
  dc: z.string().nullable(),
  asked: z.array(z.string()),
  /** Members that the callback brought for the grant's metadata. */
  captured: z.record(z.string(), z.string()),
  /** The hash of the provider's place and the app's client when the code was sent. */
  place: z.string().optional(),
  /** The id of the only organisation whose tokens are stored. */
  expectOrganization: z.string().optional(),
  /** The authorization request that a callback answered; null for a code without one. */
  stateHash: z.string().nullable(),
  session: z.object({ id: z.string(), starts: z.number(), completionHash: z.string().nullable() }).nullable(),
  /** The grant when the code was sent; null if there was none. */
  seen: z.object({ id: z.string(), authorizedGeneration: z.number(), ended: z.boolean() }).nullable(),
  owner: z.object({ id: z.string(), host: z.string(), pid: z.number() }),
  at: z.number(),
});

/** Identification of the consent that an answer belongs to. It contains no secret. */
export type ConsentHead = z.output<typeof consentHead>;

/**
 * A file reserved for the answer to one code. A file that cannot be moved or removed stays: the next round finishes it
 * again, which changes nothing, or sweeps it.
 */
export interface ConsentSlot {
  /** Seals the answer into the file and flushes it. */
  keep(head: ConsentHead, tenant: PinnedTenant, answer: RawAnswer): Promise<void>;
  /** Removes the file: the grant is stored, or nothing is worth keeping. */
  remove(): Promise<void>;
  /** Leaves the file to the next start, round or callback. */
  leave(): Promise<void>;
  /** Sets an answer aside that was not understood. It is kept for a later version, for as long as a condemned grant. */
  setAside(): Promise<void>;
}

/** An answer found in the directory. If its file cannot be moved or removed, it stays, and the next round sees it again. */
export interface ConsentEntry {
  readonly head: ConsentHead;
  /** The name of its file. */
  readonly name: string;
  /** Write time in milliseconds since 1970. */
  readonly writtenAt: number;
  read(tenant: PinnedTenant): RawAnswer;
  setAside(): Promise<void>;
  remove(): Promise<void>;
}

/** Which files a list removes: those from before these times, without the answers whose files are to be kept. */
export interface ConsentSweep {
  readonly reservedBefore?: number;
  readonly unreadBefore?: number;
  readonly kept?: ReadonlySet<string>;
}

/**
 * Answers to codes on a local disk, one sealed and flushed file per consent, until the grant is stored.
 *
 * A code works once. Until its answer is committed, the tokens exist nowhere else.
 */
export class Consents {
  readonly directory: string;
  readonly #spoolDirectory: string;
  /** Consents whose caller in this process is still storing them, by the nonce of their reservation. */
  readonly #underWay = new Map<string, string>();

  readonly #failed: (path: string, error: unknown) => void;

  /** @param failed is told of each file that cannot be read, moved or removed, and that stays */
  constructor(spoolDirectory: string, failed: (path: string, error: unknown) => void) {
    this.#spoolDirectory = spoolDirectory;
    this.#failed = failed;
    this.directory = join(spoolDirectory, 'consents');
  }

  /**
   * Reserves the file of a consent.
   *
   * @throws {GrantryError} `storage_unavailable` when the file cannot be written: no code may be spent then.
   */
  async reserve(id: string, nonce: string): Promise<ConsentSlot> {
    const waiting = join(this.directory, `${id}.${nonce}.reserved`);
    try {
      await this.#makeDirectory();
      const file = await open(waiting, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
      try {
        await file.writeFile(Buffer.alloc(reservedBytes));
        await file.datasync();
      } catch (error) {
        await file.close();
        await rm(waiting, { force: true });
        throw error;
      }
      this.#underWay.set(nonce, id);
      return this.#slot(file, waiting, { id, nonce });
    } catch (error) {
      throw new GrantryError('storage_unavailable', 'The spool cannot be written; the code was not spent.', {
        action: `Free disk space for the spool directory ${this.directory} and make it writable.`,
        cause: error,
      });
    }
  }

  /** Tells whether a caller in this process is still storing a consent. */
  isUnderWay(id: string): boolean {
    return [...this.#underWay.values()].includes(id);
  }

  /**
   * Lists the answers, oldest first: those to be stored, or those that were not understood. Removes reservations and answers
   * that were not understood when they are older than the given times.
   */
  async list(
    kind: 'consent' | 'unread' = 'consent',
    { reservedBefore = 0, unreadBefore = 0, kept = new Set() }: ConsentSweep = {},
  ): Promise<ConsentEntry[]> {
    const entries: ConsentEntry[] = [];
    for (const name of await this.#names()) {
      if (name.endsWith('.reserved')) await this.#removeIfOld(name, reservedBefore);
      if (name.endsWith('.unread') && !kept.has(name)) await this.#removeIfOld(name, unreadBefore);
      if (!name.endsWith(`.${kind}`)) continue;
      const entry = await this.#entry(name);
      if (entry !== undefined) entries.push(entry);
    }
    return entries.sort((one, other) => one.writtenAt - other.writtenAt);
  }

  /** Finds the answer of one consent. */
  async find(id: string): Promise<ConsentEntry | undefined> {
    return this.#entry(`${id}.consent`);
  }

  async #remove(path: string): Promise<void> {
    await rm(path, { force: true }).catch((error: unknown) => this.#failed(path, error));
  }

  /** Another process may have moved the file just now. */
  async #setAside(path: string): Promise<void> {
    const unread = path.replace(/\.consent$/, '.unread');
    await rename(path, unread).catch((error: unknown) => isMissing(error) || this.#failed(path, error));
  }

  async #makeDirectory(): Promise<void> {
    const made = await mkdir(this.directory, { recursive: true, mode: 0o700 });
    if (made === undefined) return;
    await chmod(this.#spoolDirectory, 0o700);
    await flushDirectory(this.#spoolDirectory);
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

  #slot(file: FileHandle, waiting: string, { id, nonce }: { id: string; nonce: string }): ConsentSlot {
    let kept = join(this.directory, `${id}.consent`);
    let isWritten = false;
    const close = async (): Promise<void> => {
      if (isWritten) return;
      await file.close().catch(() => {
        // A failed write has closed it already.
      });
      await this.#remove(waiting);
    };
    return {
      keep: async (head, tenant, raw) => {
        try {
          const first = JSON.stringify(head);
          // The answer to another exchange of the same code, which may have brought the tokens.
          if (existsSync(kept)) kept = join(this.directory, `${id}.${nonce}.consent`);
          const text = `${first}\n${tenant.seal(placeOf(first, head), sealable(raw))}\n`;
          const isNewFile = writeReserved(file, waiting, kept, text);
          isWritten = true;
          await (isNewFile ? flushFile(kept) : file.datasync());
        } finally {
          await file.close();
        }
        await flushDirectory(this.directory);
      },
      remove: async () => {
        this.#underWay.delete(nonce);
        await close();
        if (isWritten) await this.#remove(kept);
      },
      setAside: async () => {
        this.#underWay.delete(nonce);
        await close();
        if (isWritten) await this.#setAside(kept);
      },
      leave: async () => {
        this.#underWay.delete(nonce);
        await close();
      },
    };
  }

  async #removeIfOld(name: string, olderThan: number): Promise<void> {
    const path = join(this.directory, name);
    const writtenAt = (await stat(path).catch(() => undefined))?.mtimeMs;
    if (writtenAt !== undefined && writtenAt < olderThan) await this.#remove(path);
  }

  async #entry(name: string): Promise<ConsentEntry | undefined> {
    const path = join(this.directory, name);
    try {
      const { size, mtimeMs } = await stat(path);
      // Upper bound for the head and the answer's JSON, escaped and in base64.
      if (size > limits.answerBytesMax * 4) return undefined;
      const [first = '', sealed = ''] = (await readFile(path, 'utf8')).split('\n');
      const head = consentHead.parse(JSON.parse(first));
      return {
        head,
        name,
        writtenAt: mtimeMs,
        read: (tenant) => answerOf(tenant.open(placeOf(first, head), sealed)),
        setAside: () => this.#setAside(path),
        remove: () => this.#remove(path),
      };
    } catch (error) {
      // Removed meanwhile, or not written by Grantry. Leaving it in place loses nothing.
      if (systemCodeOf(error) !== null && !isMissing(error)) this.#failed(path, error);
      return undefined;
    }
  }
}

/** Binds the seal to every character of the head: a renamed or edited file does not open. */
function placeOf(first: string, head: ConsentHead): { table: string; row: string; column: string; generation: number } {
  const column = createHash('sha256').update(first).digest('hex');
  return { table: 'consents', row: head.id, column, generation: 0 };
}
