/**
 * The clock, the random source, sleep and the network as Grantry sees them.
 *
 * No other code in Grantry reads a clock, draws random numbers, waits or fetches. A test or a simulation passes its own
 * world and controls all four.
 */
export interface World {
  /** Returns the wall-clock time in milliseconds since 1970. */
  now(): number;
  /** Returns milliseconds from an arbitrary start; never goes back, even when the wall clock does. */
  monotonic(): number;
  /**
   * Resolves after that many milliseconds; rejects with the signal's reason when it is aborted. With `background` the
   * sleep does not keep the process alive.
   */
  sleep(ms: number, signal?: AbortSignal, options?: { background?: boolean }): Promise<void>;
  /** Returns cryptographically strong random bytes. */
  randomBytes(count: number): Uint8Array;
  /**
   * Sends one HTTP request; redirects are never followed.
   *
   * @throws {NotSentError} when certainly no byte of the request reached the peer. After any other failure the peer may
   * have acted on the request.
   */
  fetch(url: string, init: WorldRequest): Promise<Response>;
  /** Multiplies every time in `limits.ts`; 1 outside tests. */
  readonly timeScale?: number;
}

/** A request as the World sends it. */
export interface WorldRequest {
  method: string;
  headers: Record<string, string> | Headers;
  body?: string | Uint8Array | ReadableStream<Uint8Array> | null;
  signal?: AbortSignal;
  /**
   * Requests a new connection for this request and runs when it is open, immediately before the first byte is written.
   * An error thrown here ends the request with nothing sent.
   *
   * A connection kept from an earlier request may be half closed; then it is unknown whether the peer read the request.
   * A request whose loss decides over a grant needs a new connection.
   */
  beforeSend?: () => void;
}

/** Returns a random number from 0 up to but not including 1. */
export function randomFraction(world: World): number {
  const bytes = world.randomBytes(4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32;
}
