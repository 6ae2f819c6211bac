import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import { inspect } from 'node:util';
import { describe, expect, it, test } from 'vitest';
import { startProxy } from '../../../test/support/egress-proxy.ts';
import { listen } from '../../../test/support/recording-server.ts';
import { testTls } from '../../../test/support/tls.ts';
import { systemWorld } from '../system-world.ts';
import type { World } from '../world.ts';
import { chooseEgressProxy, parseEgressProxy } from './egress-proxy.ts';
import { exchange } from './exchange.ts';
import { EgressProxyError, NotSentError, RefusedAddressError } from './outbound-errors.ts';

const ways = ['pooled', 'alone', 'raw'] as const;
const canary = 'canary-51c0';

async function sendBy(way: (typeof ways)[number], world: World, url: string, method = 'GET'): Promise<string> {
  if (way === 'raw') {
    const signal = new AbortController().signal;
    const { body } = await exchange(world, url, { method, headers: [], body: null, signal });
    return (await body.toArray()).join('');
  }
  const init = { method, headers: {}, ...(way === 'alone' ? { beforeSend: () => {} } : {}) };
  return (await world.fetch(url, init)).text();
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('expected a rejection');
    },
    (error: unknown) => error,
  );
}

function worldBehind(url: string, noProxy = '', timeScale = 1): World {
  return systemWorld({ allowLoopback: true, proxy: parseEgressProxy(url, noProxy, 'x'), timeScale });
}

describe.each(ways)('through a proxy, %s', (way) => {
  it('a request reaches a host that only the proxy can find, with user and password', async () => {
    const origin = await listen(http.createServer((request, response) => response.end(`for ${request.headers.host}`)));
    await using proxy = await startProxy();
    const { port } = new URL(origin);
    const world = worldBehind(`http://me:p%40ss%20${canary}@127.0.0.1:${proxy.port}`);
    expect(await sendBy(way, world, `http://as.nowhere.example:${port}/`)).toBe(`for as.nowhere.example:${port}`);
    expect(proxy.asked).toEqual([`as.nowhere.example:${port}`]);
    expect(proxy.logins).toEqual([`Basic ${Buffer.from(`me:p@ss ${canary}`).toString('base64')}`]);
  });

  it('TLS is checked end to end', async () => {
    const server = https.createServer({ ...testTls }, (_request, response) => response.end('secure'));
    const origin = (await listen(server)).replace('http://127.0.0.1', 'https://localhost');
    await using proxy = await startProxy();
    const world = worldBehind(proxy.url);
    const untrusted = await failure(sendBy(way, world, origin));
    expect(untrusted).toBeInstanceOf(NotSentError);
    expect(untrusted).toMatchObject({ message: expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT') });
    const before = tls.getCACertificates('default');
    tls.setDefaultCACertificates([...before, testTls.cert]);
    try {
      expect(await sendBy(way, world, origin)).toBe('secure');
      // The certificate names 127.0.0.1 and localhost, and no other name.
      const elsewhere = await failure(sendBy(way, world, origin.replace('localhost', 'other.example')));
      expect(elsewhere).toMatchObject({ message: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID') });
    } finally {
      tls.setDefaultCACertificates(before);
    }
  });

  it.each([
    ['a login that is refused', { answer: 407 }, { status: 407 }],
    ['a host that is forbidden', { answer: 403 }, { status: 403 }],
    ['a host that it cannot reach', { answer: 502 }, { status: 502 }],
    ['a redirect', { answer: 302 }, { status: 302 }],
    ['an end without an answer', { answer: 'close' as const }, { status: null, code: 'ECONNRESET' }],
    ['bytes of its own after the answer', { extra: 'HTTP/1.1 200 OK\r\n\r\n' }, { status: 200 }],
  ])('%s means that nothing was sent', async (_name, options, expected) => {
    let requests = 0;
    const origin = await listen(http.createServer(() => (requests += 1)));
    await using proxy = await startProxy(options);
    const world = worldBehind(`http://me:${canary}@127.0.0.1:${proxy.port}`);
    const error = await failure(sendBy(way, world, origin, 'POST'));
    expect(error).toBeInstanceOf(EgressProxyError);
    expect(error).toBeInstanceOf(NotSentError);
    expect(error).toMatchObject({ proxy: proxy.url, ...expected });
    expect(inspect(error, { depth: 9 })).not.toContain(canary);
    expect([requests, proxy.asked.length]).toEqual([0, 1]);
  });

  it('a proxy that never answers, or does not listen, means the same', async () => {
    await using proxy = await startProxy({ answer: 'silent' });
    const late = await failure(sendBy(way, worldBehind(proxy.url, '', 0.05), 'http://as.example:8080/', 'POST'));
    expect(late).toMatchObject({ name: 'NotSentError', status: null, code: 'ETIMEDOUT' });
    const gone = await failure(sendBy(way, worldBehind('http://127.0.0.1:9'), 'http://as.example:8080/', 'POST'));
    expect(gone).toMatchObject({ name: 'NotSentError', status: null, code: 'ECONNREFUSED' });
  });

  it('an open tunnel outlives the time in which it had to open', async () => {
    const server = http.createServer((_request, response) => setTimeout(() => response.end('late'), 1_000));
    const origin = await listen(server);
    await using proxy = await startProxy();
    expect(await sendBy(way, worldBehind(proxy.url, '', 0.05), origin)).toBe('late');
  });

  it.each([
    'https://10.0.0.1/',
    'https://[::1]/',
    'https://169.254.169.254/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://localhost/',
    'https://metadata.google.internal/',
    'https://intranet/',
    'https://printer.local./',
    'http://public.example/',
    'https://public.example:8443/',
  ])('%s is refused before the proxy is asked', async (url) => {
    await using proxy = await startProxy();
    const world = systemWorld({ proxy: parseEgressProxy(proxy.url, '', 'x') });
    await expect(sendBy(way, world, url)).rejects.toThrow(RefusedAddressError);
    expect(proxy.asked).toEqual([]);
  });

  it('a host that bypasses the proxy is checked by its address', async () => {
    const origin = await listen(http.createServer((_request, response) => response.end('direct')));
    await using proxy = await startProxy();
    expect(await sendBy(way, worldBehind(proxy.url, '127.0.0.1'), origin)).toBe('direct');
    const world = systemWorld({
      proxy: parseEgressProxy(proxy.url, 'lure.example', 'x'),
      lookup: (_name, _options, callback) => callback(null, [{ address: '10.0.0.1', family: 4 }]),
    });
    await expect(sendBy(way, world, 'https://lure.example/')).rejects.toThrow(RefusedAddressError);
    expect(proxy.asked).toEqual([]);
  });
});

describe('the list of hosts without proxy', () => {
  test.each([
    ['', 'a.example', '443', false],
    ['*', 'a.example', '443', true],
    ['a.example', 'a.example', '443', true],
    ['a.example', 'b.a.example', '443', true],
    ['.a.example', 'b.a.example', '443', true],
    ['*.a.example', 'b.a.example', '443', true],
    ['a.example', 'ba.example', '443', false],
    ['A.Example', 'a.eXample', '443', true],
    ['x, a.example  y', 'a.example', '443', true],
    ['a.example:8443', 'a.example', '443', false],
    ['a.example:443', 'a.example', '443', true],
    ['10.0.0.1', '10.0.0.1', '443', true],
    ['0.0.1', '10.0.0.1', '443', false],
    ['::1', '::1', '443', true],
    ['[::1]:8080', '::1', '443', false],
    ['[::1]', '::1', '443', true],
  ])('%j and %s:%s: %s', (list, host, port, expected) => {
    expect(parseEgressProxy('http://proxy.example:3128', list, 'x').bypasses(host, port)).toBe(expected);
  });
});

describe('the address of a proxy', () => {
  test.each([
    ['proxy.example:3128', 'http://proxy.example:3128'],
    ['http://proxy.example', 'http://proxy.example'],
    ['https://u:p@proxy.example:8443/', 'https://proxy.example:8443'],
  ])('%s is shown as %s', (text, origin) => {
    expect(parseEgressProxy(text, '', 'x').origin).toBe(origin);
  });

  test.each([`socks5://u:${canary}@h:1`, `http://u:${canary}@h/path`, `http://u:${canary}%zz@h`, `http://${canary} x`])(
    'that cannot be one is refused, and not repeated (%#)',
    (text) => {
      expect(() => parseEgressProxy(text, '', 'GRANTRY_EGRESS_PROXY')).toThrow(
        expect.objectContaining({ code: 'invalid_request', message: expect.not.stringContaining(canary) }),
      );
    },
  );

  test('comes from the variables of other programs with env', () => {
    const environment = { HTTPS_PROXY: 'http://one.example:1', NO_PROXY: 'a.example', HTTP_PROXY: 'http://no.example' };
    expect(chooseEgressProxy(undefined, undefined, environment)).toBeNull();
    expect(chooseEgressProxy('env', undefined, {})).toBeNull();
    const chosen = chooseEgressProxy('env', undefined, environment);
    expect([chosen?.origin, chosen?.bypasses('a.example', '443')]).toEqual(['http://one.example:1', true]);
    const own = chooseEgressProxy('env', 'b.example', { ...environment, https_proxy: 'http://two.example:2' });
    expect([own?.origin, own?.bypasses('a.example', '443')]).toEqual(['http://two.example:2', false]);
  });
});
