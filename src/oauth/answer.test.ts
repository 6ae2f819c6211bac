import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import { builtInProvider } from '../providers/catalogue.ts';
import { type ProviderDefinition, type ProviderDefinitionInput, providerDefinition } from '../providers/definition.ts';
import { readTokenAnswer, salvageTokens } from './answer.ts';
import type { RawAnswer, TokenOutcome } from './types.ts';

const requestedAt = 1_700_000_000_000;
const plain = definitionWith({});
const zoho = builtIn('zoho_crm');

function definitionWith(more: Partial<ProviderDefinitionInput>): ProviderDefinition {
  return providerDefinition.parse({
    id: 'example',
    endpoints: { token: 'https://as.example/token' },
    api: { hosts: ['https://api.example', 'https://*.shops.example'] },
    ...more,
  });
}

function builtIn(id: string): ProviderDefinition {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no built-in ${id}`);
  return definition;
}

function rawOf(body: unknown, more: Partial<RawAnswer> = {}): RawAnswer {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    status: 200,
    contentType: 'application/json',
    retryAfter: null,
    body: text === '' ? null : new Secret(text),
    incomplete: false,
    requestedAt,
    ...more,
  };
}

/** Converts an outcome with its secrets readable, for comparison. */
function shown(outcome: TokenOutcome): unknown {
  if (outcome.kind !== 'tokens') return outcome;
  const { accessToken, refreshToken, ...rest } = outcome.tokens;
  return { kind: 'tokens', accessToken: accessToken.reveal(), refreshToken: refreshToken?.reveal() ?? null, ...rest };
}

function read(body: unknown, more: Partial<RawAnswer> = {}, definition = plain): unknown {
  return shown(readTokenAnswer(definition, rawOf(body, more), 'refresh'));
}

describe('tokens', () => {
  it('a plain answer', () => {
    expect(
      read({ access_token: 'at', refresh_token: 'rt', token_type: 'bEARER', expires_in: 60, scope: 'a b' }),
    ).toEqual({
      kind: 'tokens',
      accessToken: 'at',
      refreshToken: 'rt',
      tokenType: 'Bearer',
      expiresAt: requestedAt + 60_000,
      scopes: ['a', 'b'],
      metadata: {},
    });
  });

  it('C-25 missing members are null, so that the stored value stays', () => {
    expect(read({ access_token: 'at' })).toMatchObject({ refreshToken: null, scopes: null, metadata: {} });
    expect(read({ access_token: 'at', refresh_token: null, scope: '' })).toMatchObject({
      refreshToken: null,
      scopes: null,
    });
  });

  it.each([
    ['number', 100, 100_000],
    ['text', '100', 100_000],
    ['fraction', 1.5, 1_500],
    ['missing', undefined, 3_600_000],
    ['null', null, 3_600_000],
    ['words', 'soon', 3_600_000],
    ['object', {}, 3_600_000],
    ['zero', 0, 3_600_000],
    ['negative', -5, 3_600_000],
    ['zero as text', '0', 3_600_000],
    ['negative text', '-5', 3_600_000],
    ['absurd', 1e300, limits.accessTokenLifetimeMsMax],
    ['absurd text', '999999999999999', limits.accessTokenLifetimeMsMax],
    ['the nominal lifetime in milliseconds', 3_600_000, 3_600_000],
  ])('C-24 expires_in as %s', (_name, expiresIn, lifetimeMs) => {
    expect(read({ access_token: 'at', expires_in: expiresIn })).toMatchObject({ expiresAt: requestedAt + lifetimeMs });
  });

  it('C-24 milliseconds by definition, and by expires_in_sec', () => {
    const ms = definitionWith({ accessToken: { expiresInUnit: 'ms' } });
    expect(read({ access_token: 'at', expires_in: 5_000 }, {}, ms)).toMatchObject({ expiresAt: requestedAt + 5_000 });
    const legacy = { access_token: 'at', expires_in_sec: 3600, expires_in: 3_600_000 };
    expect(read(legacy, {}, zoho)).toMatchObject({ expiresAt: requestedAt + 3_600_000 });
    expect(read({ ...legacy, expires_in: 60_000 }, {}, zoho)).toMatchObject({ expiresAt: requestedAt + 60_000 });
  });

  it.each([
    ['comma', 'a,b'],
    ['blank', 'a b'],
    ['both', 'a, b'],
    ['list', ['a', 'b']],
    ['twice', 'a b a'],
  ])('scopes by %s', (_name, scope) => {
    expect(read({ access_token: 'at', scope })).toMatchObject({ scopes: ['a', 'b'] });
  });

  it('form encoded', () => {
    const form = 'access_token=at&refresh_token=rt&expires_in=10&scope=a%2Cb&token_type=bearer';
    const type = 'application/x-www-form-urlencoded; charset=utf-8';
    expect(read(form, { contentType: type })).toMatchObject({
      accessToken: 'at',
      refreshToken: 'rt',
      expiresAt: requestedAt + 10_000,
      scopes: ['a', 'b'],
    });
    expect(read(`${form}&access_token=2`, { contentType: type })).toMatchObject({ kind: 'unknown' });
  });

  it('one level down, as Slack does', () => {
    expect(
      read({ ok: true, authed_user: { access_token: 'at', refresh_token: 'rt', token_type: 'user' } }),
    ).toMatchObject({
      accessToken: 'at',
      refreshToken: 'rt',
    });
  });

  it('with a byte order mark', () => {
    expect(read('\uFEFF{"access_token":"at"}')).toMatchObject({ kind: 'tokens' });
  });

  it('with members that a prototype would take', () => {
    expect(read('{"__proto__":{"refresh_token":"evil"},"access_token":"at","constructor":1}')).toMatchObject({
      accessToken: 'at',
      refreshToken: null,
    });
    expect(Object.hasOwn(Object.prototype, 'refresh_token')).toBe(false);
  });
});

describe('C-10 captured members', () => {
  it.each(['https://www.zohoapis.eu', 'https://www.zohoapis.eu/'])('%s is kept as an origin', (apiDomain) => {
    expect(read({ access_token: 'at', api_domain: apiDomain }, {}, zoho)).toMatchObject({
      metadata: { api_domain: 'https://www.zohoapis.eu' },
    });
  });

  it.each([
    'https://evil.example',
    'https://www.zohoapis.eu.evil.example',
    'https://www.zohoapis.eu@evil.example',
    'http://www.zohoapis.eu',
    'https://www.zohoapis.eu:8443',
    'https://www.zohoapis.eu/path',
    '//www.zohoapis.eu',
    'www.zohoapis.eu',
    'javascript:alert(1)',
    42,
    {},
  ])('%s is dropped', (apiDomain) => {
    const outcome = readTokenAnswer(zoho, rawOf({ access_token: 'at', api_domain: apiDomain }), 'refresh');
    expect(outcome.kind === 'tokens' && outcome.tokens.metadata).toEqual({});
  });

  it('a dropped host is noted without its value', () => {
    const raw = rawOf({ access_token: 'at', api_domain: 'https://evil.example' });
    const outcome = readTokenAnswer(zoho, raw, 'refresh');
    expect(outcome).toMatchObject({ kind: 'tokens', notes: [expect.stringContaining('api_domain')] });
    expect(inspect(outcome, { depth: 9 })).not.toContain('evil');
  });

  it('a blank around the token type is no other type', () => {
    expect(read({ access_token: 'at', token_type: 'Bearer ', expires_in: 60 })).toMatchObject({ tokenType: 'Bearer' });
  });

  it('a captured id keeps its digits', () => {
    const definition = definitionWith({ capture: { token: { realm: 'realm_id' } } });
    for (const text of [
      '{"access_token":"at","expires_in":60,"realm":170876000005062005}',
      '<p>{"access_token":"at","expires_in":60,"realm":170876000005062005}',
    ]) {
      const outcome = readTokenAnswer(definition, rawOf(text), 'refresh');
      expect(outcome.kind === 'tokens' && outcome.tokens.metadata).toEqual({ realm_id: '170876000005062005' });
    }
  });

  it('other members keep their text, and URLs among them are hosts', () => {
    const definition = definitionWith({ capture: { token: { realm: 'realm_id', shop: 'shop_url' } } });
    const body = { access_token: 'at', realm: 77, shop: 'https://one.shops.example' };
    expect(read(body, {}, definition)).toMatchObject({
      metadata: { realm_id: '77', shop_url: 'https://one.shops.example' },
    });
    const elsewhere = read({ ...body, shop: 'https://shops.example.evil' }, {}, definition);
    expect(elsewhere).toHaveProperty('metadata', { realm_id: '77' });
    expect(read({ ...body, realm: 'a\r\nb' }, {}, definition)).not.toHaveProperty('metadata.realm_id');
  });
});

describe('refusals', () => {
  it.each([
    ['RFC 6749', plain, { error: 'invalid_grant' }, 400, 'grant_refused'],
    ['Zoho, status 200', zoho, { error: 'invalid_code' }, 200, 'grant_refused'],
    ['Zoho throttle', zoho, { error: 'Access Denied', error_description: 'x', status: 'failure' }, 200, 'throttled'],
    ['client', plain, { error: 'invalid_client' }, 401, 'client_refused'],
    ['Zoho client', zoho, { error: 'invalid_client_secret' }, 200, 'client_refused'],
    ['scope', plain, { error: 'invalid_scope' }, 400, 'scope_refused'],
    ['unknown error', plain, { error: 'weird' }, 400, 'not_understood'],
    ['unknown error with 200', plain, { error: 'weird' }, 200, 'not_understood'],
    ['error that is no text', plain, { error: { code: 5 } }, 400, 'not_understood'],
    ['no error at all', plain, { hello: 1 }, 400, 'not_understood'],
    ['too many', plain, {}, 429, 'throttled'],
    ['invalid_grant from a sick server', plain, { error: 'invalid_grant' }, 503, 'unavailable'],
    ['invalid_grant with a redirect', plain, { error: 'invalid_grant' }, 302, 'not_understood'],
    ['HTML 500', plain, '<html>500</html>', 500, 'unavailable'],
    ['HTML 400 that speaks of invalid_grant', plain, '<html>invalid_grant</html>', 400, 'unavailable'],
    ['nothing, 502', plain, '', 502, 'unavailable'],
    ['repeated key', plain, '{"error":"x","error":"invalid_grant"}', 400, 'unavailable'],
  ] as const)('%s', (_name, definition, body, status, expected) => {
    expect(read(body, { status }, definition)).toMatchObject({ kind: 'refused', class: expected, status });
  });

  it.each([
    [null, null],
    ['120', 120_000],
    ['Tue, 14 Nov 2023 22:14:20 GMT', 60_000],
    ['Tue, 14 Nov 2000 22:14:20 GMT', 0],
    ['99999999', 86_400_000],
    ['soon', null],
    ['-5', null],
  ])('Retry-After %s', (retryAfter, expected) => {
    expect(read({ error: 'slow_down' }, { status: 429, retryAfter })).toMatchObject({ retryAfterMs: expected });
  });

  it('shows the error code only when it looks like one', () => {
    expect(read({ error: 'invalid_grant' }, { status: 400 })).toMatchObject({ error: 'invalid_grant' });
    for (const error of ['1000.abcdef0123', '<b>', `x${'y'.repeat(100)}`, 'a\nb']) {
      expect(read({ error }, { status: 400 })).toMatchObject({ error: null });
    }
  });
});

describe('unknown, and never lost', () => {
  it.each([
    ['cut', '{"access_token":"at","refresh_token":"rt2","sco', { incomplete: true }],
    ['cut right after the token', '{"access_token":"at","refresh_token":"rt2"', { incomplete: true }],
    ['cut in the middle of something nested', '{"a":{"b":[1,{"c"', { incomplete: true }],
    ['too large', '{"refresh_token":"rt2","x":"', { incomplete: true }],
    ['HTML', '<html></html>', {}],
    ['empty', '', {}],
    ['not an object', '["at"]', {}],
    ['no members', {}, {}],
    ['repeated key', '{"access_token":"a","access_token":"b"}', {}],
    ['tokens with an error', { access_token: 'at', refresh_token: 'rt2', error: 'invalid_grant' }, {}],
    ['tokens in a failure', { access_token: 'at', refresh_token: 'rt2' }, { status: 500 }],
    ['a token type that needs a proof', { access_token: 'at', refresh_token: 'rt2', token_type: 'DPoP' }, {}],
    ['an access token that is none', { access_token: '', refresh_token: 'rt2' }, {}],
    ['an access token with a blank', { access_token: 'a b', refresh_token: 'rt2' }, {}],
    ['an access token beyond the limit', { access_token: 'a'.repeat(limits.tokenCharsMax + 1) }, {}],
    ['a refresh token that is none', { access_token: 'at', refresh_token: { x: 1 } }, {}],
  ])('%s', (_name, body, more) => {
    const raw = rawOf(body, more);
    expect(readTokenAnswer(plain, raw, 'refresh')).toMatchObject({ kind: 'unknown' });
    const text = raw.body?.reveal() ?? '';
    if (text.includes('"refresh_token":"rt2"'))
      expect(salvageTokens(raw)?.refreshTokens.map((each) => each.reveal())).toEqual(['rt2']);
    else expect(salvageTokens(raw)?.refreshTokens ?? []).toEqual([]);
  });

  it.each([
    ['a b', 'its access token has spaces or signs that no header can carry'],
    ['Müller', 'its access token has spaces or signs that no header can carry'],
    ['a'.repeat(limits.tokenCharsMax + 1), 'its access token is longer than 16384 characters'],
    [7, 'its access token is not a text'],
  ])('why an access token is of no use is told: %#', (token, reason) => {
    const raw = rawOf({ access_token: token, refresh_token: 'rt2' });
    expect(readTokenAnswer(plain, raw, 'refresh')).toMatchObject({ kind: 'unknown', reason });
  });

  it.each([
    ['an unfinished text', '{"refresh_token":"rt'],
    ['a text that ends in an escape', '{"refresh_token":"rt\\'],
    ['inside a text', '{"x":"\\"refresh_token\\":\\"rt\\""'],
  ])('nothing is salvaged from %s', (_name, body) => {
    expect(salvageTokens(rawOf(body, { incomplete: true }))).toBeNull();
  });
});

describe('any answer', () => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc
      .record(
        {
          access_token: fc.anything(),
          refresh_token: fc.anything(),
          error: fc.oneof(fc.string(), fc.constantFrom('invalid_grant', 'invalid_code', 'Access Denied')),
          expires_in: fc.oneof(fc.double(), fc.string(), fc.integer()),
          scope: fc.anything(),
          token_type: fc.anything(),
          api_domain: fc.webUrl(),
        },
        { requiredKeys: [] },
      )
      .map((value) => safeJson(value)),
  );
  const anyRaw = fc.record({
    status: fc.integer({ min: 100, max: 599 }),
    contentType: fc.oneof(fc.constant(null), fc.string(), fc.constantFrom('application/json', 'text/plain')),
    retryAfter: fc.oneof(fc.constant(null), fc.string()),
    body: anyText.map((text) => (text === '' ? null : new Secret(text))),
    incomplete: fc.boolean(),
    requestedAt: fc.constant(requestedAt),
  });

  it('never throws, never ends a grant without a rule, never expires late', () => {
    fc.assert(
      fc.property(
        anyRaw,
        fc.constantFrom(plain, zoho),
        fc.constantFrom('exchange', 'refresh'),
        (raw, definition, on) => {
          const outcome = readTokenAnswer(definition, raw, on);
          salvageTokens(raw);
          if (outcome.kind === 'tokens') {
            expect(raw.status).toBeGreaterThanOrEqual(200);
            expect(raw.status).toBeLessThan(300);
            expect(outcome.tokens.expiresAt).toBeGreaterThanOrEqual(requestedAt);
            expect(outcome.tokens.expiresAt).toBeLessThanOrEqual(requestedAt + limits.accessTokenLifetimeMsMax);
          }
          if (outcome.kind === 'refused' && outcome.class === 'grant_refused') {
            expect(raw.incomplete).toBe(false);
            expect(raw.status < 500 && raw.status !== 429 && !(raw.status >= 300 && raw.status < 400)).toBe(true);
            expect(raw.body?.reveal()).toMatch(/invalid_(grant|code)/i);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('C-24 computed expiry never exceeds the true one, at any latency', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: limits.accessTokenLifetimeMsMax / 1000 }),
        fc.nat(90_000),
        fc.boolean(),
        (seconds, latency, text) => {
          const body = { access_token: 'at', expires_in: text ? String(seconds) : seconds };
          const outcome = readTokenAnswer(plain, rawOf(body), 'refresh');
          const trueExpiry = requestedAt + latency + seconds * 1000;
          expect(outcome.kind === 'tokens' && outcome.tokens.expiresAt <= trueExpiry).toBe(true);
        },
      ),
    );
  });

  it('salvages a token from a prefix only when the token is complete', () => {
    const token = fc.stringMatching(/^[\x21-\x7e]{1,40}$/);
    fc.assert(
      fc.property(token, token, fc.double({ min: 0, max: 1 }), (accessToken, refreshToken, share) => {
        const whole = JSON.stringify({
          access_token: accessToken,
          scope: 'a "b" \\',
          refresh_token: refreshToken,
          n: [1],
        });
        const raw = rawOf(whole.slice(0, Math.floor(whole.length * share)), { incomplete: true });
        const found = salvageTokens(raw);
        if (found?.accessToken) expect(found.accessToken.reveal()).toBe(accessToken);
        for (const each of found?.refreshTokens ?? []) expect(each.reveal()).toBe(refreshToken);
        const complete = (raw.body?.reveal() ?? '').includes(`"refresh_token":${JSON.stringify(refreshToken)}`);
        expect(found?.refreshTokens.length ?? 0).toBe(complete ? 1 : 0);
      }),
    );
  });
});

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    return '{}';
  }
}
