import { invalidRequest } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import type { Vault } from './types.ts';

/** Checks a text from outside: its type, its length, and that all of it is printable. */
export function checkText(
  what: string,
  value: unknown,
  charsMax: number,
  options: { multiline?: boolean } = {},
): string {
  if (typeof value !== 'string' || value.trim() === '') throw invalidRequest(`The ${what} is missing or not a string.`);
  if (value.length > charsMax) throw invalidRequest(`The ${what} is longer than ${charsMax} characters.`);
  const allowed = options.multiline === true ? /^[\P{C}\n\r\t]+$/u : /^\P{C}+$/u;
  if (!allowed.test(value)) throw invalidRequest(`The ${what} contains control characters or invalid Unicode.`);
  return value;
}

/** Checks a token from outside and wraps it in a {@link Secret}. */
export function checkToken(what: string, value: unknown): Secret {
  const text = value instanceof Secret ? value.reveal() : value;
  const checked = checkText(what, text, limits.tokenCharsMax);
  if (/\s/.test(checked)) throw invalidRequest(`The ${what} contains white space.`);
  return new Secret(checked);
}

/** Checks a redirect URI: absolute, http or https, no fragment (RFC 6749 section 3.1.2), no credentials. */
export function checkRedirectUri(value: unknown): string {
  const text = checkText('redirect URI', value, limits.urlCharsMax);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.hash !== '' || text.includes('#')) {
    throw invalidRequest('The redirect URI must be an absolute http or https URL without a fragment.');
  }
  if (url.username !== '' || url.password !== '') {
    throw invalidRequest('The redirect URI must not contain a user name or password.');
  }
  if (url.protocol === 'http:' && !['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)) {
    throw invalidRequest('The redirect URI must be https unless it is on the loopback interface.');
  }
  return text;
}

/** Checks a list of scopes. */
export function checkScopes(value: readonly string[]): string[] {
  if (!Array.isArray(value) || value.length > limits.scopesMax) {
    throw invalidRequest(`Scopes are a list of at most ${limits.scopesMax} names.`);
  }
  const names = value.map((scope) => checkText('scope', scope, limits.scopeCharsMax));
  // The stored list is separated by commas, and RFC 6749 separates scopes by spaces.
  const bad = names.find((scope) => /[\s,]/.test(scope));
  if (bad !== undefined)
    throw invalidRequest(
      'A scope contains a comma or white space. Separate scopes by spaces; by commas only where the provider does.',
    );
  return [...new Set(names)];
}

/** Tells whether a value from outside is an object and not an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Checks that a value from outside is an object and not an array. */
export function checkObject(what: string, value: unknown): void {
  if (!isObject(value)) throw invalidRequest(`The ${what} must be an object.`);
}

/** Checks the vault that a caller passes to a drop-in class. @param twin the class that `grantry/zoho` has under the same name */
export function checkVault(vault: Vault, twin?: string): Vault {
  if (typeof vault?.getAccessToken === 'function') return vault;
  const advice =
    twin === undefined
      ? {}
      : { action: `For code with client id and refresh token, import ${twin} from grantry/zoho.` };
  throw invalidRequest('Expected a vault from openVault.', advice);
}

/** Checks a caller's number of seconds. */
export function checkSeconds(what: string, value: unknown, secondsMax: number): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0 || value > secondsMax) {
    throw invalidRequest(`The ${what} must be a number of seconds from 0 to ${secondsMax}.`);
  }
  return value;
}

/** Checks a generation that a caller reports. */
export function checkGeneration(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
    throw invalidRequest('The generation must be a whole number from 1.');
  }
  return value;
}
