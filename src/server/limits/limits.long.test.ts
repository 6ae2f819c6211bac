import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/support/bench.ts';
import { sendBytes } from '../../../test/support/raw.ts';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';
import { makeUpstream } from '../../../test/support/upstream.ts';
import { systemWorld } from '../../base/system-world.ts';
import { serverLimits } from './server-limits.ts';
import { Traffic } from './traffic.ts';

const tokenPath = '/v1/tenants/acme/grants/strict/token';
let opened: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of opened) await each[Symbol.asyncDispose]();
  opened = [];
});

async function makeServer(options: Parameters<typeof makeServerBench>[0] = {}): Promise<ServerBench> {
  const server = await makeServerBench(options);
  opened.push(server);
  return server;
}

function head(line: string, headers: readonly string[] = []): string {
  return `${[line, 'Host: localhost', ...headers].join('\r\n')}\r\n\r\n`;
}

describe('a request at its limit passes, one above it is told why', () => {
  it('the URL: 8,192 characters', async () => {
    const { url } = await makeServer();
    for (const [length, status] of [
      [8_191, 404],
      [8_192, 404],
      [8_193, 414],
    ] as const) {
      const answer = await sendBytes(url, head(`GET /${'a'.repeat(length - 1)} HTTP/1.1`));
      expect([length, answer.status]).toEqual([length, status]);
      expect(answer.text).toContain('application/problem+json');
    }
  });

  it('the headers: 100 of them', async () => {
    const { url } = await makeServer();
    for (const [count, status] of [
      [99, 404],
      [100, 404],
      [101, 431],
      [400, 431],
    ] as const) {
      const headers = Array.from({ length: count - 1 }, (_, at) => `x-${at}: 1`);
      const answer = await sendBytes(url, head('GET /nowhere HTTP/1.1', headers));
      expect([count, answer.status]).toEqual([count, status]);
      expect(answer.text).toContain('application/problem+json');
    }
  });

  it('the headers: 16 KiB in all', async () => {
    const { url } = await makeServer();
    const sized = (bytes: number): string => {
      const empty = head('GET /nowhere HTTP/1.1', ['x: ']);
      return head('GET /nowhere HTTP/1.1', [`x: ${'a'.repeat(bytes - empty.length)}`]);
    };
    expect((await sendBytes(url, sized(16_000))).status).toBe(404);
    const above = await sendBytes(url, sized(16_500));
    expect(above.status).toBe(431);
    expect(above.text).toContain('application/problem+json');
    expect(above.text).toContain('"code":"invalid_request"');
  });

  it.each(['with its length', 'in pieces'])('a JSON body %s: 256 KiB', async (how) => {
    const server = await makeServer();
    const key = await server.keyOf('admin');
    for (const [size, status] of [
      [262_143, 400],
      [262_144, 400],
      [262_145, 413],
    ] as const) {
      const empty = '{"name":""}';
      const text = `{"name":"${'a'.repeat(size - empty.length)}"}`;
      const headers = [`Authorization: Bearer ${key}`, 'Content-Type: application/json'];
      const request =
        how === 'in pieces'
          ? head('POST /v1/keys HTTP/1.1', [...headers, 'Transfer-Encoding: chunked']) +
            `${size.toString(16)}\r\n${text}\r\n0\r\n\r\n`
          : head('POST /v1/keys HTTP/1.1', [...headers, `Content-Length: ${size}`]) + text;
      const answer = await sendBytes(server.url, request);
      expect([size, answer.status]).toEqual([size, status]);
      expect(answer.text).toContain(status === 413 ? 'payload_too_large' : 'invalid_request');
    }
  });

  it('JSON: 32 levels', async () => {
    const server = await makeServer();
    for (const [depth, words] of [
      [32, 'name'],
      [33, 'nested deeper'],
    ] as const) {
      const body = `{"name":${'['.repeat(depth - 1)}1${']'.repeat(depth - 1)}}`;
      const headers = { 'content-type': 'application/json' };
      const answer = await server.call('POST', '/v1/keys', { body, headers });
      expect([depth, answer.status]).toEqual([depth, 400]);
      expect(answer.body.detail).toContain(words);
    }
  });
});

it('JSON: 4,096 members', async () => {
  const server = await makeServer();
  for (const [members, words] of [
    [4_095, 'it must be a text'],
    [4_096, 'it must be a text'],
    [4_097, 'more than 4096 members'],
  ] as const) {
    // The list itself is one.
    const body = JSON.stringify({ name: Array.from({ length: members - 1 }, () => 1) });
    const answer = await server.call('POST', '/v1/keys', { body, headers: { 'content-type': 'application/json' } });
    expect([members, answer.status]).toEqual([members, 400]);
    expect(answer.body.detail).toContain(words);
  }
});

describe('a client that takes its time', () => {
  it('with its headers is told 408 or cut off', async () => {
    const { url } = await makeServer({ server: { limits: { headersMs: 300 } } });
    const answer = await sendBytes(url, 'GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
    expect([0, 408]).toContain(answer.status);
    expect(answer.ended).toBe(true);
  });

  it.each([
    ['a JSON body', 'POST /v1/keys HTTP/1.1'],
    ['a body for a provider', 'POST /v1/proxy/acme/strict/x HTTP/1.1'],
  ])('with %s is told 408', async (_name, line) => {
    const server = await makeServer();
    await server.bench.connect(server.vault, { expiresIn: 3_600 });
    const headers = [`Authorization: Bearer ${await server.keyOf('admin')}`, 'Content-Type: application/json'];
    const sent = sendBytes(server.url, [head(line, [...headers, 'Content-Length: 100']), '{"name":']);
    const seen = { answered: false };
    const done = sent.finally(() => {
      seen.answered = true;
    });
    await pause(200);
    await server.bench.jump(29_000);
    await pause(50);
    expect(seen.answered).toBe(false);
    // Its time begins when the server has read its headers, which a busy machine does late.
    while (!seen.answered) {
      await server.bench.jump(1_500);
      await pause(50);
    }
    const answer = await done;
    expect(answer.status).toBe(408);
    expect(answer.text).toContain('application/problem+json');
  });

  it('two thousand slow connections cost no other caller a token', async () => {
    const server = await makeServer();
    await server.bench.connect(server.vault, { expiresIn: 3_600 });
    const port = Number(new URL(server.url).port);
    const sockets = Array.from({ length: 2_000 }, (_, index) => {
      // From several addresses: each may have only so many.
      const socket = net.connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (index % 8)}` });
      socket.on('error', () => {});
      socket.write('GET /livez HTTP/1.1\r\nX-Slow: ');
      return socket;
    });
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    // Processor time, which the load of other programs does not lengthen: a look at each connection would show in it.
    const before = process.cpuUsage();
    for (let i = 0; i < 200; i += 1) expect((await server.call('GET', tokenPath)).status).toBe(200);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000 / 200).toBeLessThan(50);
    expect(sockets.filter(({ closed }) => closed).length).toBe(0);
    for (const socket of sockets) socket.destroy();
  });
});

describe('connections', () => {
  it('beyond the limit of one address are closed unheard, and free again when others end', async () => {
    const server = await makeServer({ server: { limits: { connectionsPerAddress: 2 } } });
    const first = [0, 1].map(() => net.connect(Number(new URL(server.url).port), '127.0.0.1'));
    for (const socket of first) await new Promise((resolve) => socket.once('connect', resolve));
    expect((await sendBytes(server.url, head('GET /livez HTTP/1.1'))).status).toBe(0);
    for (const socket of first) socket.destroy();
    await until(async () => (await sendBytes(server.url, head('GET /livez HTTP/1.1'))).status === 200, 'room again');
  });

  it('end after so many requests', async () => {
    const { url } = await makeServer({ server: { limits: { requestsPerConnection: 2 } } });
    const answer = await sendBytes(url, head('GET /livez HTTP/1.1').repeat(3));
    expect(answer.text.match(/HTTP\/1\.1 200/g)?.length).toBe(2);
    expect(answer.text.toLowerCase()).toContain('connection: close');
  });
});

describe('a tenant that sends too much', () => {
  const limits = { tenantRequestsPerSecond: 0.1, tenantBurst: 5, tenantCallsAtOnce: 3 };

  it('is told to wait, and others are not', async () => {
    const server = await makeServer({ server: { limits } });
    await server.bench.connect(server.vault, { expiresIn: 3_600 });
    await server.bench.connect(server.vault, { tenant: 'globex', expiresIn: 3_600 });
    const path = '/v1/tenants/acme/grants/strict';
    const statuses: number[] = [];
    for (let i = 0; i < 6; i += 1) statuses.push((await server.call('GET', path)).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429]);
    const refused = await server.call('GET', path);
    expect(refused.body.code).toBe('rate_limited');
    expect(refused.body.retry_after).toBeGreaterThan(0);
    expect(refused.headers.get('retry-after')).toBe(String(refused.body.retry_after));
    expect((await server.call('GET', '/v1/proxy/acme/strict/x')).status).toBe(429);
    expect((await server.call('GET', '/v1/tenants/globex/grants/strict')).status).toBe(200);
    // Tokens are handed out all the same.
    for (let i = 0; i < 20; i += 1) expect((await server.call('GET', tokenPath)).status).toBe(200);
    await server.bench.jump(10_000);
    expect((await server.call('GET', path)).status).toBe(200);
  });

  it('a provider has a limit of concurrent calls, and only its own calls wait', async () => {
    const waiting: (() => void)[] = [];
    const upstream = await makeUpstream({
      api: (request, response) => {
        if (request.url === '/quick') response.end('ok');
        else waiting.push(() => void response.end('ok'));
      },
      server: { limits: { tenantCallsAtOnce: 3 } },
    });
    opened.push(upstream);
    await upstream.connect('globex');
    const held = [1, 2, 3].map(() => upstream.call('/slow'));
    await until(() => waiting.length === 3, 'three calls are under way');
    const refused = await upstream.call('/quick');
    expect([refused.status, await refused.json()]).toMatchObject([429, { code: 'rate_limited' }]);
    const headers = { authorization: `Bearer ${upstream.key}` };
    expect((await fetch(`${upstream.url}/v1/proxy/globex/plain/quick`, { headers })).status).toBe(200);
    for (const finish of waiting) finish();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await upstream.call('/quick')).status).toBe(200);
  });

  it('fills no more than one provider’s room', () => {
    const traffic = new Traffic(systemWorld(), { ...serverLimits, providerCallsAtOnce: 2 });
    const leave = traffic.enterProvider('one');
    traffic.enterProvider('one');
    expect(() => traffic.enterProvider('one')).toThrow(expect.objectContaining({ code: 'provider_unavailable' }));
    traffic.enterProvider('two');
    leave();
    leave();
    traffic.enterProvider('one');
    expect(() => traffic.enterProvider('one')).toThrow(expect.objectContaining({ code: 'provider_unavailable' }));
  });
});

describe('while the process is behind with its work', () => {
  const read = (traffic: Traffic, tenant: string, times: number): number => {
    let passed = 0;
    for (let i = 0; i < times; i += 1) {
      try {
        if (traffic.isPressed) traffic.assertFair(tenant);
        passed += 1;
      } catch {
        // Told to wait.
      }
    }
    return passed;
  };

  it('a tenant beyond its fair share waits first, and the others do not notice', () => {
    const traffic = new Traffic(systemWorld(), serverLimits);
    expect(read(traffic, 'noisy', 10_000)).toBe(10_000);
    traffic.look(300);
    const quiet = ['a', 'b', 'c'];
    read(traffic, 'noisy', 1_000);
    for (const tenant of quiet) read(traffic, tenant, 20);
    traffic.look(300);
    expect(read(traffic, 'noisy', 1_000)).toBe(265);
    for (const tenant of quiet) expect(read(traffic, tenant, 20)).toBe(20);
    traffic.look(10);
    expect(read(traffic, 'noisy', 1_000)).toBe(1_000);
  });

  it('a server with one tenant does not limit its share', () => {
    const traffic = new Traffic(systemWorld(), serverLimits);
    traffic.look(300);
    read(traffic, 'only', 500);
    traffic.look(300);
    expect(read(traffic, 'only', 1_000)).toBe(1_000);
  });

  it('a server that is far behind answers 503 to every caller, with the time to wait', () => {
    const traffic = new Traffic(systemWorld(), serverLimits);
    traffic.look(2_000);
    expect(() => traffic.assertFair('any')).toThrow(
      expect.objectContaining({ code: 'rate_limited', retryAfterMs: 500 }),
    );
  });
});

it('a server that is far behind tells readers of tokens to come back', async () => {
  const server = await makeServer({ server: { limits: { overloadedMs: 0, sheddingMs: 0 } } });
  await server.bench.connect(server.vault, { expiresIn: 3_600 });
  expect((await server.call('GET', tokenPath)).status).toBe(200);
  await server.bench.jump(1_000);
  for (const path of [tokenPath, tokenPath.replace('acme', '%61cme')]) {
    const answer = await server.call('GET', path);
    expect([answer.status, answer.body.code, answer.headers.get('retry-after')]).toEqual([503, 'rate_limited', '1']);
  }
});

it('a call to a provider that hangs ends with a typed problem and delays no other call', async () => {
  const upstream = await makeUpstream({ api: () => {}, server: { limits: { proxyFirstByteMs: 1_500 } } });
  opened.push(upstream);
  const { key } = await upstream.vault.keys.create('reader', { role: 'reader', tenants: ['acme'] });
  const headers = { authorization: `Bearer ${key.reveal()}` };
  const hanging = Array.from({ length: 50 }, () => upstream.call('/x'));
  for (let i = 0; i < 50; i += 1) {
    const token = await fetch(`${upstream.url}/v1/tenants/acme/grants/plain/token`, { headers });
    expect(token.status).toBe(200);
  }
  for (const response of await Promise.all(hanging)) {
    expect([response.status, await response.json()]).toMatchObject([503, { code: 'provider_unavailable' }]);
    expect(response.headers.get('retry-after')).toBe('2');
  }
});

it('a stream in which nothing moves any more is broken off', async () => {
  const upstream = await makeUpstream({
    api: (_request, response) => void response.writeHead(200).write('part'),
    server: { limits: { proxyIdleMs: 1_000 } },
  });
  opened.push(upstream);
  await expect((await upstream.call('/x')).text()).rejects.toThrow();
});
