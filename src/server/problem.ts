import { errorCodes, GrantryError, type GrantryErrorCode, isGrantryError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { actionOverHttp } from '../schemas/actions.ts';
import type { Problem } from '../schemas/problem.ts';

const titles: Readonly<Record<GrantryErrorCode, string>> = {
  invalid_request: 'Invalid request',
  unauthorized: 'No valid API key',
  forbidden: 'Not allowed for this API key',
  authorization_failed: 'Authorization failed',
  insufficient_scope: 'Missing scope',
  not_found: 'Not found',
  grant_not_found: 'The tenant is not connected',
  reauthorization_required: 'The tenant must connect again',
  grant_quarantined: 'The database is quarantined',
  payload_too_large: 'The request is too large',
  rate_limited: 'Too many requests',
  integrity_failed: 'A stored value cannot be decrypted',
  provider_misconfigured: 'The provider refuses the app',
  provider_error: "The provider's response was not recognised",
  provider_throttled: "The provider's rate limit is used up",
  provider_unavailable: 'The provider is not available',
  refresh_uncertain: 'The outcome of a refresh is unknown',
  vault_sealed: 'The vault is sealed',
  storage_unavailable: 'The database does not answer',
  internal: 'A defect in Grantry',
};

const statuses = new WeakMap<GrantryError, number>();

/** Gives an error a status other than its code's, where HTTP has a more exact one, such as 405 or 408. */
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
    action: actionOverHttp(error.action),
    ...(error.reason === undefined ? {} : { reason: error.reason }),
    ...(error.response === undefined ? {} : { response: { ...error.response } }),
    ...(retryAfter === undefined ? {} : { retry_after: retryAfter }),
  };
}

export function retryAfterHeader(seconds: number | undefined): Record<string, string> {
  return seconds === undefined ? {} : { 'retry-after': String(seconds) };
}

/** Returns whole seconds, never zero: a client that does not wait retries at once. */
export function retryAfterSeconds(error: GrantryError): number | undefined {
  if (error.retryAfterMs !== undefined) return Math.max(1, Math.ceil(error.retryAfterMs / 1_000));
  return error.retryable ? 1 : undefined;
}

/** Returns the error that a caller may see. Defects are logged. */
export function knownError(logger: Logger, error: unknown): GrantryError {
  if (isGrantryError(error)) {
    if (error.code === 'internal') logger.error('a request met a defect', { detail: error.message });
    return error;
  }
  // The value itself may hold a secret, so the log gets only its kind.
  const kind = error instanceof Error ? error.constructor.name : typeof error;
  logger.error('a request met a defect', { kind });
  return new GrantryError('internal', 'An unexpected error happened in Grantry.');
}

/** Returns the headers of a problem. */
export function problemHeaders(problem: Problem): Record<string, string> {
  return {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    ...retryAfterHeader(problem.retry_after),
    ...(problem.status === 401 ? { 'www-authenticate': 'Bearer realm="grantry"' } : {}),
  };
}

export function problemResponse(error: GrantryError, status?: number): Response {
  const problem = problemOf(error, status);
  return new Response(JSON.stringify(problem), { status: problem.status, headers: problemHeaders(problem) });
}
