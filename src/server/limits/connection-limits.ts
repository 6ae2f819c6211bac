import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { ServerLimits } from './server-limits.ts';
import { countIn } from './traffic.ts';

/** Limits the number of open connections, per address and in all. Excess connections are closed without an answer. */
export function limitConnections(server: Server, limits: ServerLimits): void {
  server.maxConnections = limits.connections;
  server.maxRequestsPerSocket = limits.requestsPerConnection;
  const counts = new Map<string, number>();
  server.prependListener('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    socket.once('close', countIn(counts, address));
    if ((counts.get(address) ?? 0) > limits.connectionsPerAddress) socket.destroy();
  });
}
