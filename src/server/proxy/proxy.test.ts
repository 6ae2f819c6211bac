import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { until } from '../../../test/support/bench.ts';
import { makeUpstream, tokens } from '../../../test/support/upstream.ts';

interface Seen {
  method: string;
  url: string;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

/** An API that notes what it is asked; it takes one token and refuses the others as told. */
function recorder(answer: (response: ServerResponse, seen: Seen) => void): {
  seen: Seen[];
  api: (request: IncomingMessage, response: ServerResponse) => void;
} {
  const seen: Seen[] = [];
  const api = (request: IncomingMessage, response: ServerResponse): void => {
    void note(request).then((entry) => answer(response, entry));
  };
  return { seen, api };

  async function note(request: IncomingMessage): Promise<Seen> {
    const body = await buffer(request);
    const entry = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
    seen.push(entry);
    return entry;
  }
}

interface Sent {
  method?: string;
  body?: string | (() => ReadableStream);
  duplex?: 'half';
}

const ok = (response: ServerResponse): void => void response.end('ok');

function refusing(token: string): (response: ServerResponse, seen: Seen) => void {
  return (response, { headers }) => {
    response.writeHead(headers.authorization === `Bearer ${token}` ? 401 : 200).end('body');
  };
}

describe('a proxied call', () => {
  it('carries the token, the path and the query as they were sent, and the generation comes back', async () => {
    const { seen, api } = recorder(ok);
    await using upstream = await makeUpstream({ api });
    const response = await upstream.call('/a%2Fb/%41;c=1/x%252Fy?q=a+b&r=%20%27&r=2');
    expect([response.status, await response.text()]).toEqual([200, 'ok']);
    expect(response.headers.get('grantry-generation')).toBe('1');
    expect(seen).toMatchObject([
      {
        method: 'GET',
        url: '/a%2Fb/%41;c=1/x%252Fy?q=a+b&r=%20%27&r=2',
        headers: { authorization: `Bearer ${tokens.first}` },
      },
    ]);
  });

  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('is made with %s', async (method) => {
    const { seen, api } = recorder(ok);
    await using upstream = await makeUpstream({ api });
    const hasBody = !['GET', 'HEAD'].includes(method);
    const response = await upstream.call('/x', { method, ...(hasBody ? { body: 'sent' } : {}) });
    expect(response.status).toBe(200);
    expect(seen).toMatchObject([{ method, body: Buffer.from(hasBody ? 'sent' : '') }]);
  });

  it('is refused with a method that is not on the list', async () => {
    const { seen, api } = recorder(ok);
    await using upstream = await makeUpstream({ api });
    const response = await upstream.call('/x', { method: 'PROPFIND' });
    expect([response.status, response.headers.get('allow')]).toEqual([
      405,
      'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
    ]);
    expect(seen).toEqual([]);
  });

  it('goes to the host that Grantry-Host names, if it is one of the provider’s', async () => {
    const { seen, api } = recorder(ok);
    await using upstream = await makeUpstream({ api });
    const port = new URL(upstream.origin).port;
    await upstream.call('/x', { headers: { 'grantry-host': `localhost:${port}` } });
    expect(seen[0]?.headers.host).toBe(`localhost:${port}`);
    for (const host of ['evil.example', `127.0.0.1:1`, `localhost:${port}, evil.example`, 'localhost:99999', '@x']) {
      const response = await upstream.call('/x', { headers: { 'grantry-host': host } });
      expect([response.status, await response.json()]).toMatchObject([400, { code: 'invalid_request' }]);
    }
    expect(seen.length).toBe(1);
  });

  it('carries the organisation where the product wants it, unless the caller names one', async () => {
    const { seen, api } = recorder(ok);
    const change = <D extends { api: object }>(definition: D): D => ({
      ...definition,
      api: { ...definition.api, organization: { in: 'query', name: 'organization_id' }, headers: { 'X-Api': '7' } },
      accessToken: { scheme: 'Zoho-oauthtoken' },
    });
    await using upstream = await makeUpstream({ api, change, metadata: { org_id: '10 2' } });
    await upstream.call('/a?x=%20');
    await upstream.call('/a');
    await upstream.call('/a?organization_id=9');
    expect(seen.map(({ url }) => url)).toEqual([
      '/a?x=%20&organization_id=10%202',
      '/a?organization_id=10%202',
      '/a?organization_id=9',
    ]);
    expect(seen[0]?.headers).toMatchObject({ authorization: `Zoho-oauthtoken ${tokens.first}`, 'x-api': '7' });
  });

  it('wants a key that may use the proxy for this tenant', async () => {
    const { seen, api } = recorder(ok);
    await using upstream = await makeUpstream({ api });
    const operator = (await upstream.vault.keys.create('operator', { role: 'operator' })).key.reveal();
    const other = (await upstream.vault.keys.create('other', { role: 'reader', tenants: ['globex'] })).key.reveal();
    const statuses: number[] = [];
    for (const authorization of ['Basic eDp5', `Bearer ${operator}`, `Bearer ${other}`]) {
      statuses.push((await upstream.call('/x', { headers: { authorization } })).status);
    }
    expect(statuses).toEqual([401, 403, 403]);
    expect(seen).toEqual([]);
  });

  it('for a tenant without a grant is grant_not_found, and at an account of its own takes that one', async () => {
    const { api } = recorder(ok);
    await using upstream = await makeUpstream({ api });
    const response = await upstream.call('/x', { headers: { 'grantry-account': 'second' } });
    expect([response.status, await response.json()]).toMatchObject([404, { code: 'grant_not_found' }]);
  });

  it('hands a redirect back as it is', async () => {
    const { seen, api } = recorder((response) => {
      response.writeHead(302, { location: 'http://evil.example/?a=b' }).end();
    });
    await using upstream = await makeUpstream({ api });
    const response = await upstream.call('/x');
    expect([response.status, response.headers.get('location')]).toEqual([302, 'http://evil.example/?a=b']);
    expect(seen.length).toBe(1);
  });

  it('hands a compressed answer back as it came', async () => {
    const packed = gzipSync('{"code":0}');
    const { api } = recorder((response) => {
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'application/json' }).end(packed);
    });
    await using upstream = await makeUpstream({ api, change: withEnvelopes });
    const response = await upstream.call('/x');
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(await response.json()).toEqual({ code: 0 });
  });
});

describe('a refused token', () => {
  it.each<[string, Sent, number, number]>([
    ['no body', {}, 200, 2],
    ['a small body', { method: 'POST', body: 'x'.repeat(1_000) }, 200, 2],
    ['the largest body that is kept', { method: 'POST', body: 'x'.repeat(262_144) }, 200, 2],
    ['a larger body', { method: 'POST', body: 'x'.repeat(262_145) }, 401, 1],
    ['a small stream', { method: 'POST', body: () => new Blob(['abc']).stream(), duplex: 'half' as const }, 200, 2],
  ])('of a call with %s is replaced once', async (_name, { body, ...init }, status, calls) => {
    const { seen, api } = recorder(refusing(tokens.first));
    await using upstream = await makeUpstream({ api });
    const sent = typeof body === 'function' ? body() : body;
    const response = await upstream.call('/x', { ...init, ...(sent === undefined ? {} : { body: sent }) });
    expect(response.status).toBe(status);
    expect(response.headers.get('grantry-generation')).toBe(status === 200 ? '2' : '1');
    expect(await response.text()).toBe('body');
    expect(upstream.refreshes).toBe(1);
    expect(seen.length).toBe(calls);
    if (calls === 2) expect(seen[1]?.body.equals(seen[0]?.body ?? Buffer.alloc(0))).toBe(true);
    expect((await upstream.call('/x')).status).toBe(200);
    expect(upstream.refreshes).toBe(1);
  });

  it('is replaced once however many calls were refused', async () => {
    const { api } = recorder(refusing(tokens.first));
    await using upstream = await makeUpstream({ api });
    const statuses = await Promise.all(Array.from({ length: 40 }, async () => (await upstream.call('/x')).status));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(upstream.refreshes).toBe(1);
  });

  it('that stays refused is handed back as the provider said it', async () => {
    const { seen, api } = recorder(
      (response) => void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end('no'),
    );
    await using upstream = await makeUpstream({ api });
    const response = await upstream.call('/x');
    expect([response.status, await response.text(), response.headers.get('www-authenticate')]).toEqual([
      401,
      'no',
      'Bearer',
    ]);
    expect(seen.length).toBe(2);
    for (let i = 0; i < 5; i += 1) await upstream.call('/x');
    expect(upstream.refreshes).toBe(1);
  });

  it.each([
    ['plain', (text: string) => Buffer.from(text), {}],
    ['gzipped', (text: string) => gzipSync(text), { 'content-encoding': 'gzip' }],
  ])('is seen in a 200 with an envelope, %s', async (_name, pack, headers) => {
    const { api } = recorder((response, seen) => {
      const refused = seen.headers.authorization === `Bearer ${tokens.first}`;
      const body = pack(JSON.stringify({ code: refused ? 57 : 0 }));
      response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(body);
    });
    await using upstream = await makeUpstream({ api, change: withEnvelopes });
    expect(await (await upstream.call('/x')).json()).toEqual({ code: 0 });
    expect(upstream.refreshes).toBe(1);
  });
});

function withEnvelopes<D extends { api: object }>(definition: D): D {
  const invalidToken = [{ status: 401 }, { status: 200, pointer: '/code', equals: 57 }];
  return { ...definition, api: { ...definition.api, invalidToken } };
}

describe('a stream', () => {
  const mebibytes = 24;
  const bytes = mebibytes * 1_048_576;

  it('goes through in both directions, whole', async () => {
    await using upstream = await makeUpstream({ api: (request, response) => void request.pipe(response) });
    const chunk = Buffer.alloc(1_048_576, 'x');
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (sent === mebibytes) return controller.close();
        sent += 1;
        return controller.enqueue(chunk);
      },
    });
    const response = await upstream.call('/x', { method: 'POST', body, duplex: 'half' });
    let received = 0;
    for await (const part of response.body ?? []) received += part.length;
    expect(received).toBe(bytes);
  });

  it('is not read faster than the caller reads', async () => {
    let written = 0;
    await using upstream = await makeUpstream({
      api: (_request, response) => {
        const chunk = Buffer.alloc(65_536);
        const write = (): void => {
          while (written < 1_600) {
            written += 1;
            if (!response.write(chunk)) return void response.once('drain', write);
          }
          response.end();
        };
        write();
      },
    });
    const response = await new Promise<IncomingMessage>((resolve) => {
      const headers = { authorization: `Bearer ${upstream.key}` };
      http.get(`${upstream.url}/v1/proxy/acme/plain/x`, { headers, agent: false }, resolve);
    });
    // The client reads nothing, so the provider stops writing once sockets and buffers are full.
    let before = -1;
    await until(async () => {
      const same = before === written;
      before = written;
      await pause(100);
      return same;
    }, 'the provider is still being read');
    expect(written).toBeLessThan(1_200);
    let received = 0;
    for await (const part of response) if (part instanceof Buffer) received += part.length;
    expect(received).toBe(1_600 * 65_536);
  });

  it('that the provider breaks off breaks the caller’s connection, too', async () => {
    await using upstream = await makeUpstream({
      api: (_request, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('part');
        setTimeout(() => response.destroy(), 20);
      },
    });
    const response = await upstream.call('/x');
    await expect(response.text()).rejects.toThrow();
  });

  it.each([
    ['is no valid HTTP', 'text/plain', 'xyz\r\n', 502, { code: 'provider_error', reason: 'unusable_answer' }],
    ['is read and no valid HTTP', 'application/json', 'xyz\r\n', 502, { code: 'provider_error' }],
    ['ends before its body', 'text/plain', '', 503, { code: 'provider_unavailable' }],
  ])('that %s has a status', async (_what, type, rest, status, problem) => {
    await using upstream = await makeUpstream({
      api: (_request, { socket }) => {
        socket?.write(`HTTP/1.1 401 x\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n${rest}`);
        setTimeout(() => socket?.end(), 20);
      },
      change: (definition) => ({
        ...definition,
        api: { ...definition.api, invalidToken: [{ status: 401, pointer: '/code', equals: 57 }] },
      }),
    });
    const response = await upstream.call('/x');
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject(problem);
    const called = upstream.vault.fetch({ tenant: 'acme', provider: 'plain' }, '/x').then((answer) => answer.text());
    await expect(called).rejects.toMatchObject(problem);
  });

  it('that the caller breaks off ends the provider’s, too', async () => {
    let ended = false;
    await using upstream = await makeUpstream({
      api: (_request, response) => {
        response.writeHead(200).write('part');
        response.on('close', () => {
          ended = true;
        });
      },
    });
    const over = new AbortController();
    const response = await upstream.call('/x', { signal: over.signal });
    expect(response.status).toBe(200);
    over.abort();
    await until(() => ended, 'the provider’s connection ends');
  });

  it('of a request that is broken off never looks whole to the provider', async () => {
    let outcome = '';
    await using upstream = await makeUpstream({
      api: (request) => {
        request.resume().on('end', () => (outcome = 'whole'));
        request.on('close', () => (outcome ||= 'cut'));
        sending.destroy();
      },
    });
    const sending = http.request(`${upstream.url}/v1/proxy/acme/plain/x`, {
      method: 'POST',
      headers: { authorization: `Bearer ${upstream.key}`, 'transfer-encoding': 'chunked' },
      agent: false,
    });
    sending.on('error', () => {});
    sending.write('part');
    await until(() => outcome !== '', 'the provider sees the end');
    expect(outcome).toBe('cut');
  });
});

it('a provider that is not there is provider_unavailable, and nothing is tried twice', async () => {
  let connections = 0;
  await using upstream = await makeUpstream({
    api: (request) => {
      connections += 1;
      request.socket.destroy();
    },
  });
  const response = await upstream.call('/x', { method: 'POST', body: 'pay' });
  expect([response.status, await response.json()]).toMatchObject([503, { code: 'provider_unavailable' }]);
  expect(response.headers.has('grantry-generation')).toBe(false);
  expect(connections).toBe(1);
});
