import type { ErrorReason } from './error-reasons.ts';
import { hideTokens } from './scrub.ts';

/**
 * The error codes Grantry answers with, and what each means for an HTTP client, a shell script and a person.
 *
 * `retryable` is true when the same call can succeed later without any change.
 */
export const errorCodes = {
  invalid_request: { status: 400, exit: 2, retryable: false, action: 'Correct the request.' },
  unauthorized: { status: 401, exit: 1, retryable: false, action: 'Send a valid API key.' },
  forbidden: { status: 403, exit: 1, retryable: false, action: 'Use an API key that may do this.' },
  authorization_failed: { status: 400, exit: 1, retryable: false, action: 'Connect again.' },
  insufficient_scope: { status: 403, exit: 1, retryable: false, action: 'Connect again with more scopes.' },
  not_found: { status: 404, exit: 3, retryable: false, action: 'Check the name.' },
  grant_not_found: { status: 404, exit: 3, retryable: false, action: 'Connect this tenant to the provider first.' },
  reauthorization_required: { status: 409, exit: 4, retryable: false, action: 'The tenant must connect again.' },
  grant_quarantined: {
    status: 409,
    exit: 4,
    retryable: false,
    action: 'Run grantry adopt if this database should refresh the grants: it looks restored or cloned.',
  },
  payload_too_large: { status: 413, exit: 2, retryable: false, action: 'Send a smaller body or file.' },
  rate_limited: { status: 429, exit: 5, retryable: true, action: 'Send fewer requests, and wait before the next one.' },
  integrity_failed: {
    status: 500,
    exit: 1,
    retryable: false,
    action: 'Restore the stored value from a backup, or connect this tenant again.',
  },
  provider_misconfigured: {
    status: 502,
    exit: 6,
    retryable: false,
    action: 'Fix the app: client id, client secret, redirect URI or data centre. No grant is harmed.',
  },
  provider_error: {
    status: 502,
    exit: 1,
    retryable: false,
    action: "Check the provider's status page. No grant is harmed.",
  },
  provider_throttled: {
    status: 503,
    exit: 5,
    retryable: true,
    action: 'Wait until the provider allows new tokens again.',
  },
  provider_unavailable: {
    status: 503,
    exit: 5,
    retryable: true,
    action: 'Try again when the provider has recovered. No grant is harmed.',
  },
  refresh_uncertain: { status: 503, exit: 5, retryable: true, action: 'Wait: Grantry is recovering the grant.' },
  vault_sealed: {
    status: 503,
    exit: 7,
    retryable: false,
    action: 'Make the root key available: check GRANTRY_ROOT_KEY.',
  },
  storage_unavailable: { status: 503, exit: 5, retryable: true, action: 'Check the database, then retry.' },
  internal: { status: 500, exit: 1, retryable: false, action: 'Report this defect of Grantry.' },
} as const satisfies Record<string, { status: number; exit: number; retryable: boolean; action: string }>;

/** A code of the error list, such as `grant_not_found`. */
export type GrantryErrorCode = keyof typeof errorCodes;

/** Facts about a failure beyond its code and message. */
export interface GrantryErrorOptions {
  /** The instruction for the person. Default: the action of the code. */
  action?: string | undefined;
  /** The error behind this one. Grantry never prints, logs or sends it; `console.log` of Node.js shows it. */
  cause?: unknown;
  /** False where waiting does not help, although it does for most errors of this code. */
  retryable?: false | undefined;
  /** The wait before the same call may succeed, in milliseconds. */
  retryAfterMs?: number | undefined;
  /** The cause in one word of the list in docs/errors.md. */
  reason?: ErrorReason | undefined;
  /** The API's answer to the call that failed. */
  response?: ApiResponse | undefined;
}

/** An API's answer, where code of earlier token managers looks for it. */
export interface ApiResponse {
  readonly status: number;
  /** The parsed body, or its text if it is not JSON. */
  readonly data: unknown;
}

/**
 * Every failure that Grantry reports. Decide by `code`, show `message` and `action`, retry when `retryable`.
 *
 * Messages never contain a token, a secret, a code or a full URL.
 *
 * @example
 * try {
 *   await vault.getAccessToken(key);
 * } catch (error) {
 *   if (error instanceof GrantryError && error.code === 'reauthorization_required') askToConnectAgain();
 *   else throw error;
 * }
 */
export class GrantryError extends Error {
  override readonly name = 'GrantryError';
  readonly code: GrantryErrorCode;
  readonly action: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  /** The cause, if it is known: a word of the list in docs/errors.md. */
  declare readonly reason?: ErrorReason;
  /** The API's answer, if an API refused the call. It is never printed or logged. */
  declare readonly response?: ApiResponse;

  constructor(code: GrantryErrorCode, message: string, options: GrantryErrorOptions = {}) {
    // Every error passes here, so no message repeats a token that was sent as a name.
    super(hideTokens(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.action = options.action === undefined ? errorCodes[code].action : hideTokens(options.action);
    this.retryable = options.retryable ?? errorCodes[code].retryable;
    if (options.retryAfterMs !== undefined) this.retryAfterMs = Math.max(0, Math.ceil(options.retryAfterMs));
    if (options.reason !== undefined) this.reason = options.reason;
    if (options.response !== undefined) {
      Object.defineProperty(this, 'response', { value: options.response, enumerable: false });
    }
    // A cause may hold a provider's answer or a driver's statement: it stays out of JSON, copies and listed members.
    if (options.cause !== undefined) Object.defineProperty(this, 'cause', { enumerable: false });
  }
}

/** The error for a call that the caller must change. */
export function invalidRequest(message: string, options?: GrantryErrorOptions): GrantryError {
  return new GrantryError('invalid_request', message, options);
}

/** True for a {@link GrantryError} of that code. */
export function isGrantryError(error: unknown, code?: GrantryErrorCode): error is GrantryError {
  return error instanceof GrantryError && (code === undefined || error.code === code);
}

/** The code of a {@link GrantryError}; `internal` for anything else that was thrown. */
export function codeOf(thrown: unknown): GrantryErrorCode {
  return thrown instanceof GrantryError ? thrown.code : 'internal';
}

/** True when the database or the root key is not available: every further step would fail as well. */
export function isVaultDown(error: unknown): boolean {
  return isGrantryError(error, 'storage_unavailable') || isGrantryError(error, 'vault_sealed');
}

/** Fails on a defect of Grantry, never on bad input or a failing provider. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new GrantryError('internal', `Assertion failed: ${message}.`);
}
