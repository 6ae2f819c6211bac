import { errorCodes, GrantryError, type GrantryErrorCode, isGrantryError } from '../../base/errors.ts';

/** `error.response.data` of a failure that is not the API's own answer. */
export interface ZohoErrorData {
  /** The word that Zoho uses for it, such as `INVALID_CODE`; else Grantry's reason or code in capitals. */
  readonly code: string;
  /** The same in small letters, as in answers of the token endpoint. */
  readonly error: string;
  readonly message: string;
  /** The instruction for a person. */
  readonly action: string;
}

interface Words {
  readonly status: number;
  readonly code: string;
}

/** The answers that Zoho would give, by Grantry's codes. */
const zohoWords: Partial<Readonly<Record<GrantryErrorCode, Words>>> = {
  provider_misconfigured: { status: 400, code: 'INVALID_CLIENT' },
  reauthorization_required: { status: 400, code: 'INVALID_CODE' },
  authorization_failed: { status: 400, code: 'INVALID_CODE' },
  insufficient_scope: { status: 401, code: 'OAUTH_SCOPE_MISMATCH' },
  provider_throttled: { status: 429, code: 'TOO_MANY_REQUESTS' },
  rate_limited: { status: 429, code: 'TOO_MANY_REQUESTS' },
};

/**
 * Gives an error of a vault the `response` that handlers of hand-written token managers read. The error behind it stays its
 * cause. Anything else that was thrown, such as an abort, is returned as it is.
 */
export function withResponse(thrown: unknown): unknown {
  if (!isGrantryError(thrown)) return thrown;
  const { code, message, action, reason, retryAfterMs } = thrown;
  const isNamed = code !== 'provider_misconfigured' || reason === 'client_refused';
  const words = (isNamed ? zohoWords[code] : undefined) ?? {
    status: errorCodes[code].status,
    code: (reason ?? code).toUpperCase(),
  };
  const data: ZohoErrorData = { code: words.code, error: words.code.toLowerCase(), message, action };
  return new GrantryError(code, message, {
    action,
    reason,
    ...(thrown.retryable ? {} : { retryable: false }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    response: { status: words.status, data },
    cause: thrown,
  });
}
