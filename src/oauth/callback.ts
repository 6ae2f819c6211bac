import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { type Captured, capture } from './captured.ts';

/** Parameters that the browser brought back from the provider; not yet trusted. */
export interface AuthorizationCallback {
  readonly state: string;
  /** The authorization code; `null` when the provider refused, as `error` then says, or if no code was asked for. */
  readonly code: Secret | null;
  /** The provider's error code, or `other` when that cannot be shown; `null` when there is a code. */
  readonly error: string | null;
  /** The issuer that claims to have sent the browser back (RFC 9207). */
  readonly iss: string | null;
  /** All other parameters, for the look-up of the data centre and for capture. Any of them may be repeated. */
  readonly parameters: URLSearchParams;
}

const stateCharsMax = 512;

/**
 * Parses a callback (RFC 6749 sections 4.1.2 and 4.1.2.1), given as a full URL or as a path with its query.
 *
 * A callback comes from a browser, so an attacker may have written it. No parameter of the protocol may be repeated or
 * oversized, and it never has both a code and an error. {@link assertAnswered} asks for one of them. Providers append what they like: a long list of scopes, an id
 * token, the same name twice. Such parameters only count against the length of the whole.
 *
 * @throws {GrantryError} `authorization_failed` for anything else; the message repeats none of it.
 */
export function readCallback(url: string): AuthorizationCallback {
  if (url.length > limits.callbackCharsMax || !URL.canParse(url, 'http://callback.invalid')) {
    throw authorizationFailed('The callback is not a URL, or is too long.');
  }
  const parameters = new URL(url, 'http://callback.invalid').searchParams;
  const state = take(parameters, 'state', stateCharsMax);
  if (state === null) throw authorizationFailed('The callback has no state.');
  const code = take(parameters, 'code', limits.tokenCharsMax);
  const error = take(parameters, 'error', limits.urlCharsMax);
  const iss = take(parameters, 'iss', limits.urlCharsMax);
  parameters.delete('error_description');
  if (code !== null && error !== null) throw authorizationFailed('The callback has both a code and an error.');
  return { state, code: code === null ? null : new Secret(code), error: shown(error), iss, parameters };
}

/**
 * Asserts that a callback answers a request for a code.
 *
 * @throws {GrantryError} `authorization_failed`
 */
export function assertAnswered({ code, error }: AuthorizationCallback): void {
  if (code === null && error === null) throw authorizationFailed('The callback has neither a code nor an error.');
}

/**
 * Defends against mix-up (RFC 9207 section 2.4), for callbacks with a code and with an error. An `iss` must equal the
 * expected issuer letter by letter. It must be present when the provider has promised it.
 *
 * @param expected.issuer `null` when the provider's issuer is unknown; an `iss` is then ignored.
 * @throws {GrantryError} `authorization_failed`
 */
export function checkIssuer(
  callback: AuthorizationCallback,
  expected: { readonly issuer: string | null; readonly issParameterSupported: boolean },
): void {
  if (expected.issuer === null) return;
  if (callback.iss === null && !expected.issParameterSupported) return;
  if (callback.iss === expected.issuer) return;
  throw authorizationFailed('The callback does not come from the provider that was asked.');
}

/**
 * Captures the callback parameters that the definition wants in the grant's metadata.
 *
 * @throws {GrantryError} `authorization_failed` for a repeated one: its readers could disagree about it
 */
export function captureCallback(definition: ProviderDefinition, callback: AuthorizationCallback): Captured {
  const names = definition.capture?.callback;
  for (const name of Object.keys(names ?? {})) {
    if (callback.parameters.getAll(name).length > 1) throw authorizationFailed('The callback repeats a parameter.');
  }
  // The code was taken out of the parameters.
  const around = callback.code === null ? [] : [{ code: callback.code.reveal() }];
  return capture(definition, names, new Map(callback.parameters), around);
}

/** Removes a parameter of the protocol and returns its value; an empty value counts as absent. */
function take(parameters: URLSearchParams, name: string, charsMax: number): string | null {
  const [value = null, ...others] = parameters.getAll(name);
  if (others.length > 0) throw authorizationFailed('The callback repeats a parameter.');
  parameters.delete(name);
  if (value === null || value === '') return null;
  if (value.length > charsMax) throw authorizationFailed('The callback has a parameter that is too long.');
  return value;
}

function shown(error: string | null): string | null {
  return error === null || /^[A-Za-z][A-Za-z _.-]{0,63}$/.test(error) ? error : 'other';
}

function authorizationFailed(message: string): GrantryError {
  return new GrantryError('authorization_failed', message);
}
