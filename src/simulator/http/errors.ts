/**
 * A fault broke the connection. The simulator's `fetch` throws this error; the listener destroys the socket instead.
 */
export class ConnectionResetError extends Error {
  override readonly name = 'ConnectionResetError';
  /** Tells whether the server had acted on the request. */
  readonly processed: boolean;

  constructor(processed: boolean) {
    super(`connection reset ${processed ? 'after' : 'before'} the request was processed`);
    this.processed = processed;
  }
}
