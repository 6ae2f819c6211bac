import { constants, ftruncateSync, mkdirSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCodeOf } from '../../base/system-error.ts';

/**
 * Writes a text over a reserved file and gives the file its final name. Returns true if the reservation was gone, so that
 * the text is in a new file.
 *
 * Synchronous on purpose: once write and rename return, a SIGKILL cannot lose the text. The thread pool may be busy with
 * other flushes. Flush the file and its directory next, which guards against power loss.
 */
export function writeReserved(file: FileHandle, from: string, to: string, text: string): boolean {
  const bytes = Buffer.from(text);
  ftruncateSync(file.fd, bytes.length);
  writeWhole(file.fd, bytes);
  try {
    renameSync(from, to);
    return false;
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  // The text exists nowhere else, so it must not share the fate of its reservation.
  mkdirSync(dirname(from), { recursive: true, mode: 0o700 });
  writeFileSync(from, text, { mode: 0o600 });
  renameSync(from, to);
  return true;
}

/** Flushes the content of a file. */
export async function flushFile(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY);
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Flushes the names in a directory. */
export async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Tells whether a file or directory does not exist. */
export function isMissing(error: unknown): boolean {
  return systemCodeOf(error) === 'ENOENT';
}

/** Writes all of the bytes. On a disk that gets full a write may stop early without an error; the next one then fails. */
function writeWhole(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    const written = writeSync(file, bytes, at, bytes.length - at, at);
    if (written === 0) throw new Error('the disk takes no more bytes');
    at += written;
  }
}
