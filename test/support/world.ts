import { randomFillSync } from 'node:crypto';
import { NotSentError } from '../../src/base/network/outbound-errors.ts';
import type { World, WorldRequest } from '../../src/base/world.ts';
import type { Simulator } from '../../src/simulator/index.ts';
import type { TestClock } from './clock.ts';

/** The world of one process over a simulator: its clock may be wrong, its network may fail, and it may stop or die. */
export class TestWorld implements World {
  readonly #simulator: Simulator;
  readonly #clock: TestClock;
  #running: Promise<void> = Promise.resolve();
  #thaw: (() => void) | undefined;
  #stopBeforeSend = false;
  /** Error of this process's wall clock. */
  skewMs = 0;
  /** Makes every request fail before its first byte. */
  offline = false;
  /** Runs when a request is about to be written. */
  onSend: (url: string) => void = () => {};
  /** Rewrites the body of each answer of the token endpoint. */
  rewrite: ((text: string) => string) | null = null;

  readonly timeScale: number;

  constructor(simulator: Simulator, clock: TestClock, timeScale = 1) {
    this.#simulator = simulator;
    this.#clock = clock;
    this.timeScale = timeScale;
  }

  now(): number {
    return this.#clock.now() + this.skewMs;
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    try {
      await this.#clock.sleep(ms, signal);
    } finally {
      await this.#running;
    }
  }

  randomBytes(count: number): Uint8Array {
    return randomFillSync(new Uint8Array(count));
  }

  async fetch(url: string, init: WorldRequest): Promise<Response> {
    // On a real network other events happen between the decision to send and the first byte.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#stopBeforeSend) this.freeze();
    await this.#running;
    if (this.offline) throw new NotSentError('the network is gone');
    this.#askBeforeSend(init);
    this.onSend(url);
    try {
      return await this.#rewritten(url, await this.#simulator.fetch(requestOf(url, init)));
    } finally {
      await this.#running;
    }
  }

  /** Stops the process at its next wait, as a long pause or a closed laptop does. `thaw` continues it. */
  freeze(): void {
    this.#running = new Promise((resolve) => {
      this.#thaw = resolve;
    });
  }

  /** Stops the process when its next request is about to be written. */
  freezeBeforeSend(): void {
    this.#stopBeforeSend = true;
  }

  thaw(): void {
    this.#stopBeforeSend = false;
    this.#thaw?.();
    this.#running = Promise.resolve();
  }

  async #rewritten(url: string, response: Response): Promise<Response> {
    if (this.rewrite === null || !/(?<!revoke)\/token$/.test(new URL(url).pathname)) return response;
    const { status, headers } = response;
    return new Response(this.rewrite(await response.text()), { status, headers });
  }

  #askBeforeSend(init: WorldRequest): void {
    try {
      init.beforeSend?.();
    } catch (error) {
      throw error instanceof NotSentError ? error : new NotSentError('stopped before the first byte', { cause: error });
    }
  }
}

/** Makes the request that a simulator takes. */
export function requestOf(url: string, { method, headers, body, signal }: WorldRequest): Request {
  return new Request(url, {
    method,
    headers: [...new Headers(headers)],
    body: body ?? null,
    redirect: 'manual',
    ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
    ...(signal === undefined ? {} : { signal }),
  });
}
