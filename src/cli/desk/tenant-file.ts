import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { namePattern } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { usageError } from '../terminal/errors.ts';

/** The name of the file that names the tenant of its directory and of all directories below. */
const tenantFileName = '.grantry';

/** A line break, also of Windows, may follow the name. */
const bytesMax = limits.nameCharsMax + 2;

/** The tenant of a directory, and the file that names it. */
interface DirectoryTenant {
  readonly tenant: string;
  readonly file: string;
}

/**
 * Returns the tenant of a directory: from its own `.grantry` file or from that of the nearest directory above; `null` without
 * any. A directory of that name is a home and no such file.
 *
 * @throws {GrantryError} `invalid_request` for a file that may be another user's work, or that holds more than a name
 */
export function directoryTenant(directory: string): DirectoryTenant | null {
  for (let at = resolve(directory); ; at = dirname(at)) {
    const file = join(at, tenantFileName);
    if (isThere(file)) return { tenant: readName(file), file };
    if (dirname(at) === at) return null;
  }
}

/** Writes the `.grantry` file of a directory. @throws {GrantryError} `invalid_request` where a directory has that name */
export function keepDirectoryTenant(directory: string, tenant: string): string {
  const file = join(resolve(directory), tenantFileName);
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw usageError(
      `${file} is a directory, such as a home of Grantry, so the file cannot have that name.`,
      'Run the command in the directory of a client.',
    );
  }
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${tenant}\n`, { flag: 'wx', mode: 0o644 });
  renameSync(draft, file);
  return file;
}

function isThere(file: string): boolean {
  const found = statOrNull(file, lstatSync);
  if (found === null || found.isDirectory()) return false;
  // A home may be on another disk.
  return !(found.isSymbolicLink() && statOrNull(file, statSync)?.isDirectory() === true);
}

function statOrNull(file: string, read: (path: string) => Stats): Stats | null {
  try {
    return read(file);
  } catch (error) {
    // A directory that this user may not look into names no tenant for them.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR' || code === 'ELOOP') return null;
    throw error;
  }
}

function readName(file: string): string {
  const text = readOwn(file).trim();
  if (namePattern.test(text)) return text;
  throw refused(file, 'does not hold the name of a tenant and nothing else');
}

/** Checks the opened file, so that no other one is read. A link is not followed. */
function readOwn(file: string): string {
  if (lstatSync(file).isSymbolicLink()) throw refused(file, 'is a symbolic link');
  // A pipe of that name would otherwise hold up every command.
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const state = fstatSync(descriptor);
    if (!state.isFile()) throw refused(file, 'is not a file');
    const own = process.getuid?.();
    if (own !== undefined && state.uid !== own) throw refused(file, 'belongs to another user');
    if (own !== undefined && (state.mode & 0o002) !== 0) throw refused(file, 'can be written by every user');
    if (state.size > bytesMax) throw refused(file, `is larger than ${bytesMax} bytes`);
    const bytes = Buffer.alloc(bytesMax);
    return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, bytesMax, 0));
  } finally {
    closeSync(descriptor);
  }
}

function refused(file: string, why: string) {
  return usageError(
    `${file} would name the tenant of this directory, but it ${why}.`,
    'Write it anew with grantry use TENANT --here, or remove it.',
  );
}
