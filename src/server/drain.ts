import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { World } from '../base/world.ts';

/** The time in which an idle connection may still bring one last request. */
const lingerMs = 250;

/** The interval between two searches for idle connections. */
const lookMs = 100;

/**
 * Ends a server's connections and answers every request that the server has read. The server takes no new connections. It
 * closes idle connections after a quarter of a second, and busy ones after their answer, which says `Connection: close`.
 *
 * A request that a client sends at the moment in which its idle connection is closed is not read. In HTTP/1.1 the client
 * notices: the connection ends without a byte of an answer.
 *
 * @param limitMs connections that are still busy after this time are cut off
 */
export async function drain(server: Server, world: World, limitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.on('close', resolve);
  });
  // The HTTP server's own close would also reset idle connections to which a request is on its way.
  NetServer.prototype.close.call(server);
  const over = new AbortController();
  const closing = closeIdle(server, world, { limitMs, signal: over.signal });
  await closed;
  over.abort(new Error('all connections are closed'));
  await closing;
  // This ends the server's check for requests that take too long.
  server.close(() => {});
}

async function closeIdle(
  server: Server,
  world: World,
  { limitMs, signal }: { limitMs: number; signal: AbortSignal },
): Promise<void> {
  const startedAt = world.monotonic();
  try {
    await world.sleep(lingerMs, signal);
    while (world.monotonic() - startedAt < limitMs) {
      server.closeIdleConnections();
      await world.sleep(lookMs, signal);
    }
    server.closeAllConnections();
  } catch {
    // All connections ended earlier.
  }
}
