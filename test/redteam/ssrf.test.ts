/** Requests that are lured into the machine or its network, and requests through the proxy: rows S-01 to S-09 without S-03, S-04 and S-07. */
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { LookupAll } from '../../src/base/network/guarded-connector.ts';
import { RefusedAddressError } from '../../src/base/network/outbound-errors.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { openVault } from '../../src/index.ts';
import { checkOrigins } from '../../src/providers/check-origins.ts';
import { providerDefinition } from '../../src/providers/definition.ts';
import { sendBytes } from '../support/raw.ts';
import { listen } from '../support/recording-server.ts';
import { testTls } from '../support/tls.ts';
import { getBytes, makeUpstream, noting, tokens } from '../support/upstream.ts';
import { sendBy, ways } from './send-ways.ts';

/** A resolver that answers in turn, and the last answer from then on. */
function resolver(...answers: string[][]): { lookup: LookupAll; asked: () => number } {
  let asked = 0;
  return {
    asked: () => asked,
    lookup: (_hostname, _options, callback) => {
      const addresses = answers[Math.min(asked, answers.length - 1)] ?? [];
      asked += 1;
      const found = addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }));
      setImmediate(() => callback(null, found));
    },
  };
}

describe('S-01: the upstream is the pinned origin, and the caller gives only path and query', () => {
  const { seen, api } = noting();

  it.each([
    ['a host after two slashes', '//evil.example/x', 400],
    ['an absolute URL', '/http://evil.example/x', 200],
    ['a user in front of a host', '/@evil.example/x', 200],
    ['a backslash', '/\\evil.example/x', 400],
    ['two backslashes', '\\\\evil.example/x', 400],
    ['the folder above', '/a/../../x', 400],
    ['the same folder', '/./a/x', 400],
    ['the same folder, encoded', '/%2E/a/x', 400],
    ['the folder above, encoded', '/a/%2e%2E/x', 400],
    ['the folder above, with a parameter', '/a/..;/x', 400],
    ['the folder above, with an encoded parameter', '/a/..%3bx/x', 400],
    ['the folder above, after an encoded slash', '/a%2f..%2fx', 400],
    ['dots of other alphabets', '/%EF%BC%8E%EF%BC%8E/x', 200],
    ['an encoded line break', '/x%0d%0aHost:%20evil.example', 200],
    ['encoded twice', '/%252e%252e/x', 200],
    ['a fragment', '/x#@evil.example', 400],
  ])('%s', async (_name, path, status) => {
    await using upstream = await makeUpstream({ api });
    seen.length = 0;
    const answer = await getBytes(upstream, `/v1/proxy/acme/plain${path}`);
    expect(answer.status).toBe(status);
    // A request that gets through reaches the provider unchanged.
    const asSent = seen.map(({ url, headers }) => [headers.host, url]);
    expect(asSent).toEqual(status === 200 ? [[new URL(upstream.origin).host, path]] : []);
  });

  it.each([
    'GET http://evil.example/v1/proxy/acme/plain/x HTTP/1.1',
    'GET * HTTP/1.1',
    'CONNECT evil.example:443 HTTP/1.1',
  ])('the request line %j is refused', async (line) => {
    await using upstream = await makeUpstream({ api });
    seen.length = 0;
    const answer = await sendBytes(upstream.url, `${line}\r\nHost: x\r\nAuthorization: Bearer ${upstream.key}\r\n\r\n`);
    expect([0, 400]).toContain(answer.status);
    expect(seen).toEqual([]);
  });
});

describe('S-02: the client connects to the address that was checked', () => {
  it.each(ways)('a name that leads elsewhere the next time is refused then, %s', async (way) => {
    let requests = 0;
    const origin = await listen(
      http.createServer((_request, response) => {
        requests += 1;
        response.writeHead(200, { connection: 'close' }).end('ok');
      }),
    );
    // With the switch for simulators loopback stands for the public, and the private net stays what it is.
    const { lookup, asked } = resolver(['127.0.0.1'], ['10.0.0.1']);
    const world = systemWorld({ lookup, allowLoopback: true });
    const url = `http://rebinding.example:${new URL(origin).port}/`;
    await sendBy(way, world, url);
    await expect(sendBy(way, world, url)).rejects.toThrow(RefusedAddressError);
    // One look-up for each connection: nothing was resolved to be checked, and resolved again to be used.
    expect([requests, asked()]).toEqual([1, 2]);
  });

  it.each(ways)('of several addresses only the allowed one gets a connection, %s', async (way) => {
    const origin = await listen(
      http.createServer((_request, response) => response.writeHead(200, { connection: 'close' }).end('ok')),
    );
    // With the switch for simulators 127.0.0.1 stands for the public. A connection to another address would be refused.
    for (const bad of ['10.0.0.1', '169.254.169.254', '::ffff:127.0.0.1', 'fd00:ec2::254', '64:ff9b::a00:1']) {
      for (const addresses of [
        [bad, '127.0.0.1'],
        ['127.0.0.1', bad],
      ]) {
        const { lookup, asked } = resolver(addresses);
        const world = systemWorld({ lookup, allowLoopback: true });
        await sendBy(way, world, `http://mixed.example:${new URL(origin).port}/`);
        expect(asked()).toBe(1);
      }
    }
  });

  it.each(ways)('a name with only bad addresses is refused, %s', async (way) => {
    for (const bad of [
      '127.0.0.1',
      '10.0.0.1',
      '::1',
      '::ffff:127.0.0.1',
      '64:ff9b::a9fe:a9fe',
      '64:ff9b:1::808:808',
    ]) {
      const { lookup } = resolver(['192.168.0.1', bad]);
      await expect(sendBy(way, systemWorld({ lookup }), 'https://bad.example/')).rejects.toThrow(RefusedAddressError);
    }
  });

  it.each(ways)('a name without any address is no connection, %s', async (way) => {
    const { lookup } = resolver([]);
    await expect(sendBy(way, systemWorld({ lookup }), 'https://empty.example/')).rejects.toThrow();
  });
});

it('S-05: a redirect is handed back, and no other server sees the token', async () => {
  const stolen: http.IncomingHttpHeaders[] = [];
  const thief = await listen(
    http.createServer((request, response) => {
      stolen.push(request.headers);
      response.end();
    }),
  );
  for (const status of [301, 302, 303, 307, 308]) {
    const upstreamApi: http.RequestListener = (request, response) => {
      request
        .resume()
        .on('end', () => response.writeHead(status, { location: `${thief}/x`, refresh: `0;url=${thief}` }).end());
    };
    await using upstream = await makeUpstream({ api: upstreamApi });
    const response = await upstream.call('/x', { method: 'POST', body: 'b' });
    expect([response.status, response.headers.get('location')]).toEqual([status, `${thief}/x`]);
  }
  expect(stolen).toEqual([]);
});

it('S-06: proxies named in the environment are ignored', async () => {
  let tunnels = 0;
  const proxy = http.createServer((_request, response) => {
    tunnels += 1;
    response.end('from the proxy');
  });
  proxy.on('connect', (_request, socket) => {
    tunnels += 1;
    socket.destroy();
  });
  const address = await listen(proxy);
  const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'];
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : address;
  onTestFinished(() => {
    for (const [at, name] of names.entries()) {
      if (before[at] === undefined) delete process.env[name];
      else process.env[name] = before[at];
    }
  });
  const { seen, api } = noting();
  await using upstream = await makeUpstream({ api });
  const answer = await getBytes(upstream, '/v1/proxy/acme/plain/x');
  expect([answer.status, seen.length, tunnels]).toEqual([200, 1, 0]);
});

describe('S-08: https on port 443, bounded answers, certificates that are checked', () => {
  it.each(ways)('plain http and other ports are refused, %s', async (way) => {
    const { lookup } = resolver(['8.8.8.8']);
    for (const url of ['http://public.example/', 'https://public.example:8443/', 'http://public.example:443/']) {
      await expect(sendBy(way, systemWorld({ lookup }), url)).rejects.toThrow(RefusedAddressError);
    }
  });

  it.each(ways)('a connection with an untrusted certificate fails and is not tried again, %s', async (way) => {
    let hellos = 0;
    const server = https.createServer({ ...testTls }, (_request, response) => response.end('stolen'));
    server.on('connection', () => (hellos += 1));
    const origin = await listen(server);
    const world = systemWorld({ allowLoopback: true });
    await expect(sendBy(way, world, origin.replace('http:', 'https:'))).rejects.toThrow();
    expect(hellos).toBe(1);
  });

  it('an answer that unpacks to more than its limit is passed on packed, and never unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1_048_576, 0x20));
    const api: http.RequestListener = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb);
    };
    const change = <D extends { api: object }>(definition: D): D => ({
      ...definition,
      api: { ...definition.api, invalidToken: [{ status: 200, pointer: '/code', equals: 57 }] },
    });
    await using upstream = await makeUpstream({ api, change });
    const answer = await new Promise<http.IncomingMessage>((resolve) => {
      const headers = { authorization: `Bearer ${upstream.key}` };
      http.get(`${upstream.url}/v1/proxy/acme/plain/x`, { headers, agent: false }, resolve);
    });
    let bytes = 0;
    answer.on('data', (part: Buffer) => (bytes += part.length));
    await once(answer, 'end');
    expect(bytes).toBe(bomb.length);
  });
});

describe('S-09: a definition that a tenant brought', () => {
  const base = {
    id: 'lure',
    endpoints: { token: 'https://as.example/token' },
    api: { hosts: ['https://api.example'] },
  };
  const inside = ['https://10.0.0.1', 'https://[::1]', 'https://2130706433', 'https://metadata.internal'];

  it.each([...inside, 'http://as.example', 'https://as.example:8443'])('may not lead to %s', (url) => {
    for (const definition of [
      { ...base, endpoints: { token: `${url}/token` } },
      { ...base, endpoints: { ...base.endpoints, revocation: `${url}/revoke` } },
      { ...base, endpoints: { ...base.endpoints, authorization: `${url}/authorize` } },
      { ...base, issuer: url },
      { ...base, api: { hosts: [url] } },
    ]) {
      const parsed = providerDefinition.parse(definition);
      expect(() => checkOrigins(parsed)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
    }
  });

  it('whose names lead inside gets nothing: token, revocation, API and discovery', async () => {
    const home = mkdtempSync(join(tmpdir(), 'grantry-lure-'));
    onTestFinished(() => rmSync(home, { recursive: true, force: true }));
    const { lookup, asked } = resolver(['127.0.0.1']);
    await using vault = await openVault({
      home,
      database: `sqlite:${join(home, 'grantry.db')}`,
      rootKey: `file:${join(home, 'root.key')}`,
      world: systemWorld({ lookup }),
    });
    const endpoints = { ...base.endpoints, revocation: 'https://as.example/revoke' };
    await vault.providers.put({ ...base, endpoints, refreshToken: { rotation: 'none' } });
    await vault.apps.put('lure', { provider: 'lure', clientId: 'client', clientSecret: 'a-client-secret' });
    const key = { tenant: 'acme', provider: 'lure' };
    await vault.storeTokens(key, { app: 'lure', refreshToken: tokens.refresh });
    await expect(vault.getAccessToken(key)).rejects.toMatchObject({ code: 'provider_misconfigured', retryable: false });
    await vault.storeTokens(key, {
      app: 'lure',
      refreshToken: tokens.refresh,
      accessToken: tokens.first,
      expiresIn: 3_600,
    });
    await expect(vault.fetch(key, '/x')).rejects.toMatchObject({ code: 'provider_misconfigured' });
    expect((await vault.disconnect(key)).revocation).not.toBe('revoked');
    await expect(
      vault.providers.put({ ...base, id: 'found', issuer: 'https://as.example', endpoints: {} }),
    ).rejects.toThrow();
    expect(asked()).toBeGreaterThanOrEqual(4);
  });
});
