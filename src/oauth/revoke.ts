import { type ClientAuth, ClientSecretBasic, None, revocationRequest } from 'oauth4webapi';
import { GrantryError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import type { World } from '../base/world.ts';
import { classify } from '../providers/errors.ts';
import { clientAuthentication } from './client-authentication.ts';
import { endpointOf } from './endpoints.ts';
import { parseJsonObject } from './json.ts';
import { readRawAnswer } from './raw-answer.ts';
import { OneExchange, type SendOptions } from './requests.ts';
import { retryAfterMs } from './retry-after.ts';
import type { OAuthClient, RawAnswer } from './types.ts';

export interface RevokeRequest extends SendOptions {
  readonly token: Secret;
  readonly tokenType: 'refresh_token' | 'access_token';
}

/** Outcome of an attempt to revoke a token. */
export type RevokeOutcome =
  /** The token is dead at the provider, now or since earlier. */
  | { readonly kind: 'revoked' }
  /** No answer, an unknown answer, or a busy provider: try again. `null` when the provider names no time. */
  | { readonly kind: 'later'; readonly retryAfterMs: number | null }
  /** The provider never revokes for this app; `detail` names the status and error. */
  | { readonly kind: 'refused'; readonly detail: string }
  /** The provider has no revocation endpoint. */
  | { readonly kind: 'unsupported' };

/**
 * Revokes a token at the provider (RFC 7009). Safe to repeat; never rejects because of the network or the provider.
 *
 * It tries the definition's older form when the current endpoint is gone (404, 405). That form takes only the token, in
 * the form body.
 *
 * @throws {GrantryError} `provider_misconfigured` when the app or an endpoint cannot be used.
 */
export async function sendRevoke(world: World, client: OAuthClient, request: RevokeRequest): Promise<RevokeOutcome> {
  const current = endpointOf(client, 'revocation');
  const legacy = endpointOf(client, 'revocationLegacy');
  const endpoint = current ?? legacy;
  if (endpoint === null) return { kind: 'unsupported' };
  const authentication = current === null ? nothing : authenticationFor(world, client, current);
  const first = await attempt(world, client, request, endpoint, authentication);
  if (first !== null && legacy !== null && legacy !== endpoint && (first.status === 404 || first.status === 405)) {
    return read(client, await attempt(world, client, request, legacy, nothing), world.now());
  }
  return read(client, first, world.now());
}

const nothing: ClientAuth = () => {};

/** Recognises Zoho, whose current form deviates from RFC 7009 too. */
function hasLegacyForm(client: OAuthClient): boolean {
  return client.definition.endpoints?.revocationLegacy !== undefined;
}

/** Zoho requires HTTP Basic here, whichever method its token endpoint uses. */
function authenticationFor(world: World, client: OAuthClient, endpoint: string): ClientAuth {
  if (client.definition.clientAuthentication === 'client_secret_post' && hasLegacyForm(client)) {
    return client.clientSecret === null ? None() : ClientSecretBasic(client.clientSecret.reveal());
  }
  return clientAuthentication(world, client, endpoint);
}

/** Sends one request; returns `null` when no answer came, whether or not the request was sent. */
async function attempt(
  world: World,
  client: OAuthClient,
  request: RevokeRequest,
  endpoint: string,
  authentication: ClientAuth,
): Promise<RawAnswer | null> {
  const server = { issuer: client.definition.issuer ?? new URL(endpoint).origin, revocation_endpoint: endpoint };
  const exchange = new OneExchange(world, request);
  const hint = hasLegacyForm(client) ? 'token_type' : 'token_type_hint';
  const additionalParameters = authentication === nothing ? {} : { [hint]: request.tokenType };
  try {
    const response = await exchange.run((options) =>
      revocationRequest(server, { client_id: client.clientId }, authentication, request.token.reveal(), {
        ...options,
        additionalParameters,
      }),
    );
    return await readRawAnswer(response, exchange.requestedAt);
  } catch (error) {
    if (error instanceof GrantryError) throw error;
    return null;
  }
}

function read(client: OAuthClient, raw: RawAnswer | null, now: number): RevokeOutcome {
  if (raw === null) return { kind: 'later', retryAfterMs: null };
  const { status } = raw;
  const members = parseJsonObject(raw.body?.reveal() ?? '');
  const error = textOf(members?.get('error'));
  if (status >= 200 && status < 300 && error === null) return { kind: 'revoked' };
  if (error === 'invalid_token') return { kind: 'revoked' };
  if (error === 'unsupported_token_type') return { kind: 'unsupported' };
  const description = textOf(members?.get('error_description'));
  const errorClass = classify(client.definition, { on: 'revoke', status, error, description });
  if (errorClass === 'grant_refused') return { kind: 'revoked' };
  if (errorClass === 'throttled' || errorClass === 'unavailable' || status === 429 || status >= 500) {
    return { kind: 'later', retryAfterMs: retryAfterMs(raw.retryAfter, now) };
  }
  // Zoho's bare 400 means that the token is unknown, of another kind, or another app's.
  if (status === 400 && error === null && hasLegacyForm(client)) {
    return { kind: 'revoked' };
  }
  return { kind: 'refused', detail: `${errorClass} (HTTP ${status})` };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
