import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isGrantryError } from '../base/errors.ts';
import { builtInProvider } from '../providers/catalogue.ts';
import { assertAnswered, captureCallback, checkIssuer, readCallback } from './callback.ts';

describe('a callback', () => {
  it('with a code', () => {
    const callback = readCallback(
      'http://127.0.0.1:8484/oauth/callback/x?code=1000.a&state=s&location=eu&accounts-server=https%3A%2F%2Faccounts.zoho.eu&',
    );
    expect(callback).toMatchObject({ state: 's', error: null, iss: null });
    expect(callback.code?.reveal()).toBe('1000.a');
    expect(Object.fromEntries(callback.parameters)).toEqual({
      location: 'eu',
      'accounts-server': 'https://accounts.zoho.eu',
    });
    expect(inspect(callback, { depth: 9 })).not.toContain('1000.a');
  });

  it('as a path', () => {
    expect(readCallback('/cb?code=c&state=s').code?.reveal()).toBe('c');
  });

  it('C-13 with an error, whose text an attacker may have written', () => {
    expect(readCallback('/cb?error=access_denied&error_description=%3Cb%3E&state=s')).toMatchObject({
      code: null,
      error: 'access_denied',
    });
    expect(readCallback('/cb?error=%3Cscript%3E&state=s')).toMatchObject({ error: 'other' });
  });

  it.each([
    ['no state', '/cb?code=c'],
    ['code and error', '/cb?state=s&code=c&error=e'],
    ['state twice', '/cb?state=s&state=s&code=c'],
    ['code twice', '/cb?state=s&code=c&code=c'],
    ['error twice', '/cb?state=s&error=e&error=f'],
    ['iss twice', '/cb?state=s&code=c&iss=a&iss=b'],
    ['a long state', `/cb?code=c&state=${'s'.repeat(513)}`],
    ['a long URL', `/cb?code=${'c'.repeat(20_000)}&state=s`],
    ['no URL', 'http://'],
  ])('%s is refused', (_name, url) => {
    expect(() => readCallback(url)).toThrow(expect.objectContaining({ code: 'authorization_failed' }));
  });

  it.each([
    ['no code', '/cb?state=s'],
    ['an empty code', '/cb?state=s&code='],
  ])('%s is no answer to a request for a code', (_name, url) => {
    // The page on which a refresh token gains scopes brings none.
    expect(() => assertAnswered(readCallback(url))).toThrow(expect.objectContaining({ code: 'authorization_failed' }));
  });

  it.each([
    ['a scope of 8 KB', `scope=${'https%3A%2F%2Fwww.example.com%2Fauth%2Fsome.part.readonly+'.repeat(140)}`],
    ['an id token of 3,000 characters', `id_token=${'x'.repeat(3_000)}`],
    ['a foreign parameter twice', 'scope=read&scope=write'],
    ['an empty foreign parameter twice', 'scope=&scope='],
    ['a description twice', 'error_description=a&error_description=b'],
    ['an empty error', 'error='],
    ['a broken escape', 'name=100%'],
  ])('with %s is read', (_name, more) => {
    expect(readCallback(`/cb?state=s&${more}&code=c`)).toMatchObject({ state: 's', error: null });
  });

  it('that repeats a parameter which the definition captures is refused', () => {
    const quickbooks = builtInProvider('quickbooks') ?? expect.unreachable('it is built in');
    const capture = (query: string) =>
      captureCallback(quickbooks, readCallback(`/cb?state=s&code=c&${query}`)).metadata;
    expect(capture('realmId=1&x=1&x=2')).toEqual({ realm_id: '1' });
    expect(() => capture('realmId=1&realmId=2')).toThrow(expect.objectContaining({ code: 'authorization_failed' }));
  });

  it('of any text gives a callback or authorization_failed', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl({ withQueryParameters: true })), (url) => {
        try {
          readCallback(url);
        } catch (error) {
          expect(isGrantryError(error, 'authorization_failed')).toBe(true);
        }
      }),
    );
  });
});

describe('C-07 iss', () => {
  const issuer = 'https://as.example';
  const cases = [
    ['absent', null, true, false],
    ['exact', issuer, true, true],
    ['trailing slash', `${issuer}/`, false, false],
    ['other case', 'https://AS.example', false, false],
    ['another server', 'https://evil.example', false, false],
  ] as const;
  describe.each(['code=c', 'error=access_denied'])('with %s', (answer) => {
    it.each(cases)('%s', (_name, iss, whenSilent, whenPromised) => {
      const callback = readCallback(`/cb?state=s&${answer}${iss === null ? '' : `&iss=${encodeURIComponent(iss)}`}`);
      const check = (issParameterSupported: boolean): boolean => {
        try {
          checkIssuer(callback, { issuer, issParameterSupported });
          return true;
        } catch {
          return false;
        }
      };
      expect([check(false), check(true)]).toEqual([whenSilent, whenPromised]);
      expect(() => checkIssuer(callback, { issuer: null, issParameterSupported: false })).not.toThrow();
    });
  });
});
