import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { makeUpstream } from '../../../test/support/upstream.ts';
import { requestHeaders, responseHeaders } from './headers.ts';

/** The headers that a caller gets, without those that this server writes itself. */
function passed(status: number, ...raw: readonly string[]): Record<string, string> {
  const sent = responseHeaders(status, raw, 1);
  const headers = new Headers();
  for (let at = 0; at < sent.length; at += 2) headers.append(sent[at] ?? '', sent[at + 1] ?? '');
  for (const own of ['content-security-policy', 'grantry-generation']) headers.delete(own);
  return Object.fromEntries(headers);
}

const kept = { 'cache-control': 'private', 'x-content-type-options': 'nosniff' };

describe('an answer’s orders to caches', () => {
  it.each([
    ['nothing', [], 'private'],
    ['public', ['public, max-age=60'], 'private, max-age=60'],
    ['a life in shared caches', ['s-maxage=600, proxy-revalidate, must-revalidate'], 'private, must-revalidate'],
    ['no-store', ['No-Store'], 'private, no-store'],
    ['two headers', ['public', 'max-age=5, immutable'], 'private, max-age=5, immutable'],
    ['a list of headers', ['private="set-cookie, public", no-cache="x"'], 'private, no-cache'],
    ['what takes back no-store', ['must-understand, no-store'], 'private, no-store'],
    ['no number', ['max-age=-1, max-age="5", max-age'], 'private'],
  ])('with %s, forbid shared ones to keep it', (_name, given, expected) => {
    const headers = passed(200, ...given.flatMap((value) => ['Cache-Control', value]));
    expect(headers['cache-control']).toBe(expected);
  });

  it.each([
    'Surrogate-Control',
    'Surrogate-Key',
    'CDN-Cache-Control',
    'Cloudflare-CDN-Cache-Control',
    'Netlify-CDN-Cache-Control',
    'Edge-Control',
    'Edge-Cache-Tag',
    'Cache-Tag',
    'X-Cache-Tags',
    'xkey',
    'X-TTL',
    'X-Varnish-Ttl',
    'X-Varnish',
    'X-LiteSpeed-Location',
    'X-LiteSpeed-Cache-Control',
    'X-LSADC-Cache-Control',
    'X-Accel-Redirect',
    'X-Accel-Expires',
    'X-Accel-Buffering',
    'X-Sendfile',
    'X-SendFile-Temporary',
    'X-Send-File',
    'X-Lighttpd-Send-File',
    'X-Lighttpd-Send-Tempfile',
    'X-Reproxy-URL',
    'X-ESI',
    'X-Anything-Cache-Control',
  ])('and to servers in front: %s is dropped', (name) => {
    expect(passed(200, name, 'x')).toEqual(kept);
  });

  it.each(['X-RateLimit-Remaining', 'X-Cache', 'Age', 'ETag', 'Vary', 'CF-Ray', 'Link', 'Expires'])(
    '%s is kept',
    (name) => {
      expect(passed(200, name, 'x')).toEqual({ ...kept, [name.toLowerCase()]: 'x' });
    },
  );
});

describe('headers that identify a caller', () => {
  const names = [
    'Via',
    'Forwarded',
    'X-Forwarded-For',
    'X-Forwarded-Anything',
    'X-Real-IP',
    'X-Client-IP',
    'True-Client-IP',
    'CF-Connecting-IP',
    'Fastly-Client-IP',
    'Authorization',
    'Cookie',
    'Proxy-Authenticate',
  ];

  it.each(names)('%s passes in neither direction', (name) => {
    expect(passed(200, name, 'x')).toEqual(kept);
    expect(requestHeaders([name, 'x', 'Accept', 'a/b'])).toEqual(['accept', 'a/b']);
  });

  it('a provider’s X-Content-Type-Options is replaced, not joined', () => {
    expect(passed(200, 'X-Content-Type-Options', 'x')).toEqual(kept);
  });
});

describe('an answer without a body', () => {
  it.each([
    ['304 with the length of a body', 'GET', 304, '50', '50'],
    ['304 with no length', 'GET', 304, undefined, null],
    ['204 with a length', 'GET', 204, '0', null],
    ['204 with a wrong length', 'GET', 204, '7', null],
    ['200 to HEAD', 'HEAD', 200, '50', '50'],
    ['404 to HEAD', 'HEAD', 404, '9', '9'],
  ])('reaches the caller: %s', async (_name, method, status, length, expected) => {
    const api: http.RequestListener = (_request, response) => {
      // Node would leave out the length of a 204.
      const lines = [`HTTP/1.1 ${status} x`, 'ETag: "a"', 'Content-Type: application/json'];
      if (length !== undefined) lines.push(`Content-Length: ${length}`);
      response.socket?.write(`${lines.join('\r\n')}\r\n\r\n`);
    };
    const envelopes = { invalidToken: [{ status: 401 }, { status, pointer: '/code', equals: 57 }] };
    await using upstream = await makeUpstream({
      api,
      change: (definition) => ({ ...definition, api: { ...definition.api, ...envelopes } }),
    });
    const options = { method, agent: false, headers: { authorization: `Bearer ${upstream.key}` } };
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      http.request(`${upstream.url}/v1/proxy/acme/plain/x`, options, resolve).on('error', reject).end();
    });
    expect([answer.statusCode, answer.headers.etag, answer.headers['content-length'] ?? null]).toEqual([
      status,
      '"a"',
      expected,
    ]);
    let bytes = 0;
    for await (const chunk of answer) bytes += String(chunk).length;
    expect(bytes).toBe(0);
  });
});
