/** A request failed before any byte of it was written: repeating it is harmless. */
export class NotSentError extends Error {
  override readonly name: string = 'NotSentError';
}

/** A request was not sent because its host leads to no address that is public. */
export class RefusedAddressError extends NotSentError {
  constructor() {
    super('the host leads to an address that is not allowed');
  }
}

/** A request was not sent because the egress proxy did not open the way to its host. */
export class EgressProxyError extends NotSentError {
  /** Scheme, host and port of the proxy, never its user or password. */
  readonly proxy: string;
  /** The proxy's answer; null if there was none. */
  readonly status: number | null;
  /** Code of the system when there was no answer, such as `ECONNREFUSED`. */
  readonly code: string | null;

  constructor(proxy: string, failure: { readonly status: number } | { readonly code: string | null }) {
    const said = 'status' in failure ? `answered ${failure.status}` : `cannot be used (${failure.code ?? 'no code'})`;
    super(`the egress proxy ${proxy} ${said}`);
    this.proxy = proxy;
    this.status = 'status' in failure ? failure.status : null;
    this.code = 'code' in failure ? failure.code : null;
  }
}

/** A connection failed after the first byte of the request was written: the peer may have acted on it. */
export class LostConnectionError extends Error {
  override readonly name = 'LostConnectionError';
  /** Code of the system or of the HTTP client, such as `ECONNRESET`. */
  readonly code: string | null;
  /** True if the connection had carried an earlier request, and ended without a byte of an answer to this one. */
  readonly wasIdle: boolean;

  constructor(code: string | null, wasIdle = false) {
    super(`the connection failed after the request was sent (${code ?? 'no code'})`);
    this.code = code;
    this.wasIdle = wasIdle;
  }
}
