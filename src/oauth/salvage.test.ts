/** Answers that no JSON parser takes, and that hold whole tokens all the same. */
import { describe, expect, it } from 'vitest';
import { Secret } from '../base/secret.ts';
import { providerDefinition } from '../providers/definition.ts';
import { readTokenAnswer, salvageTokens } from './answer.ts';
import type { RawAnswer } from './types.ts';

const requestedAt = 1_700_000_000_000;
const whole = '{"access_token":"at","refresh_token":"rt","expires_in":600}';

function definitionOf(rotation: 'strict' | 'none') {
  return providerDefinition.parse({
    id: 'example',
    endpoints: { token: 'https://as.example/token' },
    refreshToken: { rotation },
    api: { hosts: ['https://api.example'] },
    capture: { token: { company: 'company', realm: 'realm' } },
  });
}

function rawOf(text: string, more: Partial<RawAnswer> = {}): RawAnswer {
  const body = text === '' ? null : new Secret(text);
  const rest = { status: 200, contentType: 'application/json', retryAfter: null, incomplete: false, requestedAt };
  return { ...rest, ...more, body };
}

const isSpent = (token: Secret) => token.reveal() === 'spent';

/** The fate of an answer: the tokens that are saved, the refresh tokens that become candidates, or the class. */
function fate(text: string, more: Partial<RawAnswer> = {}, rotation: 'strict' | 'none' = 'strict'): unknown {
  const raw = rawOf(text, more);
  const outcome = readTokenAnswer(definitionOf(rotation), raw, 'refresh', { isSpent });
  if (outcome.kind === 'refused') return outcome.class;
  if (outcome.kind === 'unknown') return salvageTokens(raw, isSpent)?.refreshTokens.map((each) => each.reveal()) ?? [];
  const { accessToken, refreshToken, expiresAt } = outcome.tokens;
  return `${accessToken.reveal()} ${refreshToken?.reveal() ?? 'none'} ${(expiresAt - requestedAt) / 1_000}`;
}

/** Puts members at the end of an object. */
const plus = (members: string) => whole.replace(/}$/, `${members}}`);

describe('an answer whose tokens can be read without guessing is saved', () => {
  it.each([
    ['a notice of PHP in front', `<br />\n<b>Notice</b>: Undefined index: "x in /a.php on line 3<br />\n${whole}`],
    ['a comment behind', `${whole}\n<!-- 0.03 s, it's "done -->`],
    ['a second object without tokens behind', `${whole}{"debug":true}`],
    ['all of it twice', whole + whole],
    ['a member twice', plus(',"scope":"a","scope":"a b"')],
    ['the lifetime twice', plus(',"expires_in":600')],
    ['each token twice, with the same value', plus(`,${whole.slice(1, -1)}`)],
    ['a member twice in another object', plus(',"user":{"id":1,"id":2}')],
    ['17 levels', plus(`,"deep":${'['.repeat(17)}1${']'.repeat(17)}`)],
    ['500 levels', plus(`,"deep":${'{"a":'.repeat(500)}1${'}'.repeat(500)}`)],
    ['NaN and Infinity', plus(',"a":NaN,"b":-Infinity,"c":undefined')],
    ['a trailing comma', plus(',')],
    ['a missing value', plus(',"a":,"b":')],
    ['a raw newline and a tab', plus(',"note":"a\n\tb"')],
    ['a lone escape', plus(',"note":"\\x \\u12"')],
    ['a quote that is not escaped', plus(',"note":"the "new" 5" screen"')],
    ['its last brace missing', whole.slice(0, -1)],
    ['its last brace missing, and a newline', `${whole.slice(0, -1)}\n`],
    ['a list around it', `[${whole}]`],
    ['a function around it', `callback(${whole});`],
    ['one JSON string around it', JSON.stringify(whole)],
    ['a byte order mark and a comma', `\uFEFF${plus(',')}`],
    ['the request repeated in another object', plus(',"request":{"refresh_token":"spent"},')],
    ['foreign tokens in another object', plus(',"user":{"access_token":"at9","refresh_token":"rt9","expires_in":1},')],
    ['a text that looks like a member', plus(',"note":"\\"refresh_token\\":\\"rt9\\"",')],
    ['a text that holds a whole answer', plus(`,"note":${JSON.stringify('{"refresh_token":"rt9"}')},`)],
    ['form encoding', 'access_token=at&refresh_token=rt&expires_in=600'],
    [
      'form encoding behind a notice',
      '<b>Notice</b>: x\n\naccess_token=at&refresh_token=rt&expires_in=600&scope=a%20b\n',
    ],
  ])('%s', (_name, text) => {
    for (const contentType of ['application/json', 'text/html', null]) {
      expect(fate(text, { contentType })).toBe('at rt 600');
    }
  });

  it('cut by any transport behind everything that matters', () => {
    expect(fate(plus(',"scope":"a b"').slice(0, -6), { incomplete: true })).toBe('at rt 600');
    expect(fate(plus(',"user":{"refresh_token":"rt9","x":{').slice(0, -1), { incomplete: true })).toBe('at rt 600');
  });

  it('of two lifetimes the shorter one counts', () => {
    expect(fate(plus(',"expires_in":60'))).toBe('at rt 60');
    expect(fate(plus(',"expires_in":"3600"'))).toBe('at rt 600');
    expect(fate(plus(',"expires_in":0'))).toBe('at rt 600');
  });

  it('at a provider that does not rotate, no refresh token is needed', () => {
    const google = '{"access_token":"at","expires_in":600,"token_type":"Bearer"';
    expect(fate(google, {}, 'none')).toBe('at none 600');
    expect(fate(`<br />${google},}`, {}, 'none')).toBe('at none 600');
    expect(fate(`${google},"refresh_token":"spent",}`, {}, 'none')).toBe('at spent 600');
    // Without the end, a new refresh token may be missing: the spent one must not stay for it.
    expect(fate(google)).toEqual([]);
  });

  it('one level down, as Slack does', () => {
    expect(fate(`{"ok":true,"authed_user":${whole},}`)).toBe('at rt 600');
  });
});

describe('a masked token is none', () => {
  it.each(['****f3a1', '1000.ab***', '1000...f3a1', '••••••••', '***', 'rt_…f3a1'])('%s', (masked) => {
    const answer = `{"access_token":"at","refresh_token":"${masked}","expires_in":600}`;
    for (const rotation of ['strict', 'none'] as const) {
      expect(fate(answer, {}, rotation)).toBe('at none 600');
      expect(fate(answer.replace('}', ',}'), {}, rotation)).toBe('at none 600');
      expect(fate(answer.replace('}', ',"refresh_token":"rt"}'), {}, rotation)).toEqual(['rt']);
    }
    // Without the end, the new refresh token may be missing.
    expect(fate(answer.slice(0, -1))).toEqual([]);
    const refusal = `{"error":"invalid_grant","refresh_token":"${masked}"}`;
    expect(fate(refusal, { status: 400 })).toBe('grant_refused');
    expect(fate(`<pre>${refusal}</pre>`, { status: 500 })).toBe('unavailable');
  });

  it.each(['M.C1***-Cq!bU*9$tZ', 'a...b-longer-than-a-mask', '*'])('but %s is a token', (token) => {
    expect(fate(whole.replace('rt', token))).toBe(`at ${token} 600`);
  });
});

it('a page with a token of its own brings nothing', () => {
  const page = '<html><script>start({"access_token":"pk.map","style":"dark"})</script></html>';
  for (const rotation of ['strict', 'none'] as const) expect(fate(page, {}, rotation)).toEqual([]);
});

describe('any other token that stands whole becomes a candidate', () => {
  it.each([
    ['two values at the top level', plus(',"refresh_token":"rt2"'), ['rt2', 'rt']],
    ['the spent token beside the new one', plus(',"refresh_token":"spent"'), ['rt']],
    ['two access tokens', plus(',"access_token":"at2"'), ['rt']],
    ['two objects', `${whole}{"access_token":"at2","refresh_token":"rt2"}`, ['rt2', 'rt']],
    ['a request in front', `{"grant_type":"refresh_token","refresh_token":"old"}${whole}`, ['rt', 'old']],
    ['no access token', '{"refresh_token":"rt","expires_in":600,}', ['rt']],
    ['an error beside it', plus(',"error":"warming_up",'), ['rt']],
    ['an error in a second object', `${whole}{"error":"warming_up"}`, ['rt']],
    ['an envelope', `{"ok":true,"data":{"auth":${whole}}}`, ['rt']],
    ['its start missing', whole.slice(6), ['rt']],
    ['a cut object and a whole one', `${whole.slice(0, 18)}${whole.replaceAll('t"', 't2"')}`, ['rt2']],
    ['a comma missing', whole.replace(',', ''), ['rt']],
    ['a brace missing', `{"access_token":"at","user":{"id":1,"refresh_token":"rt","expires_in":600}`, ['rt']],
    [
      'a brace of a foreign object lost',
      '{"access_token":"at","expires_in":600,"user":\\"refresh_token":"rt9"}}',
      ['rt9'],
    ],
    ['a form with a quote in it', 'access_token=at&expires_in=600"refresh_token=rt&scope=', ['rt']],
    ['an unknown token type', plus(',"token_type":"mac",'), ['rt']],
    ['form encoding with a name twice', 'access_token=at&refresh_token=rt&access_token=at2', ['rt']],
  ])('%s', (_name, text, expected) => {
    expect(fate(text)).toEqual(expected);
  });

  it.each([
    ['behind the refresh token', '{"refresh_token":"rt","access_tok', ['rt']],
    ['before the lifetime', '{"access_token":"at","refresh_token":"rt","expires_in":', ['rt']],
    ['inside the refresh token', '{"access_token":"at","refresh_token":"r', []],
    ['inside a form', 'refresh_token=rt&access_token=a', ['rt']],
    ['inside the refresh token of a form', 'access_token=at&refresh_token=r', []],
  ])('cut %s', (_name, text, expected) => {
    expect(fate(text, { incomplete: true })).toEqual(expected);
  });
});

describe('a refusal stays one', () => {
  it.each([
    ['an HTML page', '<html><body>"invalid_grant": {"error"}</body></html>', 400, 'unavailable'],
    ['a refusal that is broken', '{"error":"invalid_grant",}', 400, 'unavailable'],
    ['a refusal', '{"error":"invalid_grant"}', 400, 'grant_refused'],
    [
      'a refusal with empty tokens',
      '{"error":"invalid_grant","access_token":null,"refresh_token":""}',
      400,
      'grant_refused',
    ],
    ['a refusal that repeats the request', '{"error":"invalid_grant","refresh_token":"spent"}', 400, 'grant_refused'],
    ['a refusal about other tokens', `{"error":"invalid_grant","request":${whole}}`, 400, 'grant_refused'],
    ['a page that repeats the request', '<pre>{"refresh_token":"spent","scope":"a"}</pre>', 500, 'unavailable'],
    [
      'a page that repeats the form',
      '<pre>grant_type=refresh_token&refresh_token=spent&scope=a</pre>',
      400,
      'unavailable',
    ],
    ['a page with a whole token', `<pre>${whole}</pre>`, 500, ['rt']],
    ['a refusal with a token', `{"error":"invalid_grant",${whole.slice(1)}`, 400, ['rt']],
  ])('%s', (_name, text, status, expected) => {
    expect(fate(text, { status, contentType: 'text/html' })).toEqual(expected);
  });
});

it('a lone surrogate or a control character is dropped with a note, and the tokens stay', () => {
  const text = plus(',"company":"Caf\\ud800","realm":"a\\u0000b","scope":"a b\\ud800 c\\u0000"');
  const outcome = readTokenAnswer(definitionOf('strict'), rawOf(text), 'refresh');
  expect(outcome).toMatchObject({ kind: 'tokens', tokens: { scopes: ['a'], metadata: {} } });
  expect(outcome).toMatchObject({ notes: [expect.stringMatching(/^company /), expect.stringMatching(/^realm /)] });
});

describe('256 KB take little time, as', () => {
  it.each([
    '{"',
    '"',
    '{',
    '[',
    '{"":',
    '\\',
    '"\\',
    '"   ',
    '{"a":1}',
    '"refresh_token":"',
    '"refresh_token"  ',
    '{"refresh_token":"a",',
    'refresh_token=',
    '{"expires_in":[1],',
  ])('%j', (piece) => {
    const started = process.cpuUsage().user;
    fate(piece.repeat(Math.ceil(262_144 / piece.length)));
    // Time of the processor in microseconds. Quadratic work would take minutes.
    expect(process.cpuUsage().user - started).toBeLessThan(5_000_000);
  });
});
