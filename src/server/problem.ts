import { errorCodes, GrantryError, type GrantryErrorCode, isGrantryError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

/** An error as RFC 9457 writes it. Neither a cause nor a stack is ever part of it. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: GrantryErrorCode;
  readonly action: string;
  /** Seconds. */
  readonly retry_after?: number;
}

const titles: Readonly<Record<GrantryErrorCode, string>> = {
  invalid_request: 'The request is not valid',
  unauthorized: 'No valid API key',
  forbidden: 'The API key may not do this',
  authorization_failed: 'The authorization did not come about',
  insufficient_scope: 'A scope is missing',
  not_found: 'Not found',
  grant_not_found: 'This tenant is not connected',
  reauthorization_required: 'The tenant must connect again',
  grant_quarantined: 'The database is quarantined',
  payload_too_large: 'The request is too large',
  rate_limited: 'Too many requests',
  integrity_failed: 'A stored value does not open',
  provider_misconfigured: 'The provider refuses the app',
  provider_error: 'The provider gave an answer nobody understands',
  provider_throttled: "The provider's limit is used up",
  provider_unavailable: 'The provider is not available',
  refresh_uncertain: 'The outcome of a refresh is not known yet',
  vault_sealed: 'The vault is sealed',
  storage_unavailable: 'The database does not answer',
  internal: 'A defect in Grantry',
};

const statuses = new WeakMap<GrantryError, number>();

/** Gives an error another status than its code's, where HTTP has a more exact one, such as 405 or 408. */
export function withStatus(error: GrantryError, status: number): GrantryError {
  statuses.set(error, status);
  return error;
}

/** @param status overrides the code's own */
export function problemOf(
  error: GrantryError,
  status: number = statuses.get(error) ?? errorCodes[error.code].status,
): Problem {
  const retryAfter = retryAfterSeconds(error);
  return {
    type: `urn:grantry:error:${error.code}`,
    title: titles[error.code],
    status,
    detail: error.message,
    code: error.code,
    action: error.action,
    ...(retryAfter === undefined ? {} : { retry_after: retryAfter }),
  };
}

/** Whole seconds, never zero: a client that waits none comes back at once. */
export function retryAfterSeconds(error: GrantryError): number | undefined {
  if (error.retryAfterMs !== undefined) return Math.max(1, Math.ceil(error.retryAfterMs / 1_000));
  return error.retryable ? 1 : undefined;
}

/** What may be said of a failure; a defect of ours is logged. */
export function knownError(logger: Logger, error: unknown): GrantryError {
  if (isGrantryError(error)) {
    if (error.code === 'internal') logger.error('a request met a defect', { detail: error.message });
    return error;
  }
  // The thing itself may hold a secret: its kind is what the log gets.
  const kind = error instanceof Error ? error.constructor.name : typeof error;
  logger.error('a request met a defect', { kind });
  return new GrantryError('internal', 'Something went wrong inside Grantry.');
}

/** The headers that go with a problem. */
export function problemHeaders(problem: Problem): Record<string, string> {
  return {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    ...(problem.retry_after === undefined ? {} : { 'retry-after': String(problem.retry_after) }),
    ...(problem.status === 401 ? { 'www-authenticate': 'Bearer realm="grantry"' } : {}),
  };
}

export function problemResponse(error: GrantryError, status?: number): Response {
  const problem = problemOf(error, status);
  return new Response(JSON.stringify(problem), { status: problem.status, headers: problemHeaders(problem) });
}
