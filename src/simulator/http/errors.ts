/**
 * The connection broke because a fault said so. Thrown by the simulator's pure `fetch`; the listener destroys the
 * socket instead.
 */
export class ConnectionResetError extends Error {
  override readonly name = 'ConnectionResetError';
  /** Whether the server had acted on the request when the connection broke. */
  readonly processed: boolean;

  constructor(processed: boolean) {
    super(`connection reset ${processed ? 'after' : 'before'} the request was processed`);
    this.processed = processed;
  }
}
