import { randomFillSync } from 'node:crypto';
import { timesOf } from './limits.ts';
import type { EgressProxy } from './network/egress-proxy.ts';
import { registerExchange } from './network/exchange.ts';
import type { ConnectorOptions, LookupAll } from './network/guarded-connector.ts';
import type { World } from './world.ts';

/** Options of {@link systemWorld}. */
export interface SystemWorldOptions {
  timeScale?: number | undefined;
  /** Allows requests to loopback addresses, and by `http:`; for tests and local simulators. */
  allowLoopback?: boolean | undefined;
  /** Allows requests to any address; for a client of one server, never for a vault. */
  anywhere?: boolean | undefined;
  /** The HTTP proxy for all requests, with which only the proxy looks names up. */
  proxy?: EgressProxy | undefined;
  /** Looks names up; defaults to the system's resolver. */
  lookup?: LookupAll | undefined;
}

/** Creates the real world: the machine's clock, random source and network. */
export function systemWorld(options: SystemWorldOptions = {}): World {
  const connection = (): ConnectorOptions => ({
    connectMs: timesOf(world).connectMs,
    allowLoopback: options.allowLoopback === true,
    anywhere: options.anywhere,
    proxy: options.proxy,
    lookup: options.lookup,
  });
  const world: World = {
    timeScale: options.timeScale ?? 1,
    now: () => Date.now(),
    monotonic,
    randomBytes: (count) => randomFillSync(new Uint8Array(count)),
    sleep,
    fetch: async (url, init) => {
      // The HTTP client is loaded by the first request: a program that only reads a stored token never pays for it.
      const { send } = await import('./network/outbound.ts');
      return send(url, init, connection());
    },
  };
  registerExchange(world, async (url, request) => {
    const { sendRaw } = await import('./network/outbound.ts');
    return sendRaw(url, request, connection());
  });
  return world;
}

/** Returns the time of `performance.now()` without loading its module, which would slow a start down. */
export function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6;
}

export function sleep(ms: number, signal?: AbortSignal, options?: { background?: boolean }): Promise<void> {
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
