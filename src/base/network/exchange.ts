import { Readable } from 'node:stream';
import type { World } from '../world.ts';

/** A request that is forwarded unchanged; its headers are names and values in turn, as on the wire. */
export interface RawExchangeRequest {
  readonly method: string;
  readonly headers: string[];
  readonly body: Uint8Array | Readable | null;
  /** Ends the request and, until its body has ended, the answer. */
  readonly signal: AbortSignal;
}

/** An answer as it came: nothing is decoded or joined. Its body must be read or destroyed. */
export interface ExchangeAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Readable;
}

export type Exchange = (url: string, request: RawExchangeRequest) => Promise<ExchangeAnswer>;

const exchanges = new WeakMap<World, Exchange>();

/**
 * Registers the raw exchange of a world.
 *
 * It is no member of `World`: `{ ...systemWorld(), fetch }` would copy it, and its requests would bypass that `fetch`.
 */
export function registerExchange(world: World, raw: Exchange): void {
  exchanges.set(world, raw);
}

/**
 * Sends one request and returns the bytes of the answer as they come, for a proxy: `fetch` would decode them.
 *
 * A world without a raw exchange uses its `fetch`.
 *
 * @throws errors of the world's `fetch`
 */
export function exchange(world: World, url: string, request: RawExchangeRequest): Promise<ExchangeAnswer> {
  const raw = exchanges.get(world);
  return raw === undefined ? throughFetch(world, url, request) : raw(url, request);
}

async function throughFetch(world: World, url: string, request: RawExchangeRequest): Promise<ExchangeAnswer> {
  const { method, signal, body } = request;
  const headers = new Headers();
  for (let at = 0; at < request.headers.length; at += 2) {
    headers.append(request.headers[at] ?? '', request.headers[at + 1] ?? '');
  }
  // Loaded here: `grantry token` loads this file, and never sends a body.
  const { buffer } = await import('node:stream/consumers');
  const whole = body instanceof Readable ? await buffer(body) : body;
  const response = await world.fetch(url, { method, headers, signal, body: whole });
  const chunks = response.body === null ? Readable.from([]) : Readable.from(response.body);
  return { status: response.status, headers: [...response.headers].flat(), body: chunks };
}
