/** Headers and requests that are smuggled through the proxy: row S-07. */
import type http from 'node:http';
import { describe, expect, it } from 'vitest';
import { sendBytes } from '../support/raw.ts';
import { getBytes, makeUpstream, noting, tokens } from '../support/upstream.ts';

describe('S-07: hop-by-hop headers and headers that identify the caller pass in neither direction', () => {
  it('to the provider', async () => {
    const { seen, api } = noting();
    await using upstream = await makeUpstream({ api });
    const stripped = [
      'Cookie: session=1',
      'Cookie2: x',
      'Proxy-Authorization: Basic eA==',
      'Proxy-Connection: keep-alive',
      'Forwarded: for=1.2.3.4',
      'X-Forwarded-For: 1.2.3.4',
      'X-Forwarded-Host: evil.example',
      'X-Forwarded-Anything: x',
      'X-Real-IP: 1.2.3.4',
      'Via: 1.1 somewhere',
      'TE: trailers',
      'Upgrade: h2c',
      'Keep-Alive: timeout=5',
      'Expect: 100-continue',
      'Grantry-Account: default',
      'Origin: https://evil.example',
      'Connection: X-Mine, Upgrade',
      'X-Mine: 1',
    ];
    const answer = await getBytes(upstream, '/v1/proxy/acme/plain/x', [...stripped, 'X-Kept: 1', 'Accept: a/b']);
    expect(answer.text).toContain('HTTP/1.1 200');
    const { connection, ...sent } = seen[0]?.headers ?? {};
    expect(['keep-alive', undefined]).toContain(connection);
    const host = new URL(upstream.origin).host;
    expect(sent).toEqual({ host, accept: 'a/b', 'x-kept': '1', authorization: `Bearer ${tokens.first}` });
  });

  it('to the caller', async () => {
    const api: http.RequestListener = (_request, response) => {
      const own = [
        'Set-Cookie',
        'a=1',
        'Set-Cookie2',
        'a',
        'Proxy-Authenticate',
        'Basic',
        'Alt-Svc',
        'h2="evil.example"',
      ];
      own.push(
        'Strict-Transport-Security',
        'max-age=1',
        'Clear-Site-Data',
        '"cookies"',
        'Access-Control-Allow-Origin',
        '*',
      );
      own.push(
        'Connection',
        'X-Mine',
        'X-Mine',
        '1',
        'Grantry-Generation',
        '99',
        'Content-Security-Policy',
        'x',
        'X-Kept',
        '1',
        'Via',
        '1.1 inside',
        'Forwarded',
        'for=10.1.2.3',
        'X-Forwarded-For',
        '10.1.2.3',
        'X-Accel-Redirect',
        '/inside',
        'X-LiteSpeed-Location',
        '/inside',
        'Surrogate-Control',
        'max-age=9',
        'Cache-Control',
        'public, s-maxage=9',
        'X-Content-Type-Options',
        'x',
      );
      response.writeHead(200, own).end('ok');
    };
    await using upstream = await makeUpstream({ api });
    const { headers } = await upstream.call('/x');
    const names = [...headers.keys()].filter(
      (name) => !['date', 'connection', 'keep-alive', 'transfer-encoding'].includes(name),
    );
    expect(names.sort()).toEqual([
      'cache-control',
      'content-security-policy',
      'grantry-generation',
      'x-content-type-options',
      'x-kept',
    ]);
    expect(headers.get('grantry-generation')).toBe('1');
    expect(headers.get('content-security-policy')).toBe("sandbox; default-src 'none'");
    expect(headers.get('cache-control')).toBe('private');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each([
    ['a length and pieces', ['Content-Length: 4', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
    ['two lengths', ['Content-Length: 4', 'Content-Length: 5'], 'abcde'],
    ['lengths in a list', ['Content-Length: 4, 5'], 'abcde'],
    ['a signed length', ['Content-Length: +4'], 'abcd'],
    ['an unknown encoding', ['Transfer-Encoding: xchunked'], '0\r\n\r\n'],
    ['pieces that are not last', ['Transfer-Encoding: chunked, identity'], '0\r\n\r\n'],
    ['an encoding with a vertical tab', ['Transfer-Encoding:\x0bchunked'], '0\r\n\r\n'],
    ['a folded header', ['X-A: 1', ' Transfer-Encoding: chunked'], '0\r\n\r\n'],
    ['a space before the colon', ['Transfer-Encoding : chunked'], '0\r\n\r\n'],
    ['a piece of a bad size', ['Transfer-Encoding: chunked'], '5x\r\nabcde\r\n0\r\n\r\n'],
    ['a bare line feed', ['X-A: 1\nX-B: 2'], ''],
  ])('a request is not smuggled behind %s', async (_name, headers, body) => {
    const { seen, api } = noting();
    await using upstream = await makeUpstream({ api });
    const hidden = `GET /v1/proxy/acme/plain/hidden HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${upstream.key}\r\n\r\n`;
    const lines = [
      'POST /v1/proxy/acme/plain/seen HTTP/1.1',
      'Host: x',
      `Authorization: Bearer ${upstream.key}`,
      ...headers,
    ];
    const answer = await sendBytes(upstream.url, `${lines.join('\r\n')}\r\n\r\n${body}${hidden}`);
    expect([0, 400, 408]).toContain(answer.status === 200 ? 0 : answer.status);
    expect(answer.text).not.toContain('200 OK');
    expect(seen.filter(({ url }) => url === '/hidden')).toEqual([]);
  });

  it('TRACE and unknown methods are refused', async () => {
    const { seen, api } = noting();
    await using upstream = await makeUpstream({ api });
    for (const method of ['TRACE', 'PURGE', 'MKCOL', 'NONSENSE']) {
      const bytes = `${method} /v1/proxy/acme/plain/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${upstream.key}\r\n\r\n`;
      expect([400, 405]).toContain((await sendBytes(upstream.url, bytes)).status);
    }
    expect(seen).toEqual([]);
  });
});
