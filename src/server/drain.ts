import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { World } from '../base/world.ts';

/** How long connections that were idle may still bring a request, which then ends them. */
const lingerMs = 250;

/** Between two looks for connections that have become idle. */
const lookMs = 100;

/**
 * Ends a server's connections without cutting off a request that it has read: no new ones are taken, those that bring a
 * request get its answer and `Connection: close`, the idle ones are closed after a quarter of a second, and the busy ones when
 * their answer has left.
 *
 * A request that is sent in the very moment in which an idle connection is closed is not read. HTTP/1.1 leaves that to the
 * client, which sees the connection end without a byte of an answer.
 *
 * @param limitMs What is not over by then is cut off.
 */
export async function drain(server: Server, world: World, limitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.on('close', resolve);
  });
  // The HTTP server's own close would also reset idle connections that have a request on its way.
  NetServer.prototype.close.call(server);
  const over = new AbortController();
  const closing = closeIdle(server, world, { limitMs, signal: over.signal });
  await closed;
  over.abort(new Error('all connections are closed'));
  await closing;
  // Only now does it stop looking for requests that take too long.
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
    // Everything was over before.
  }
}
