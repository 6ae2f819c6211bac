import { GrantryError, invalidRequest } from '../../base/errors.ts';

/** SQLite's primary result codes that are about the file or the machine, not about the statement. */
const sqliteTroubles: Record<number, string> = {
  3: 'the file may not be opened (permission)',
  5: 'another process holds it for too long (busy)',
  6: 'another process holds it for too long (locked)',
  7: 'there is no memory left',
  8: 'the file or its directory is read-only',
  10: 'reading or writing the disk failed',
  11: 'the file is damaged',
  13: 'the disk is full',
  14: 'the file or its directory cannot be opened',
  15: 'another process holds it for too long (locking protocol)',
  22: 'the file is too large for this machine',
};
const sqliteNotADatabase = 26;
const sqliteUniqueCodes = [2067, 1555, 2579];

const postgresUnique = '23505';
const postgresBusy = ['55P03', '40P01'];
const postgresRepeatable = ['40001', '40P01'];

/** Translates a failure of `node:sqlite`. */
export function sqliteFailure(error: unknown): GrantryError {
  if (error instanceof GrantryError) return error;
  const code = numberOf(error, 'errcode');
  if (code === undefined) {
    if (textOf(error, 'code') === 'ERR_INVALID_STATE') return closed(error);
    return new GrantryError('internal', 'The SQLite driver failed.', { cause: error });
  }
  const primary = code & 0xff;
  if (primary === sqliteNotADatabase) {
    return invalidRequest('The file is not a SQLite database.', { action: 'Name another file.', cause: error });
  }
  const trouble = sqliteTroubles[primary];
  if (trouble !== undefined) {
    return new GrantryError('storage_unavailable', `The SQLite database does not answer: ${trouble}.`, {
      cause: error,
    });
  }
  return new GrantryError('internal', `The SQLite database refused a statement (code ${code}).`, { cause: error });
}

/** Returns true while another process writes or recovers the write-ahead log: the same statement may succeed later. */
export function isSqliteBusy(error: unknown): boolean {
  const code = numberOf(error, 'errcode');
  return code !== undefined && [5, 6, 15].includes(code & 0xff);
}

/** Returns true when PostgreSQL undid the transaction because of another one: run again it may succeed. */
export function isPostgresRepeatable(error: unknown): boolean {
  return postgresRepeatable.includes(sqlState(origin(error)) ?? '');
}

/** Returns the SQLSTATE of an error that PostgreSQL itself sent: the connection is in order then. */
export function sqlState(error: unknown): string | undefined {
  if (textOf(error, 'severity') === undefined) return undefined;
  const code = textOf(error, 'code');
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** Returns true when a statement failed because a row with such a key exists. */
export function isUniqueViolation(error: unknown): boolean {
  const cause = origin(error);
  return sqlState(cause) === postgresUnique || sqliteUniqueCodes.includes(numberOf(cause, 'errcode') ?? -1);
}

/** Returns true when a statement failed because another connection holds what it needs. */
export function isBusy(error: unknown): boolean {
  const cause = origin(error);
  return isSqliteBusy(cause) || postgresBusy.includes(sqlState(cause) ?? '');
}

/** The failures of commits that left no answer. */
const openCommits = new WeakSet<GrantryError>();

/** Notes that the commit which failed with this error may have succeeded, or may succeed later. */
export function markOpenCommit(error: GrantryError): GrantryError {
  openCommits.add(error);
  return error;
}

/** Returns true for the error of a transaction that the database may have kept all the same, or may still keep. */
export function mayBeCommitted(error: unknown): boolean {
  return error instanceof GrantryError && openCommits.has(error);
}

/**
 * Returns true when a failed commit tells nothing about its end: no answer came, or the server broke the connection off.
 * Every other answer to a commit means that it was undone.
 */
export function leavesPostgresCommitOpen(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || ['08', '57P', '58', 'XX'].some((prefix) => state.startsWith(prefix));
}

/** Makes the error of a closed store. */
export function closed(cause?: unknown): GrantryError {
  return new GrantryError('storage_unavailable', 'The database was closed.', {
    action: 'Open the vault again.',
    cause,
  });
}

function origin(error: unknown): unknown {
  return error instanceof GrantryError ? error.cause : error;
}

function textOf(error: unknown, name: string): string | undefined {
  const value = property(error, name);
  return typeof value === 'string' ? value : undefined;
}

function numberOf(error: unknown, name: string): number | undefined {
  const value = property(error, name);
  return typeof value === 'number' ? value : undefined;
}

function property(error: unknown, name: string): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
}
