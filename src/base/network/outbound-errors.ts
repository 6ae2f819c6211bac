/** A request failed before any byte of it was written: repeating it is harmless. */
export class NotSentError extends Error {
  override readonly name: string = 'NotSentError';
}

/** A request was not sent because its host resolves to an address that is not public. */
export class RefusedAddressError extends NotSentError {
  constructor() {
    super('the host leads to an address that is not allowed');
  }
}
