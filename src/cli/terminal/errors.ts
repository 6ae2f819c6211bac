import { errorCodes, GrantryError } from '../../base/errors.ts';

/** The exit code of a report on several grants: 4 as soon as one needs re-authorization, else the first failure's own. */
export function exitCodeOf(codes: readonly (string | null)[]): number {
  const exits = codes
    .filter((code) => code !== null)
    .map((code) => Object.entries(errorCodes).find(([known]) => known === code)?.[1].exit ?? 1);
  return exits.includes(4) ? 4 : (exits[0] ?? 0);
}

/** Converts a thrown value to a {@link GrantryError}. */
export function toGrantryError(thrown: unknown): GrantryError {
  if (thrown instanceof GrantryError) return thrown;
  if (isFileError(thrown)) return fileError(thrown);
  return new GrantryError('internal', 'An unexpected error occurred.', {
    action: 'Report this defect of Grantry, with the output of the same command under GRANTRY_LOG_LEVEL=debug.',
    cause: thrown,
  });
}

/** An error of the command line itself: `invalid_request`. */
export function usageError(message: string, action?: string): GrantryError {
  return new GrantryError('invalid_request', message, { action });
}

const fileErrors: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'cannot be read or written by this user',
  EPERM: 'cannot be read or written by this user',
  EISDIR: 'is a directory',
  ENOTDIR: 'is not a directory',
  EROFS: 'is on a read-only file system',
  ENOSPC: 'cannot be written: the disk is full',
  EEXIST: 'exists already',
  ENAMETOOLONG: 'has a name that is too long',
};

function isFileError(thrown: unknown): thrown is NodeJS.ErrnoException & { path: string; code: string } {
  if (!(thrown instanceof Error) || !('path' in thrown) || !('code' in thrown)) return false;
  return typeof thrown.path === 'string' && typeof thrown.code === 'string' && thrown.code in fileErrors;
}

function fileError(error: NodeJS.ErrnoException & { path: string; code: string }): GrantryError {
  const path = error.path.length > 200 ? `${error.path.slice(0, 200)}…` : error.path;
  return new GrantryError('invalid_request', `${path} ${fileErrors[error.code] ?? 'cannot be used'}.`, {
    action: 'Check the path and its permissions.',
    cause: error,
  });
}
