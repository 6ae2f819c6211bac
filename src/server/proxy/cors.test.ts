/** Pages in browsers that call the proxy: what a browser is told before and after, over real sockets. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf } from '../../../test/support/bench.ts';
import { makeUpstream, type Upstream } from '../../../test/support/upstream.ts';

const page = 'https://widget.example';
const stranger = 'https://evil.example';

let upstream: Upstream;
let widgetKey: string;
let serverKey: string;
const seen: string[] = [];

beforeAll(async () => {
  upstream = await makeUpstream({
    api: (request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.origin ?? 'no origin'}`);
      response.setHeader('access-control-allow-origin', '*').setHeader('vary', 'accept').end('ok');
    },
  });
  const { keys } = upstream.vault;
  const made = await keys.create('widget', { role: 'caller', tenants: ['acme'], origins: [page, `${page}:8443`] });
  widgetKey = made.key.reveal();
  expect(made.apiKey.origins).toEqual([page, `${page}:8443`]);
  serverKey = (await keys.create('server', { role: 'caller', tenants: ['acme'] })).key.reveal();
});

afterAll(() => upstream?.[Symbol.asyncDispose]());

function preflight(origin: string, headers = 'authorization,content-type'): Promise<Response> {
  return fetch(`${upstream.url}/v1/proxy/acme/plain/crm/v8/Leads`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': headers,
    },
  });
}

function call(key: string, origin: string | null, path = '/crm'): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, ...(origin === null ? {} : { origin }) };
  return fetch(`${upstream.url}/v1/proxy/acme/plain${path}`, { headers });
}

describe('the question before a call', () => {
  it('is answered for an origin of a live key, without a key and without the API', async () => {
    seen.length = 0;
    const response = await preflight(page);
    expect(response.status).toBe(204);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-origin': page,
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
      'access-control-allow-headers': 'authorization,content-type',
    });
    expect(response.headers.get('vary')).toContain('origin');
    expect(response.headers.get('access-control-allow-credentials')).toBeNull();
    expect(seen).toEqual([]);
  });

  it.each([stranger, 'null', `${page}.evil.example`, 'http://widget.example', `${page}:444`])(
    'allows nothing to %s',
    async (origin) => {
      expect((await preflight(origin)).headers.get('access-control-allow-origin')).toBeNull();
    },
  );

  it('does not repeat a header list that is none', async () => {
    const { headers } = await preflight(page, 'a,b(c)');
    expect(headers.get('access-control-allow-headers')).toBe('authorization');
  });

  it('allows nothing any more after the only key of the origin was revoked', async () => {
    const origin = 'https://short.example';
    await upstream.vault.keys.create('short', { role: 'caller', tenants: ['acme'], origins: [origin] });
    await expect.poll(async () => (await preflight(origin)).headers.get('access-control-allow-origin')).toBe(origin);
    await upstream.vault.keys.revoke('short');
    const allowed = async () => (await preflight(origin)).headers.get('access-control-allow-origin');
    await expect.poll(allowed, { timeout: 8_000 }).toBeNull();
  });
});

describe('a call of a page', () => {
  it('may be read by its origin, and the API learns no origin', async () => {
    seen.length = 0;
    const response = await call(widgetKey, page);
    expect([response.status, await response.text()]).toEqual([200, 'ok']);
    expect(response.headers.get('access-control-allow-origin')).toBe(page);
    expect(response.headers.get('access-control-expose-headers')).toBe('*');
    expect(response.headers.get('vary')).toBe('accept, origin');
    expect(seen).toEqual(['GET /crm no origin']);
  });

  it('may read a problem, too', async () => {
    const response = await fetch(`${upstream.url}/v1/proxy/acme/nowhere/crm`, {
      headers: { authorization: `Bearer ${widgetKey}`, origin: page },
    });
    expect(response.status).toBe(404);
    expect(response.headers.get('access-control-allow-origin')).toBe(page);
  });

  it('of another origin reaches no API', async () => {
    seen.length = 0;
    const response = await call(widgetKey, stranger);
    expect(response.status).toBe(403);
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(seen).toEqual([]);
  });

  it('with a key of servers may not be read by any page', async () => {
    expect((await call(serverKey, page)).headers.get('access-control-allow-origin')).toBeNull();
  });
});

it.each([
  ['no origin', ['widget.example']],
  ['a path', [`${page}/app`]],
  ['a wildcard', ['https://*.example']],
  ['plain http', ['http://widget.example']],
  ['null', ['null']],
  ['an empty list', []],
])('a key with %s is refused', async (_what, origins) => {
  const made = upstream.vault.keys.create('odd', { role: 'caller', tenants: ['acme'], origins });
  expect(await codeOf(made)).toBe('invalid_request');
});

it('only a caller is for pages', async () => {
  const made = upstream.vault.keys.create('odd', { role: 'reader', tenants: ['acme'], origins: [page] });
  expect(await codeOf(made)).toBe('invalid_request');
});

it('a child is for origins of its parent, or for any of a key of servers', async () => {
  const child = (key: string, origins: string[]): Promise<Response> =>
    fetch(`${upstream.url}/v1/keys/self/children`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ origins }),
    });
  expect((await child(widgetKey, [stranger])).status).toBe(403);
  expect(await (await child(widgetKey, [page])).json()).toMatchObject({ origins: [page] });
  expect(await (await child(serverKey, [stranger])).json()).toMatchObject({ origins: [stranger] });
});
