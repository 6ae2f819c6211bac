import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../../test/support/free-port.ts';
import { listenForCallback } from './loopback-listener.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) await listener[Symbol.asyncDispose]();
});

async function listening(path = '/callback') {
  const port = await freePort();
  const handled: string[] = [];
  const redirectUri = `http://127.0.0.1:${port}${path}`;
  open.push(
    await listenForCallback(redirectUri, 'the-state', async (url) => {
      handled.push(url);
      return { tone: 'good', title: 'Connected', text: 'acme <script>alert(1)</script> & "co"' };
    }),
  );
  return { redirectUri, port, handled };
}

describe('the callback', () => {
  test('reaches the handler whole, and the person gets a page that is safe and closed', async () => {
    const { redirectUri, handled } = await listening();
    const answer = await fetch(`${redirectUri}?code=c%2F1&state=the-state&location=eu&`);
    const page = await answer.text();
    expect(answer.status).toBe(200);
    expect(handled).toEqual([`${redirectUri}?code=c%2F1&state=the-state&location=eu&`]);
    expect(page).toContain('acme &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;co&quot;');
    expect(page).not.toContain('<script');
    const policy = answer.headers.get('content-security-policy') ?? '';
    const style = /<style>(.*?)<\/style>/s.exec(page)?.[1] ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy, 'the style that is allowed is the one on the page').toContain(
      `'sha256-${createHash('sha256').update(style).digest('base64')}'`,
    );
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('is taken once, and its repetitions get the same page', async () => {
    const { redirectUri, handled } = await listening();
    const pages = [1, 1, 2].map(async (code) => (await fetch(`${redirectUri}?code=${code}&state=the-state`)).text());
    expect(new Set(await Promise.all(pages)).size).toBe(1);
    expect(handled).toHaveLength(1);
  });

  test('is not taken by HEAD nor by a prefetch', async () => {
    const { redirectUri, handled } = await listening();
    const callback = `${redirectUri}?code=1&state=the-state`;
    expect((await fetch(callback, { method: 'HEAD' })).status).toBe(404);
    for (const purpose of ['prefetch', 'prefetch;prerender']) {
      expect((await fetch(callback, { headers: { 'sec-purpose': purpose } })).status).toBe(503);
    }
    expect(handled).toHaveLength(0);
    expect((await fetch(callback)).status).toBe(200);
  });

  test('may be long', async () => {
    const { redirectUri, handled } = await listening();
    const callback = `${redirectUri}?code=1&state=the-state&scope=${'read+'.repeat(2_000)}&scope=write`;
    expect((await fetch(callback)).status).toBe(200);
    expect(handled).toHaveLength(1);
  });
});

describe('a request that is not the callback reaches no handler', () => {
  test.each([
    ['another path', '/favicon.ico', 404],
    ['a longer path', '/callback/x?code=1&state=the-state', 404],
    ['no state', '/callback?code=1', 400],
    ['another state', '/callback?code=1&state=other', 400],
    ['two states', '/callback?code=1&state=the-state&state=the-state', 400],
  ])('%s', async (_, target, status) => {
    const { port, handled } = await listening();
    expect((await fetch(`http://127.0.0.1:${port}${target}`)).status).toBe(status);
    expect(handled).toEqual([]);
  });

  test('another method', async () => {
    const { redirectUri, handled } = await listening();
    expect((await fetch(`${redirectUri}?code=1&state=the-state`, { method: 'POST' })).status).toBe(404);
    expect(handled).toEqual([]);
  });

  test('another host name, as a page elsewhere would use', async () => {
    const { port, handled } = await listening();
    const status = await rawStatus(port, '/callback?code=1&state=the-state', 'attacker.example');
    expect([status, handled]).toEqual([404, []]);
  });

  test('an absolute address in the request line', async () => {
    const { port, handled } = await listening();
    const status = await rawStatus(
      port,
      'http://attacker.example/callback?code=1&state=the-state',
      `127.0.0.1:${port}`,
    );
    expect([status, handled]).toEqual([404, []]);
  });
});

describe('the place', () => {
  test('a busy port is said, with the ways out', async () => {
    const { redirectUri } = await listening();
    await expect(
      listenForCallback(redirectUri, 's', async () => ({ tone: 'good', title: '', text: '' })),
    ).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('in use'),
      action: expect.stringContaining('--paste'),
    });
  });

  test.each(['https://127.0.0.1:9/x', 'http://192.168.0.1:9/x', 'http://example.com/x', 'nonsense'])(
    '%s is refused',
    async (redirectUri) => {
      await expect(
        listenForCallback(redirectUri, 's', async () => ({ tone: 'good', title: '', text: '' })),
      ).rejects.toMatchObject({
        code: 'invalid_request',
      });
    },
  );

  test('localhost is heard on both addresses where there are two', async () => {
    const port = await freePort();
    open.push(
      await listenForCallback(`http://localhost:${port}/cb`, 's', async () => ({
        tone: 'bad',
        title: 'Declined',
        text: 'x',
      })),
    );
    expect((await fetch(`http://localhost:${port}/cb?state=s&error=access_denied`)).status).toBe(400);
  });

  test('a connection that says nothing does not keep it open', async () => {
    const { port } = await listening();
    const silent = (await import('node:net')).connect(port, '127.0.0.1');
    await new Promise((resolve) => silent.once('connect', resolve));
    const closed = new Promise((resolve) => silent.once('close', resolve));
    await open.splice(0)[0]?.[Symbol.asyncDispose]();
    await closed;
  });
});

function rawStatus(port: number, path: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers: { host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on('error', reject)
      .end();
  });
}
