/** Pages and redirects for browsers, with hostile text in every place that takes text. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuthorizationServer } from './authorization-server.ts';
import { type Answer, RedTeam, returnTo } from './bench.ts';

let team: RedTeam;
let honest: AuthorizationServer;
let tenants = 0;

beforeAll(async () => {
  team = await RedTeam.start();
  honest = await team.provider('honest', {}, { name: 'Honest <b>&amp;</b> "Sons"' });
  await team.app('honest-app', 'honest');
});

afterAll(() => team[Symbol.asyncDispose]());

function newTenant(): string {
  tenants += 1;
  return `tenant-${tenants}`;
}

function expectStrict({ headers }: Answer): void {
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
}

function expectStrictPage(answer: Answer): void {
  expectStrict(answer);
  const policy = answer.headers.get('content-security-policy') ?? '';
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'self'/);
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toMatch(/unsafe|script-src/);
  expect(answer.headers.get('x-frame-options')).toBe('DENY');
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  expect(answer.headers.get('cross-origin-opener-policy')).toBe('same-origin');
  expect(answer.text).not.toMatch(/<script|<link|<img|\ssrc=|javascript:|\son\w+=|@import|url\(/i);
}

describe('C-12: the pages', () => {
  it('C-12 every page and redirect of the flow is strict, and no answer repeats a form', async () => {
    const visitor = team.visitor();
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const page = await visitor.get(session.url);
    expectStrictPage(page);
    const proof = /name="proof" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
    const sent = await visitor.post(session.url, { proof });
    expect(sent.status).toBe(303);
    expectStrict(sent);
    const { redirectUri, callback } = honest.consent(sent.location?.href ?? '');
    const back = await visitor.callback(redirectUri, callback);
    expect(back.status).toBe(303);
    expectStrict(back);
    const done = await visitor.get(back.location?.href ?? '');
    expect(done.status).toBe(200);
    expectStrictPage(done);
    // What was in the callback's address is in none that follows.
    const code = callback.get('code') ?? '';
    expect([back.location?.href, done.text].filter((text) => text?.includes(code))).toEqual([]);
    // A repeated callback leads to the same page.
    expect((await visitor.callback(redirectUri, callback)).location).toEqual(back.location);
    for (const refused of [
      await team.visitor().callback(redirectUri, callback),
      await visitor.get(session.url),
      await visitor.get('/connect/nothing'),
      await visitor.post(session.url, {}),
      await team.visitor().get(back.location?.pathname ?? ''),
    ]) {
      expectStrictPage(refused);
      expect(refused.text).not.toContain(code);
    }
  });

  it('C-12 a page of one browser is no other’s', async () => {
    const visitor = team.visitor();
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const back = await visitor.connect(session.url, honest);
    const page = back.location?.pathname ?? '';
    expect(page).toBe(`/connect/sessions/${session.id}`);
    expect((await team.visitor().get(page)).status).toBe(404);
    visitor.cookie = 'A'.repeat(43);
    expect((await visitor.get(page)).status).toBe(404);
  });

  it('C-12 opening a link changes nothing, even many times and from several browsers', async () => {
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    for (let visit = 0; visit < 3; visit += 1) expect((await team.visitor().get(session.url)).status).toBe(200);
    const head = await fetch(session.url, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect((await team.look(session.id)).state).toBe('open');
    expect((await team.visitor().connect(session.url, honest)).status).toBe(303);
  });

  it('C-12 a callback is answered to GET only', async () => {
    const visitor = team.visitor();
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    const cookie = `__Host-grantry_browser=${visitor.cookie}`;
    for (const method of ['HEAD', 'POST', 'PUT']) {
      const answer = await fetch(`${redirectUri}?${callback.toString()}`, {
        method,
        headers: { cookie },
        redirect: 'manual',
      });
      expect([method, answer.status]).toEqual([method, 405]);
    }
    expect((await visitor.callback(redirectUri, callback)).status).toBe(303);
  });
});

const hostile = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  'javascript:alert(1)',
  'a\r\nSet-Cookie: evil=1',
  'a\nLocation: https://evil.example',
  '</title><svg/onload=alert(1)>',
  '{{7*7}}${7*7}',
  'https://evil.example/',
  '\u2028\u202e\0',
];

describe('C-13: errors from outside are hostile text', () => {
  const names = [
    'error',
    'error_description',
    'error_uri',
    'state',
    'code',
    'iss',
    'location',
    'accounts-server',
    'session',
    'x',
  ];
  it.each(names)('C-13 nothing of a hostile %s is shown, sent on, or followed', async (name) => {
    for (const text of hostile) {
      const visitor = team.visitor();
      const session = await team.session({ tenant: newTenant(), provider: 'honest', return_to: returnTo });
      const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
      if (name.startsWith('error')) callback.delete('code');
      if (name.startsWith('error_')) callback.set('error', 'access_denied');
      callback.set(name, text);
      const answer = await visitor.callback(redirectUri, callback);
      expect([303, 400]).toContain(answer.status);
      expect(answer.headers.get('set-cookie') ?? '').not.toContain('evil');
      if (answer.status === 400) {
        expectStrictPage(answer);
        expect(answer.text).not.toContain('evil');
        expect(answer.text).not.toContain('alert(1)');
      } else {
        expect(answer.location?.href.startsWith(`${returnTo}?`)).toBe(true);
        const sent = answer.location?.searchParams ?? new URLSearchParams();
        expect(sent.get('session')).toBe(session.id);
        expect([null, 'access_denied', 'provider_error', 'authorization_failed']).toContain(sent.get('error'));
        expect([...sent.keys()].filter((key) => !['session', 'error', 'code'].includes(key))).toEqual([]);
      }
    }
  });

  it('tells the session, its page and the log what the provider said of a code', async () => {
    honest.rules.answerToken = (_, response) => {
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: 'invalid_target', error_description: 'No such <b>resource</b>.' }));
      return true;
    };
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const page = await team.visitor().connect(session.url, honest);
    delete honest.rules.answerToken;
    const detail = 'honest refused the code (invalid_target: No such …, status 400).';
    expect(await team.look(session.id)).toMatchObject({ state: 'started', error: 'authorization_failed', detail });
    expect(page.text).toContain(detail);
    expectStrictPage(page);
  });

  it('C-13 names that a page shows are escaped', async () => {
    const session = await team.session({ tenant: newTenant(), provider: 'honest', scopes: ['<script>', '"&\'>'] });
    const page = await team.visitor().get(session.url);
    expectStrictPage(page);
    expect(page.text).toContain('Honest &lt;b&gt;&amp;amp;&lt;/b&gt; &quot;Sons&quot;');
    expect(page.text).toContain('&lt;script&gt;');
  });

  it('C-13 a declined consent goes back to the application by a word of ours', async () => {
    const session = await team.session({ tenant: newTenant(), provider: 'honest', return_to: returnTo });
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    const declined = new URLSearchParams({ error: 'access_denied', state: callback.get('state') ?? '' });
    const back = await visitor.callback(redirectUri, declined);
    expect(back.location?.href).toBe(`${returnTo}?session=${session.id}&error=access_denied`);
    expect((await team.look(session.id)).error).toBe('access_denied');
    // The person may think again.
    expect((await visitor.connect(session.url, honest)).location?.searchParams.has('code')).toBe(true);
  });
});

describe('C-14: no open redirect', () => {
  it.each([
    '//evil.example',
    '/\\evil.example',
    'https:evil.example',
    'javascript:alert(1)',
    'data:text/html,x',
    `${returnTo}\r\nLocation: https://evil.example`,
    'https://app.example@evil.example/connected',
    'https://app.example%2f@evil.example/connected',
    'https://app.example/connected/',
    'https://app.example/connected?x=1',
    'https://APP.example/connected',
    'https://app.example:443/connected',
    'https://app.example/connected%2f..',
    'https://app.example/connected#x',
    ' https://app.example/connected',
    '',
  ])('C-14 a return_to that is no entry of the list is refused: %j', async (address) => {
    const input = { tenant: newTenant(), provider: 'honest', return_to: address };
    const { status, body } = await team.api('POST', '/v1/connect-sessions', input);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
  });

  it('C-14 an entry that was taken off the list gets no code, and nothing is exchanged', async () => {
    await team.app('shrinking', 'honest', { tenants: ['shrinker'] });
    const session = await team.session({ tenant: 'shrinker', provider: 'honest', return_to: returnTo });
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    await team.app('shrinking', 'honest', { tenants: ['shrinker'], return_to: ['https://other.example/'] });
    const asked = honest.at('/token').length;
    const answer = await visitor.callback(redirectUri, callback);
    expect([answer.status, answer.location, honest.at('/token').length]).toEqual([400, null, asked]);
  });

  it.each([
    'javascript:alert(1)',
    'data:text/html,x',
    '//evil.example',
    'http://evil.example/',
    'https://a@evil.example/',
    'https://app.example/#x',
  ])('C-14 an app’s list takes no entry such as %j', async (address) => {
    const body = { provider: 'honest', client_id: 'c', client_secret: 's', return_to: [address] };
    expect((await team.api('PUT', '/v1/apps/refused', body)).status).toBe(400);
  });
});

describe('C-15: frames and windows of other sites', () => {
  it('C-15 pages may not be framed, and nothing here posts messages between windows', async () => {
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    expectStrictPage(await team.visitor().get(session.url));
    const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(100);
    expect(files.filter((file) => readFileSync(path.join('src', file), 'utf8').includes('postMessage'))).toEqual([]);
  });
});
