import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { World } from './world.ts';

/** A request that is passed on as it is: names and values in turn, as they go over the wire. */
export interface ExchangeRequest {
  readonly method: string;
  readonly headers: string[];
  readonly body: Uint8Array | Readable | null;
  /** Ends the request and, until its body has ended, the answer. */
  readonly signal: AbortSignal;
}

/** An answer as it came: nothing decoded, nothing joined. Its body must be read or destroyed. */
export interface ExchangeAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Readable;
}

export type Exchange = (url: string, request: ExchangeRequest) => Promise<ExchangeAnswer>;

const exchanges = new WeakMap<World, Exchange>();

/** Names a world's quick way. A world made from it, with a `fetch` of its own perhaps, has none, as it must be. */
export function registerExchange(world: World, way: Exchange): void {
  exchanges.set(world, way);
}

/**
 * Sends one request and hands back the answer's bytes as they come, without what `fetch` does to them: for a proxy.
 *
 * A world without a quick way is asked through its `fetch`.
 *
 * @throws what the world's `fetch` throws
 */
export function exchange(world: World, url: string, request: ExchangeRequest): Promise<ExchangeAnswer> {
  const way = exchanges.get(world);
  return way === undefined ? throughFetch(world, url, request) : way(url, request);
}

async function throughFetch(world: World, url: string, request: ExchangeRequest): Promise<ExchangeAnswer> {
  const { method, signal, body } = request;
  const headers = new Headers();
  for (let at = 0; at < request.headers.length; at += 2) {
    headers.append(request.headers[at] ?? '', request.headers[at + 1] ?? '');
  }
  const whole = body instanceof Readable ? await buffer(body) : body;
  const response = await world.fetch(url, { method, headers, signal, body: whole });
  const chunks = response.body === null ? Readable.from([]) : Readable.from(response.body);
  return { status: response.status, headers: [...response.headers].flat(), body: chunks };
}
