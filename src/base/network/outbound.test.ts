import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { testTls } from '../../../test/support/tls.ts';
import { systemWorld } from '../system-world.ts';
import type { WorldRequest } from '../world.ts';
import { send } from './outbound.ts';
import { LostConnectionError, NotSentError } from './outbound-errors.ts';

const canary = 'canary-7f3a';
const local = { connectMs: 10_000, allowLoopback: true };
const patience = { timeout: 120_000 };
const opened: (() => void)[] = [];

afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** Starts a raw server; returns its port and the bytes of every connection. */
async function listen(
  server: net.Server,
): Promise<{ port: number; received: () => string; connections: () => number }> {
  const chunks: Buffer[] = [];
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const event = server instanceof tls.Server ? 'secureConnection' : 'connection';
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    connections += 1;
    socket.on('error', () => {});
  });
  server.on(event, (socket: net.Socket) => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const port = portOf(server);
  return { port, received: () => Buffer.concat(chunks).toString('latin1'), connections: () => connections };
}

function post(init: Partial<WorldRequest> = {}): WorldRequest {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: `Basic ${canary}` },
    body: `refresh_token=${canary}`,
    ...init,
  };
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a rejection');
}

async function refusedPort(): Promise<number> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return port;
}

describe.each([
  { mode: 'unpooled', extra: () => ({ beforeSend: () => {} }) },
  { mode: 'pooled', extra: () => ({}) },
])('a failure before the first byte, $mode, is a NotSentError', ({ extra }) => {
  it('refused port', async () => {
    const error = await failure(send(`http://127.0.0.1:${await refusedPort()}/t?q=${canary}`, post(extra()), local));
    expect(error).toBeInstanceOf(NotSentError);
    expect(inspect(error, { depth: 9 })).not.toContain(canary);
  });

  it('unknown name', async () => {
    const error = await failure(send('http://nowhere.invalid/', post(extra()), local));
    expect(error).toBeInstanceOf(NotSentError);
  });

  it('certificate of an unknown issuer', async () => {
    const server = await listen(tls.createServer({ cert: testTls.cert, key: testTls.key }));
    const error = await failure(send(`https://127.0.0.1:${server.port}/`, post(extra()), local));
    expect(error).toBeInstanceOf(NotSentError);
    expect(server.received()).toBe('');
  });

  it('reset before the TLS handshake ends', async () => {
    const server = await listen(net.createServer((socket) => socket.once('data', () => socket.resetAndDestroy())));
    const error = await failure(send(`https://127.0.0.1:${server.port}/`, post(extra()), local));
    expect(error).toBeInstanceOf(NotSentError);
    expect(server.received()).not.toContain(canary);
    expect(server.connections()).toBe(1);
  });

  it('TLS that never answers: connect time-out', async () => {
    const server = await listen(net.createServer());
    const hasty = { ...local, connectMs: 400 };
    const error = await failure(send(`https://127.0.0.1:${server.port}/`, post(extra()), hasty));
    expect(error).toBeInstanceOf(NotSentError);
  });

  it('an abort while connecting, and nothing is sent later', async () => {
    const held: net.Socket[] = [];
    const server = await listen(net.createServer({ pauseOnConnect: true }, (socket) => held.push(socket)));
    const abort = new AbortController();
    let asked = 0;
    const beforeSend = 'beforeSend' in extra() ? { beforeSend: () => void (asked += 1) } : {};
    const pending = failure(
      send(`https://127.0.0.1:${server.port}/`, post({ ...beforeSend, signal: abort.signal }), {
        ...local,
        connectMs: 5_000,
      }),
    );
    await vi.waitUntil(() => held.length === 1, patience);
    abort.abort(new Error('changed my mind'));
    const error = await pending;
    for (const socket of held) socket.resume();
    expect(error).toBeInstanceOf(NotSentError);
    expect(asked).toBe(0);
    expect(server.received()).not.toContain(canary);
  });

  it('an abort that the open connection notices', async () => {
    const server = await listen(net.createServer());
    const abort = new AbortController();
    let asked = 0;
    const beforeSend = 'beforeSend' in extra() ? { beforeSend: () => void (asked += 1) } : {};
    const pending = failure(
      send(`http://127.0.0.1:${server.port}/`, post({ ...beforeSend, signal: abort.signal }), local),
    );
    abort.abort();
    expect(await pending).toBeInstanceOf(NotSentError);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(asked).toBe(0);
    expect(server.received()).toBe('');
  });

  it.each([
    ['no URL', `:://${canary}`, {}],
    ['another scheme', `data:text/plain,${canary}`, {}],
    ['credentials in the URL', `http://u:${canary}@127.0.0.1/`, {}],
    ['a header with a line break', 'http://127.0.0.1/', { headers: { authorization: `Bearer ${canary}\r\nx: y` } }],
    ['a header beyond latin1', 'http://127.0.0.1/', { headers: { authorization: `Bearer ${canary}\u2028` } }],
  ])('%s, and its error does not quote it', async (_name, url, init) => {
    const error = await failure(send(url, post({ ...extra(), ...init }), local));
    expect(error).toBeInstanceOf(NotSentError);
    expect(inspect(error, { depth: 9 })).not.toContain(canary);
  });
});

describe.each([
  { mode: 'unpooled', extra: () => ({ beforeSend: () => {} }) },
  { mode: 'pooled', extra: () => ({}) },
])('a failure after the first byte, $mode, is never a NotSentError', ({ extra }) => {
  it.each([
    ['closes without an answer', (socket: net.Socket) => socket.end()],
    ['resets after reading', (socket: net.Socket) => socket.resetAndDestroy()],
    ['answers nonsense', (socket: net.Socket) => socket.end(`nonsense ${canary}\r\n\r\n`)],
    ['cuts the header', (socket: net.Socket) => socket.end(`HTTP/1.1 200 OK\r\nX-Leak: ${canary}`)],
  ])('%s', async (_name, act) => {
    const server = await listen(net.createServer((socket) => socket.once('data', () => act(socket))));
    const error = await failure(send(`http://127.0.0.1:${server.port}/t?q=${canary}`, post(extra()), local));
    expect(error).toBeInstanceOf(LostConnectionError);
    expect(inspect(error, { depth: 9 })).not.toContain(canary);
    expect(server.connections()).toBe(1);
  });

  it('never answers: ends with the signal, whose reason is the error', async () => {
    const server = await listen(net.createServer());
    const reason = new Error('deadline');
    const abort = new AbortController();
    const pending = failure(
      send(`http://127.0.0.1:${server.port}/`, post({ ...extra(), signal: abort.signal }), local),
    );
    await vi.waitUntil(() => server.received().includes(canary), patience);
    abort.abort(reason);
    expect(await pending).toBe(reason);
    expect(server.received()).toContain(canary);
  });
});

describe('beforeSend', () => {
  it('is called once, when the connection is open and no byte is written', async () => {
    const server = await listen(net.createServer());
    const seen: string[] = [];
    const abort = new AbortController();
    const beforeSend = (): void => {
      seen.push(server.received());
    };
    const pending = failure(
      send(`http://127.0.0.1:${server.port}/`, post({ signal: abort.signal, beforeSend }), local),
    );
    await vi.waitUntil(() => server.received().includes(canary), patience);
    abort.abort();
    await pending;
    expect(seen).toEqual(['']);
    expect(server.received()).toContain(`refresh_token=${canary}`);
  });

  it('stops the request by throwing: nothing is sent and its error is the cause', async () => {
    const server = await listen(net.createServer());
    const late = new Error('too late');
    const beforeSend = (): void => {
      throw late;
    };
    const error = await failure(send(`http://127.0.0.1:${server.port}/`, post({ beforeSend }), local));
    expect(error).toBeInstanceOf(NotSentError);
    expect(error).toMatchObject({ cause: late });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.received()).toBe('');
  });

  it('gets a new connection each time and closes it; without it connections are kept', async () => {
    const server = http.createServer((_request, response) => response.end('ok'));
    const { port, connections } = await listen(server);
    const url = `http://127.0.0.1:${port}/`;
    for (let i = 0; i < 3; i += 1) await (await send(url, post({ beforeSend: () => {} }), local)).text();
    expect(connections()).toBe(3);
    await expect.poll(() => openConnections(server)).toBe(0);
    for (let i = 0; i < 10; i += 1) await (await send(url, post(), local)).text();
    expect(connections()).toBeLessThanOrEqual(3 + 3);
  });
});

describe('an answer', () => {
  it.each([301, 302, 303, 307, 308, 401, 407, 421, 503])('%i is returned, and requested once', async (status) => {
    let requests = 0;
    const server = http.createServer((_request, response) => {
      requests += 1;
      response.writeHead(status, { location: 'http://127.0.0.1:9/stolen' }).end('x');
    });
    const { port } = await listen(server);
    for (const extra of [{ beforeSend: () => {} }, {}]) {
      requests = 0;
      const response = await send(`http://127.0.0.1:${port}/`, post(extra), local);
      expect(response.status).toBe(status);
      expect(requests).toBe(1);
    }
  });

  it('comes over TLS from a server whose certificate is trusted', async () => {
    const before = tls.getCACertificates('default');
    tls.setDefaultCACertificates([...before, testTls.cert]);
    try {
      const { port } = await listen(https.createServer({ ...testTls }, (_request, response) => response.end('secure')));
      const order: string[] = [];
      const init = post({ beforeSend: () => void order.push('asked') });
      const response = await send(`https://localhost:${port}/`, init, local);
      expect(await response.text()).toBe('secure');
      expect(order).toEqual(['asked']);
    } finally {
      tls.setDefaultCACertificates(before);
    }
  });

  it('is not fetched through a proxy that the environment names', async () => {
    const proxy = await listen(net.createServer());
    const { port } = await listen(http.createServer((_request, response) => response.end('direct')));
    const names = ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'];
    for (const name of names)
      process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : `http://127.0.0.1:${proxy.port}`;
    try {
      for (const extra of [{ beforeSend: () => {} }, {}]) {
        const response = await send(`http://127.0.0.1:${port}/`, post(extra), local);
        expect(await response.text()).toBe('direct');
      }
      expect(proxy.connections()).toBe(0);
    } finally {
      for (const name of names) delete process.env[name];
    }
  });

  it('streams both ways', async () => {
    const server = http.createServer((request, response) => request.pipe(response));
    const { port } = await listen(server);
    const body = new Blob(['streamed']).stream();
    const response = await systemWorld({ allowLoopback: true }).fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      headers: {},
      body,
    });
    expect(await response.text()).toBe('streamed');
  });
});

async function openConnections(server: net.Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on TCP');
  return address.port;
}
