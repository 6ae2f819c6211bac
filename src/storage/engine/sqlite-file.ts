import { closeSync, openSync, type Stats, statfsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { GrantryError, invalidRequest } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { othersWho } from '../../base/writers.ts';

/** Linux's numbers of file systems whose locks do not hold between hosts: NFS, SMB, CIFS, SMB2, AFS, Ceph. */
const networkFileSystems = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f, 0x00c36400]);

/**
 * Checks the place of a SQLite database. Makes a missing file, readable only by its owner.
 *
 * @returns the absolute path
 * @throws {GrantryError} `invalid_request` for a place where no database can be, and for a file that others can write; `storage_unavailable` where it may not
 */
export function prepareSqliteFile(path: string, logger: Logger, readOnly = false): string {
  if (path === '' || path.includes('\0')) throw refused('it names no file');
  if (/^[a-z][a-z0-9+.-]+:/i.test(path)) throw refused('it is a URL, not a path');
  if (/^(\\\\|\/\/[^/])/.test(path)) throw refused('it is on another host; SQLite needs a local disk');
  const file = resolve(path);
  const directory = look(dirname(file));
  if (directory === undefined) throw refused('its directory does not exist');
  if (!directory.isDirectory()) throw refused('its directory is a file');
  const existing = look(file);
  if (existing && !existing.isFile()) throw refused(existing.isDirectory() ? 'it is a directory' : 'it is not a file');
  if (process.platform === 'linux' && networkFileSystems.has(statfsSync(dirname(file)).type)) {
    throw refused('it is on a network file system; SQLite needs a local disk');
  }
  if (existing === undefined && readOnly) throw refused('there is no such file');
  // The write-ahead log is a part of the database.
  for (const part of [file, `${file}-wal`, `${file}-shm`]) refuseWritable(part);
  if (existing === undefined) create(file);
  else if (process.platform !== 'win32' && (existing.mode & 0o077) !== 0) {
    logger.warn('the database file can be read by other users of this machine', { mode: modeText(existing) });
  }
  return file;
}

/**
 * Names the place of a database file: its inode and its birth, since another file soon gets a free inode. Writes to the file
 * change neither.
 *
 * @throws {GrantryError} `storage_unavailable` when there is no such file any more
 */
export function placeOf(file: string): string {
  try {
    const { ino, birthtimeMs } = statSync(file, { bigint: true });
    return birthtimeMs > 0n && tellsBirths() ? `inode:${ino} born:${birthtimeMs}` : `inode:${ino}`;
  } catch (cause) {
    throw new GrantryError('storage_unavailable', 'The SQLite database file no longer exists.', {
      action: 'Restore the file from a backup, or correct GRANTRY_DATABASE.',
      cause,
    });
  }
}

/** Returns false where the kernel has no births: Node.js then gives the time of the last change, also of this program. */
function tellsBirths(): boolean {
  const program = statSync(process.execPath, { bigint: true, throwIfNoEntry: false });
  return program !== undefined && program.birthtimeNs !== program.ctimeNs;
}

/** The write-ahead log and the shared memory take over the mode of the file, so it must be right before SQLite sees it. */
function create(file: string): void {
  try {
    closeSync(openSync(file, 'a', 0o600));
  } catch (cause) {
    throw new GrantryError('storage_unavailable', `The SQLite database cannot be made: ${reason(cause)}.`, {
      action: 'Make its directory writable, or name another file with GRANTRY_DATABASE.',
      cause,
    });
  }
}

/** Refuses a file that other users can write: they could destroy grants, or put old ones back. */
function refuseWritable(path: string): void {
  const writers = othersWho(path, '600');
  if (writers === null) return;
  throw invalidRequest(`The database file ${path} is not safe: ${writers.who}.`, { action: writers.action });
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw new GrantryError('storage_unavailable', `The SQLite database cannot be reached: ${reason(cause)}.`, {
      cause,
    });
  }
}

function refused(why: string): GrantryError {
  return invalidRequest(`The SQLite database cannot be opened: ${why}.`, {
    action: 'Name a file on a local disk: sqlite:PATH.',
  });
}

function reason(error: unknown): string {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' ? code : 'unknown';
}

function modeText(stats: Stats): string {
  return (stats.mode & 0o777).toString(8).padStart(4, '0');
}
