import { randomFillSync } from 'node:crypto';
import { registerExchange } from './exchange.ts';
import type { ConnectorOptions, LookupAll } from './guarded-connector.ts';
import { timesOf } from './limits.ts';

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

/** The request failed before any byte of it was written: repeating it is harmless. */
export class NotSentError extends Error {
  override readonly name: string = 'NotSentError';
}

/** What the real world may be told. */
export interface SystemWorldOptions {
  timeScale?: number | undefined;
  /** Lets requests go to this machine itself, and by `http:`; for tests and local simulators. */
  allowLoopback?: boolean | undefined;
  /** Lets requests go wherever the caller says: for a client of one server. Never for a vault. */
  anywhere?: boolean | undefined;
  /** Looks names up; the system's resolver when left out. */
  lookup?: LookupAll | undefined;
}

/** Not sent, since the host leads into the machine, its network, or anywhere else that is not the public internet. */
export class RefusedAddressError extends NotSentError {
  constructor() {
    super('the host leads to an address that is not allowed');
  }
}

/** The real world: the machine's clock, random source and network. */
export function systemWorld(options: SystemWorldOptions = {}): World {
  const connection = (): ConnectorOptions => ({
    connectMs: timesOf(world).connectMs,
    allowLoopback: options.allowLoopback === true,
    anywhere: options.anywhere,
    lookup: options.lookup,
  });
  const world: World = {
    timeScale: options.timeScale ?? 1,
    now: () => Date.now(),
    monotonic,
    randomBytes: (count) => randomFillSync(new Uint8Array(count)),
    sleep,
    fetch: async (url, init) => {
      // The HTTP client is loaded with the first request: a program that only reads a stored token never pays for it.
      const { send } = await import('./outbound.ts');
      return send(url, init, connection());
    },
  };
  registerExchange(world, async (url, request) => {
    const { sendRaw } = await import('./outbound.ts');
    return sendRaw(url, request, connection());
  });
  return world;
}

/** The same clock as `performance.now()`, without the modules that come with it: a start has to load them. */
function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6;
}

function sleep(ms: number, signal?: AbortSignal, options?: { background?: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    if (options?.background === true) timer.unref();
    function abort(): void {
      clearTimeout(timer);
      reject(signal?.reason);
    }
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** A number from 0 up to but not including 1, from the world's dice. */
export function randomFraction(world: World): number {
  const bytes = world.randomBytes(4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32;
}
