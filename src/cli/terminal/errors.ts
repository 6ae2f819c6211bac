import { errorCodes, GrantryError } from '../../base/errors.ts';
import { actionAsCommand } from '../../schemas/actions.ts';
import { clean } from './output.ts';

/** Writes a failure on stderr in the contract's form and returns the exit code. */
export function reportError(thrown: unknown, json: boolean): number {
  const error = toGrantryError(thrown);
  if (json) {
    process.stderr.write(`${JSON.stringify(errorItem(error))}\n`);
  } else {
    process.stderr.write(`grantry: ${clean(error.message)}\n`);
    process.stderr.write(`         ${clean(actionAsCommand(error.action))}${waitHint(error)}\n`);
  }
  // Of an unknown exception only the frames are shown, and only on request: its message may hold anything.
  if (error.code === 'internal' && process.env['GRANTRY_LOG_LEVEL'] === 'debug') {
    process.stderr.write(`${frames(thrown)}\n`);
  }
  return errorCodes[error.code].exit;
}

/** The exit code of a report on several grants: 4 as soon as one needs re-authorization, else the first failure's own. */
export function exitCodeOf(codes: readonly (string | null)[]): number {
  const exits = codes
    .filter((code) => code !== null)
    .map((code) => Object.entries(errorCodes).find(([known]) => known === code)?.[1].exit ?? 1);
  return exits.includes(4) ? 4 : (exits[0] ?? 0);
}

/** An error as `--json` shows it. */
export function errorItem(error: GrantryError): Record<string, unknown> {
  return {
    code: error.code,
    message: error.message,
    action: actionAsCommand(error.action),
    ...(error.retryAfterMs === undefined ? {} : { retry_after: Math.ceil(error.retryAfterMs / 1000) }),
  };
}

/** Anything thrown, as an error of the contract. */
export function toGrantryError(thrown: unknown): GrantryError {
  if (thrown instanceof GrantryError) return thrown;
  if (isFileError(thrown)) return fileError(thrown);
  return new GrantryError('internal', 'Something happened that should not have.', {
    action:
      'This is a defect in Grantry: please report it, with the output of the same call under GRANTRY_LOG_LEVEL=debug.',
    cause: thrown,
  });
}

/** The error of a call that cannot be understood. */
export function usageError(message: string, action?: string): GrantryError {
  return new GrantryError('invalid_request', message, { action });
}

const fileErrors: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read or written by this user',
  EPERM: 'may not be read or written by this user',
  EISDIR: 'is a directory',
  ENOTDIR: 'is not a directory',
  EROFS: 'is on a read-only file system',
  ENOSPC: 'does not fit: the disk is full',
  EEXIST: 'exists already',
  ENAMETOOLONG: 'has too long a name',
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

function waitHint(error: GrantryError): string {
  return error.retryAfterMs === undefined ? '' : ` Try again in ${Math.ceil(error.retryAfterMs / 1000)} s.`;
}

function frames(thrown: unknown): string {
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : '';
  const lines = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return clean([thrown instanceof Error ? thrown.constructor.name : typeof thrown, ...lines].join('\n'));
}
