import { describe, expect, it } from 'vitest';
import { Secret } from '../base/secret.ts';
import { shownCause, shownText } from './shown.ts';

describe("a provider's words", () => {
  it.each([
    ['invalid_grant', 'invalid_grant'],
    ['User Access Token', 'User Access Token'],
    ['BAD_REFRESH_TOKEN', 'BAD_REFRESH_TOKEN'],
    ["AADSTS70008: The token's life has ended.", "AADSTS70008: The token's life has ended."],
    [
      'Token has been expired or revoked (see accounts.zoho.eu).',
      'Token has been expired or revoked (see accounts.zoho.eu).',
    ],
    ['MissingParameter "refreshToken"', 'MissingParameter "refreshToken"'],
    ['status 400', 'status 400'],
    ['  several\n\tlines  ', 'several lines'],
  ])('are shown: %s', (text, expected) => expect(shownText(text)).toBe(expected));

  it.each([
    ['the token 1000.0123456789abcdef0123456789abcdef.0123456789abcdef0123456789abcdef is dead', 'the token … is dead'],
    ['invalid code SplxlOBeZQQYbYS6WxSbIA', 'invalid code …'],
    ['invalid code SplxlOBeZQQYbYS', 'invalid code …'],
    ['refresh_token=abc&client_secret=def', null],
    ['0123456789', null],
    ['1234 5678', null],
    ['', null],
    [undefined, null],
  ])('are hidden where they could hold a token: %s', (text, expected) => expect(shownText(text)).toBe(expected));

  it.each([
    ['secret Correct-Horse-Battery', 'secret …'],
    ['secret (correct-horse-BATTERY).', 'secret …'],
    ['secret=correct-horse-battery', null],
    ['secret correct-horse', 'secret …'],
    ['open sesame please', '… please'],
    ['the password is letmein', 'the password is …'],
    ['the letmeins are two', 'the letmeins are two'],
  ])('are hidden where they repeat a secret that was sent: %s', (text, expected) => {
    const sent = ['correct-horse-battery', 'open sesame', 'letmein'].map((value) => new Secret(value));
    expect(shownText(text, sent)).toBe(expected);
    expect(shownCause(new Map([['message', text]]), sent)).toBe(expected);
  });

  it('are cut', () => expect(shownText('word '.repeat(1_000))?.length).toBeLessThanOrEqual(200));
});

describe('a cause outside the standard member', () => {
  it.each([
    [
      { status: 'BAD_REFRESH_TOKEN', message: 'missing or unknown refresh token' },
      'BAD_REFRESH_TOKEN: missing or unknown refresh token',
    ],
    [{ error: { code: 'ExpiredToken', message: 'It has ended.' } }, 'ExpiredToken: It has ended.'],
    [{ errors: [{ message: 'Client is not authorized.' }] }, 'Client is not authorized.'],
    [{ errors: ['invalid client'] }, 'invalid client'],
    [{ message: 'no' }, 'no'],
    [{ error: 'invalid_grant' }, null],
    [{ errors: 7 }, null],
    [{}, null],
  ])('is found: %o', (body, expected) => expect(shownCause(new Map(Object.entries(body)))).toBe(expected));
});
