import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/index.ts';
import type { CallBody, CallTarget, Vault, VaultRequest } from '../../src/vault/types.ts';
import { makeUpstream, tokens, type Upstream } from '../support/upstream.ts';

const key = { tenant: 'acme', provider: 'plain' };
const bytes = new Uint8Array(randomBytes(300_000));

function hash(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

interface Got {
  readonly method: string;
  readonly url: string;
  readonly type: string | null;
  readonly length: string | null;
  readonly hash: string;
  readonly text: string;
}

/** An API that says what it got, and refuses the first `refusals` tokens. */
function echo(refusals = 0): http.RequestListener {
  let left = refusals;
  // A request that its sender breaks off has no answer.
  return (request, response) => void answer(request, response).catch(() => response.destroy());
  async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray());
    const { 'content-type': type = null, 'content-length': length = null } = request.headers;
    left -= 1;
    if (left >= 0) response.statusCode = 401;
    const { method, url } = request;
    const text = body.length < 10_000 ? body.toString() : '';
    response.end(JSON.stringify({ method, url, type, length, hash: hash(body), text }));
  }
}

const faces: Record<string, (upstream: Upstream) => Pick<Vault, 'fetch'>> = {
  'the vault': (upstream) => upstream.vault,
  'the client': (upstream) => createClient({ url: upstream.url, apiKey: upstream.key }),
};

describe.each(Object.entries(faces))('a call by %s', (face, open) => {
  async function post(upstream: Upstream, body: CallBody, more: VaultRequest = {}): Promise<Got> {
    const response = await open(upstream).fetch(key, '/upload', { method: 'POST', body, ...more });
    return response.json() as Promise<Got>;
  }

  it.each<[string, () => CallBody, string | RegExp | null, Uint8Array]>([
    ['a text', () => 'Grüße', /^text\/plain/, Buffer.from('Grüße')],
    ['URLSearchParams', () => new URLSearchParams({ a: 'b c' }), /^application\/x-www-form/, Buffer.from('a=b+c')],
    ['a Blob', () => new Blob([bytes], { type: 'image/png' }), 'image/png', bytes],
    ['bytes', () => bytes, null, bytes],
    ['a part of a buffer', () => new DataView(bytes.buffer, bytes.byteOffset + 5, 7), null, bytes.subarray(5, 12)],
    ['an ArrayBuffer', () => bytes.buffer.slice(0, 9), null, bytes.subarray(0, 9)],
    ['a web stream', () => new Blob([bytes]).stream(), null, bytes],
    ['a Node stream', () => Readable.from([bytes]), null, bytes],
    ['an async iterable', () => Readable.from(['ab', Buffer.from('c')]), null, Buffer.from('abc')],
  ])('sends %s whole', async (_name, body, type, expected) => {
    await using upstream = await makeUpstream({ api: echo() });
    const got = await post(upstream, body());
    expect(got.hash).toBe(hash(expected));
    if (type === null) expect(got.type).toBeNull();
    else expect(got.type).toMatch(type);
  });

  it('sends FormData as multipart with a length, also after a refused token', async () => {
    await using upstream = await makeUpstream({ api: echo(1) });
    const form = new FormData();
    form.append('na"me', 'line\nline');
    form.append('file', new File(['content'], 'Größe + 100%.pdf', { type: 'application/pdf' }));
    form.append('blob', new Blob(['x']));
    const got = await post(upstream, form);
    const boundary = /^multipart\/form-data; boundary=(\S+)$/.exec(got.type ?? '')?.[1];
    expect(got.length).toBe(String(Buffer.byteLength(got.text)));
    const read = await new Response(got.text, { headers: { 'content-type': got.type ?? '' } }).formData();
    expect(read.get('na"me')).toBe('line\r\nline');
    const file = read.get('file');
    if (!(file instanceof File)) throw new Error('the file is missing');
    expect([file.name, file.type, await file.text()]).toEqual(['Größe + 100%.pdf', 'application/pdf', 'content']);
    expect(boundary?.length).toBeGreaterThan(20);
    expect(upstream.refreshes).toBe(1);
  });

  it('takes a URL, and a Request whose members yield to those of the call', async () => {
    await using upstream = await makeUpstream({ api: echo() });
    const url = new URL('/a?b=%20c', upstream.origin);
    const vault = open(upstream);
    const ask = async (target: CallTarget, init?: VaultRequest) => {
      const got = (await (await vault.fetch(key, target, init)).json()) as Got;
      return [got.method, got.url, got.type, got.text];
    };
    expect(await ask(url)).toEqual(['GET', '/a?b=%20c', null, '']);
    const request = () => new Request(url, { method: 'PUT', body: 'x', headers: { 'content-type': 'a/b' } });
    expect(await ask(request())).toEqual(['PUT', '/a?b=%20c', 'a/b', 'x']);
    expect(await ask(request(), { method: 'PATCH' })).toEqual(['PATCH', '/a?b=%20c', 'a/b', 'x']);
    await expect(vault.fetch(key, new Request('https://evil.example/x'))).rejects.toMatchObject({
      code: 'invalid_request',
    });
    const used = request();
    await used.text();
    await expect(vault.fetch(key, used)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it.each<[string, unknown, VaultRequest]>([
    ['an object', { a: 1 }, {}],
    ['a number', 7, {}],
    ['the form of another library', { [Symbol.toStringTag]: 'FormData', append: () => {} }, {}],
    ['a body with GET', 'x', { method: 'GET' }],
    ['FormData with a content type', new FormData(), { headers: { 'content-type': 'multipart/form-data' } }],
  ])('refuses %s with a sentence, and sends nothing', async (_name, body, more) => {
    let requests = 0;
    await using upstream = await makeUpstream({ api: () => (requests += 1) });
    await expect(post(upstream, body as CallBody, more)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(requests).toBe(0);
  });

  it('does not repeat a stream after a refused token, and the answer is the API’s', async () => {
    await using upstream = await makeUpstream({ api: echo(1) });
    const size = face === 'the client' ? 2_000_000 : 10;
    const body = new Blob([new Uint8Array(size)]).stream();
    const response = await open(upstream).fetch(key, '/x', { method: 'POST', body });
    expect([response.status, upstream.refreshes]).toEqual([401, 1]);
    await response.body?.cancel();
  });

  it('passes the reason of an abort on: before, while waiting, and in the body of the answer', async () => {
    await using upstream = await makeUpstream({
      api: (request, response) => {
        if (request.url === '/hangs') return;
        response.write('begun');
      },
    });
    const vault = open(upstream);
    const reason = new Error('enough');
    await expect(vault.fetch(key, '/hangs', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(vault.fetch(key, '/hangs', { signal: AbortSignal.timeout(50) })).rejects.toThrow(
      expect.objectContaining({ name: 'TimeoutError' }),
    );
    const whole = new AbortController();
    const response = await vault.fetch(key, '/begins', { signal: whole.signal });
    expect(response).toBeInstanceOf(Response);
    const text = response.text();
    whole.abort(reason);
    await expect(text).rejects.toBe(reason);
  });

  it('whose answer breaks off is a typed error', async () => {
    await using upstream = await makeUpstream({
      api: (_request, response) => {
        response.writeHead(200, { 'content-length': '10' }).write('half', () => response.destroy());
      },
    });
    const response = await open(upstream).fetch(key, '/x');
    await expect(response.text()).rejects.toMatchObject({ code: 'provider_unavailable' });
  });
});

it('an abort ends the wait for a token, and the refresh goes on', async () => {
  const held = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const late = JSON.stringify({ access_token: 'late', token_type: 'Bearer', expires_in: 3600 });
  const provider = http.createServer((request, response) => {
    request.resume().once('end', asked.resolve);
    void held.promise.then(() => response.writeHead(200, { 'content-type': 'application/json' }).end(late));
  });
  provider.listen(0, '127.0.0.1');
  await new Promise((resolve) => provider.once('listening', resolve));
  const address = provider.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const change = <D extends object>(definition: D): D => ({
    ...definition,
    endpoints: { token: `http://127.0.0.1:${port}/token` },
  });
  await using upstream = await makeUpstream({ api: echo(), change });
  await upstream.vault.storeTokens({ ...key, tenant: 'globex' }, { app: 'plain', refreshToken: tokens.refresh });
  const abort = new AbortController();
  const call = upstream.vault.fetch({ ...key, tenant: 'globex' }, '/x', { signal: abort.signal });
  await asked.promise;
  const reason = new Error('gone');
  abort.abort(reason);
  await expect(call).rejects.toBe(reason);
  held.resolve();
  expect((await upstream.vault.getAccessToken({ ...key, tenant: 'globex' })).accessToken).toBe('late');
  provider.closeAllConnections();
  provider.close();
});

it('a stream of the caller that fails is the caller’s failure', async () => {
  await using upstream = await makeUpstream({ api: echo() });
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('a');
    throw new Error('the disk is gone');
  };
  const sent = upstream.vault.fetch(key, '/x', { method: 'POST', body: failing() });
  await expect(sent).rejects.toMatchObject({ code: 'invalid_request', cause: { message: 'the disk is gone' } });
});
