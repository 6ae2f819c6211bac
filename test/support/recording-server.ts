import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { onTestFinished } from 'vitest';

/** One request as a server saw it. */
export interface SeenRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

/** Starts an HTTP server that records each request and sends the given answer; it ends with the test. */
export async function recordingServer(
  answer: (response: http.ServerResponse, request: SeenRequest) => void,
): Promise<{ origin: string; seen: SeenRequest[] }> {
  const seen: SeenRequest[] = [];
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const form = new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
      const entry = { url: request.url ?? '', method: request.method ?? '', headers: request.headers, form };
      seen.push(entry);
      answer(response, entry);
    });
  });
  return { origin: await listen(server), seen };
}

/** Makes any TCP server listen on a free loopback port until the test ends; returns its origin. */
export async function listen(server: net.Server): Promise<string> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on TCP');
  return `http://127.0.0.1:${address.port}`;
}
