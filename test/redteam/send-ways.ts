import { exchange } from '../../src/base/network/exchange.ts';
import type { World } from '../../src/base/world.ts';

/** Every way in which this program sends: pooled, on a connection of its own, and raw. */
export const ways = ['pooled', 'alone', 'raw'] as const;

/** Sends a request for an address and reads the answer. */
export async function sendBy(way: (typeof ways)[number], world: World, url: string): Promise<void> {
  if (way === 'raw') {
    const { body } = await exchange(world, url, {
      method: 'GET',
      headers: [],
      body: null,
      signal: new AbortController().signal,
    });
    body.resume();
    return;
  }
  const init = { method: 'GET', headers: {}, ...(way === 'alone' ? { beforeSend: () => {} } : {}) };
  await (await world.fetch(url, init)).text();
}
