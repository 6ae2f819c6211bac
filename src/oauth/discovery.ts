import {
  type AuthorizationServer,
  allowInsecureRequests,
  customFetch,
  discoveryRequest,
  processDiscoveryResponse,
} from 'oauth4webapi';
import { GrantryError } from '../base/errors.ts';
import { limits, timesOf } from '../base/limits.ts';
import type { World } from '../base/world.ts';
import { readRawAnswer } from './raw-answer.ts';

/** Endpoints that a provider publishes; stored ("pinned") on first use, never followed blindly afterwards. */
export interface DiscoveredEndpoints {
  readonly issuer: string;
  readonly authorization: string | null;
  readonly token: string;
  readonly revocation: string | null;
  /** Tells whether the provider promises an `iss` in every callback (RFC 9207). */
  readonly issParameterSupported: boolean;
}

export interface DiscoveryOptions {
  /** Allows http and loopback addresses; for tests and local simulators. */
  readonly allowLoopback?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Requests an issuer's endpoints: OpenID Connect discovery first, then RFC 8414.
 *
 * The document must name the requested issuer letter by letter (RFC 8414 section 3.3), and its endpoints must be https.
 *
 * @throws {GrantryError} `provider_unavailable` without an answer; `provider_error` when the answer is no metadata;
 * `provider_misconfigured` when its issuer or endpoints may not be used.
 */
export async function discoverEndpoints(
  world: World,
  issuer: string,
  options: DiscoveryOptions = {},
): Promise<DiscoveredEndpoints> {
  checkUrl('issuer', issuer, options);
  const metadata = await withinCallerWait(world, options.signal, async (signal) => {
    const openid = await ask(world, issuer, 'oidc', options, signal);
    return openid ?? ask(world, issuer, 'oauth2', options, signal);
  });
  if (metadata === null) throw new GrantryError('provider_error', 'The issuer publishes no metadata.', { action });
  if (metadata.issuer !== issuer) {
    throw new GrantryError('provider_misconfigured', 'The metadata names another issuer than the definition.', {
      action,
    });
  }
  if (metadata.token_endpoint === undefined) {
    throw new GrantryError('provider_misconfigured', 'The metadata names no token endpoint.', { action });
  }
  return {
    issuer,
    authorization: checkUrl('authorization endpoint', metadata.authorization_endpoint, options),
    token: checkUrl('token endpoint', metadata.token_endpoint, options),
    revocation: checkUrl('revocation endpoint', metadata.revocation_endpoint, options),
    issParameterSupported: metadata.authorization_response_iss_parameter_supported === true,
  };
}

/** Runs `work` with a signal that aborts with the caller's signal, or after the longest time that a caller waits. */
async function withinCallerWait<T>(
  world: World,
  given: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const done = new AbortController();
  const ignore = (): void => {};
  world.sleep(timesOf(world).callerWaitMs, done.signal).then(() => deadline.abort(), ignore);
  try {
    return await work(given === undefined ? deadline.signal : AbortSignal.any([given, deadline.signal]));
  } finally {
    done.abort();
  }
}

/** Requests the document; `null` when the issuer has none at this path. */
async function ask(
  world: World,
  issuer: string,
  algorithm: 'oidc' | 'oauth2',
  options: DiscoveryOptions,
  signal: AbortSignal,
): Promise<AuthorizationServer | null> {
  const url = new URL(issuer);
  const response = await discoveryRequest(url, {
    algorithm,
    [allowInsecureRequests]: options.allowLoopback === true,
    [customFetch]: (target, init) => world.fetch(target, { method: 'GET', headers: init.headers, signal }),
  }).catch((cause: unknown) => {
    throw new GrantryError('provider_unavailable', 'The issuer does not answer.', { cause });
  });
  const raw = await readRawAnswer(response, world.now());
  if (raw.status === 404 || raw.status === 405) return null;
  if (raw.status === 429 || raw.status >= 500) {
    throw new GrantryError('provider_unavailable', `The issuer answers with HTTP ${raw.status}.`);
  }
  const text = raw.body?.reveal() ?? '';
  if (raw.incomplete || text.length > limits.documentBytesMax) {
    throw new GrantryError('provider_error', "The issuer's metadata is truncated or too large.", { action });
  }
  const headers = { 'content-type': 'application/json' };
  // The library refuses every status but 200, redirects included.
  const status = raw.status === 200 ? 200 : 400;
  return processDiscoveryResponse(url, new Response(text, { status, headers })).catch((cause: unknown) => {
    throw new GrantryError('provider_error', "The issuer's response is not its metadata.", { action, cause });
  });
}

/** The default actions are about an app. Discovery runs before there is one. */
const action = "Correct the issuer in the provider's definition, or leave it out and name the endpoints.";

function checkUrl(name: string, text: string, options: DiscoveryOptions): string;
function checkUrl(name: string, text: string | undefined, options: DiscoveryOptions): string | null;
function checkUrl(name: string, text: string | undefined, options: DiscoveryOptions): string | null {
  if (text === undefined) return null;
  const url =
    typeof text === 'string' && text.length <= limits.urlCharsMax && URL.canParse(text) ? new URL(text) : null;
  const scheme = url?.protocol === 'https:' || (options.allowLoopback === true && url?.protocol === 'http:');
  if (url !== null && scheme && url.username === '' && url.password === '' && url.hash === '') return text;
  throw new GrantryError('provider_misconfigured', `The ${name} is not a usable https URL.`, { action });
}
