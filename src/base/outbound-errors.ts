/** The request failed before any byte of it was written: repeating it is harmless. */
export class NotSentError extends Error {
  override readonly name: string = 'NotSentError';
}

/** Not sent, since the host leads into the machine, its network, or anywhere else that is not the public internet. */
export class RefusedAddressError extends NotSentError {
  constructor() {
    super('the host leads to an address that is not allowed');
  }
}
