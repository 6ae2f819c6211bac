/**
 * Time, dice, sleep and the network, as everything in Grantry sees them.
 *
 * Nothing else reads a clock, throws dice, waits or fetches. A test or a simulation hands in a world of its own and
 * decides all four.
 */
export interface World {
  /** Wall-clock time in milliseconds since 1970. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back, whatever happens to the wall clock. */
  monotonic(): number;
  /**
   * Resolves after that many milliseconds; rejects with the signal's reason when it is aborted. A sleep in the background
   * does not keep the process alive.
   */
  sleep(ms: number, signal?: AbortSignal, options?: { background?: boolean }): Promise<void>;
  /** Cryptographically strong random bytes. */
  randomBytes(count: number): Uint8Array;
  /**
   * Sends one HTTP request; redirects are never followed.
   *
   * @throws {NotSentError} when it is certain that not one byte of the request reached the peer. Any other failure
   * leaves open whether the peer acted on it.
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
   * Asks for a connection of its own, opened for this request alone, and is called when it stands, immediately before
   * the first byte is written. What it throws ends the request with nothing sent.
   *
   * A connection kept from an earlier request may be half closed, and then nobody can tell whether the peer read the
   * request. Where that question decides over a grant, the connection must be new.
   */
  beforeSend?: () => void;
}

/** A number from 0 up to but not including 1, from the world's dice. */
export function randomFraction(world: World): number {
  const bytes = world.randomBytes(4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32;
}
