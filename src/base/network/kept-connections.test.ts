import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemWorld } from '../system-world.ts';
import type { World } from '../world.ts';
import { exchange } from './exchange.ts';
import { LostConnectionError } from './outbound-errors.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server that answers the first `answers` requests of each connection, and ends the connection at the next one. */
async function listen(answers: number, partly = ''): Promise<{ port: number; lines: string[] }> {
  const lines: string[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      requests += 1;
      lines.push(chunk.toString('latin1').split('\r\n')[0] ?? '');
      if (requests <= answers) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else if (partly === '') socket.destroy();
      else socket.end(partly);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, lines };
}

async function sendBy(way: 'fetch' | 'raw', world: World, url: string, request: { method: string; body?: string }) {
  const { method, body = null } = request;
  // The client takes a connection back a few turns after the end of an answer.
  await new Promise((resolve) => setTimeout(resolve, 20));
  if (way === 'fetch') return (await world.fetch(url, { method, headers: {}, body })).text();
  const signal = new AbortController().signal;
  const bytes = body === null ? null : Buffer.from(body);
  const answer = await exchange(world, url, { method, headers: [], body: bytes, signal });
  return (await answer.body.toArray()).join('');
}

describe.each(['fetch', 'raw'] as const)('a request that meets the end of a kept connection, %s', (way) => {
  it('is sent once more if it is a GET, on a connection of its own', async () => {
    const { port, lines } = await listen(1);
    const world = systemWorld({ allowLoopback: true });
    const url = `http://127.0.0.1:${port}/`;
    expect(await sendBy(way, world, url, { method: 'GET' })).toBe('ok');
    expect(await sendBy(way, world, url, { method: 'GET' })).toBe('ok');
    expect(lines).toHaveLength(3);
  });

  it.each([
    ['a POST', { method: 'POST', body: 'x' }],
    ['a POST without a body', { method: 'POST' }],
    ['a DELETE', { method: 'DELETE' }],
    ['a PUT', { method: 'PUT', body: 'x' }],
  ])('is never sent twice if it is %s', async (_name, request) => {
    const { port, lines } = await listen(1);
    const world = systemWorld({ allowLoopback: true });
    const url = `http://127.0.0.1:${port}/`;
    expect(await sendBy(way, world, url, { method: 'GET' })).toBe('ok');
    await expect(sendBy(way, world, url, request)).rejects.toThrow(LostConnectionError);
    expect(lines).toHaveLength(2);
  });

  it('is not sent again after a new connection ended: the API may have failed at this very request', async () => {
    const { port, lines } = await listen(0);
    const world = systemWorld({ allowLoopback: true });
    const sent = sendBy(way, world, `http://127.0.0.1:${port}/`, { method: 'GET' });
    await expect(sent).rejects.toThrow(LostConnectionError);
    expect(lines).toHaveLength(1);
  });

  it('is not sent again after the head of an answer', async () => {
    const { port, lines } = await listen(1, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf');
    const world = systemWorld({ allowLoopback: true });
    const url = `http://127.0.0.1:${port}/`;
    expect(await sendBy(way, world, url, { method: 'GET' })).toBe('ok');
    await expect(sendBy(way, world, url, { method: 'GET' })).rejects.toThrow();
    expect(lines).toHaveLength(2);
  });
});

it('a request with a last look has a connection of its own, and is never sent twice', async () => {
  const { port, lines } = await listen(0);
  const world = systemWorld({ allowLoopback: true });
  const init = { method: 'GET', headers: {}, beforeSend: () => {} };
  await expect(world.fetch(`http://127.0.0.1:${port}/`, init)).rejects.toThrow(LostConnectionError);
  expect(lines).toHaveLength(1);
});
