import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { GrantryError } from '../../base/errors.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { flushDirectory, flushFile, isMissing, writeReserved } from './files.ts';
import type { SpoolFolder } from './folder.ts';
import { reservationLine, type SpoolHead, sealAnswer } from './head.ts';
import { parseName, type SpoolKind } from './names.ts';

/** Bytes written before a refresh token is spent, so that a full disk is noticed before, not after. */
const reservedBytes = 16_384;

/** A spool file reserved for an answer: its disk space is already allocated. */
export interface SpoolSlot {
  /** Seals the answer into the file and flushes it. */
  keep(head: SpoolHead, tenant: PinnedTenant, answer: RawAnswer): Promise<void>;
  /** Marks the answer as committed. The file is kept for a while, in case a failover loses the newest commits. */
  markCommitted(): Promise<void>;
  /** Sets the answer aside: the database refuses it, or it was not understood. Returns false if it is in no file. */
  setAside(kind: 'refused' | 'unread'): Promise<boolean>;
  /** Removes the file when no answer worth keeping arrived. */
  discard(): Promise<void>;
}

/**
 * Reserves the file of an attempt.
 *
 * @throws {GrantryError} `storage_unavailable` when the file cannot be written: no token may be spent then.
 */
export async function reserveSlot(folder: SpoolFolder, stem: string, owner: SpoolHead['owner']): Promise<SpoolSlot> {
  const path = folder.at(`${stem}.waiting`);
  try {
    const file = await create(folder, path);
    try {
      const bytes = Buffer.alloc(reservedBytes);
      bytes.write(reservationLine(owner));
      await file.writeFile(bytes);
      await file.datasync();
    } catch (error) {
      await file.close();
      await rm(path, { force: true });
      throw error;
    }
    return new OpenSlot(folder, file, stem);
  } catch (error) {
    throw new GrantryError('storage_unavailable', 'The spool cannot be written; the refresh token was not spent.', {
      action: `Free disk space for the spool directory ${folder.directory} and make it writable.`,
      cause: error,
    });
  }
}

/** Creates the file. If the directory was removed since the spool made it, makes the directory again. */
async function create(folder: SpoolFolder, path: string): Promise<FileHandle> {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
  await folder.make();
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    if (!isMissing(error)) throw error;
    await folder.make({ again: true });
    return open(path, flags, 0o600);
  }
}

class OpenSlot implements SpoolSlot {
  readonly #folder: SpoolFolder;
  readonly #file: FileHandle;
  readonly #stem: string;
  #isWritten = false;

  constructor(folder: SpoolFolder, file: FileHandle, stem: string) {
    this.#folder = folder;
    this.#file = file;
    this.#stem = stem;
  }

  async keep(head: SpoolHead, tenant: PinnedTenant, answer: RawAnswer): Promise<void> {
    const path = this.#path('answer');
    let isNew = false;
    try {
      isNew = writeReserved(this.#file, this.#path('waiting'), path, sealAnswer(head, tenant, answer));
      this.#isWritten = true;
      if (!isNew) await this.#file.datasync();
    } finally {
      await this.#file.close();
    }
    if (isNew) await flushFile(path);
    await flushDirectory(this.#folder.directory);
  }

  async markCommitted(): Promise<void> {
    if (this.#isWritten) await this.#move('saved');
    else await this.#dropReservation();
  }

  async setAside(kind: 'refused' | 'unread'): Promise<boolean> {
    // After a failure the file keeps its kind, or another process has just moved it. Either way it is replayed.
    await (this.#isWritten ? this.#move(kind) : this.#dropReservation()).catch(() => {});
    return this.#isWritten;
  }

  async discard(): Promise<void> {
    try {
      if (this.#isWritten) await rm(this.#path('answer'), { force: true });
      else await this.#dropReservation();
    } catch {
      // The file holds nothing worth keeping, and the outcome must be recorded even if the file stays.
    }
  }

  async #dropReservation(): Promise<void> {
    await this.#file.close();
    await rm(this.#path('waiting'), { force: true });
  }

  async #move(kind: SpoolKind): Promise<void> {
    const path = `${this.#stem}.answer`;
    const name = parseName(path);
    if (name !== undefined) await this.#folder.move({ path, name }, kind);
  }

  #path(kind: SpoolKind): string {
    return this.#folder.at(`${this.#stem}.${kind}`);
  }
}
