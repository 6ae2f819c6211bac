import { errorCodes, type GrantryError } from '../../base/errors.ts';
import { actionAsCommand } from '../../schemas/actions.ts';
import { toGrantryError } from './errors.ts';
import { clean, jsonText } from './output.ts';

/** Writes a failure to stderr and returns its exit code. */
export function reportError(thrown: unknown, json: boolean): number {
  const error = toGrantryError(thrown);
  if (json) {
    process.stderr.write(`${jsonText(errorItem(error))}\n`);
  } else {
    process.stderr.write(`grantry: ${clean(error.message)}\n`);
    process.stderr.write(`         ${clean(actionAsCommand(error.action))}${waitHint(error)}\n`);
  }
  // Of an unknown exception only the frames are printed, and only on request: its message may hold a secret.
  if (error.code === 'internal' && process.env['GRANTRY_LOG_LEVEL'] === 'debug') {
    process.stderr.write(`${frames(thrown)}\n`);
  }
  return errorCodes[error.code].exit;
}

/** The JSON form of an error. */
export function errorItem(error: GrantryError): Record<string, unknown> {
  return {
    code: error.code,
    message: error.message,
    action: actionAsCommand(error.action),
    ...(error.reason === undefined ? {} : { reason: error.reason }),
    ...(error.retryAfterMs === undefined ? {} : { retry_after: Math.ceil(error.retryAfterMs / 1000) }),
  };
}

function waitHint(error: GrantryError): string {
  return error.retryAfterMs === undefined ? '' : ` Retry in ${Math.ceil(error.retryAfterMs / 1000)} s.`;
}

function frames(thrown: unknown): string {
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : '';
  const lines = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return clean([thrown instanceof Error ? thrown.constructor.name : typeof thrown, ...lines].join('\n'));
}
