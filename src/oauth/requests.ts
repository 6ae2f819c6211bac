import {
  allowInsecureRequests,
  customFetch,
  genericTokenEndpointRequest,
  type TokenEndpointRequestOptions,
} from 'oauth4webapi';
import { GrantryError } from '../base/errors.ts';
import { NotSentError } from '../base/network/outbound-errors.ts';
import type { Secret } from '../base/secret.ts';
import type { World, WorldRequest } from '../base/world.ts';
import { joinScopes } from '../providers/scopes.ts';
import { clientAuthentication } from './client-authentication.ts';
import { endpointOf } from './endpoints.ts';
import { readRawAnswer } from './raw-answer.ts';
import type { OAuthClient, RawAnswer } from './types.ts';

/**
 * A request was sent and no answer came: the provider may have acted on it. After a refresh, the refresh token may be
 * spent.
 */
export class AnswerLostError extends Error {
  override readonly name = 'AnswerLostError';
}

/** Options of every token request. */
export interface SendOptions {
  /** Ends the request; after the first byte the outcome is then unknown. */
  signal?: AbortSignal | undefined;
  /** Runs immediately before the first byte is written; an error thrown here ends the request with nothing sent. */
  beforeSend?: (() => void) | undefined;
}

export interface ExchangeRequest extends SendOptions {
  readonly code: Secret;
  /**
   * Must equal the URI of the authorization request byte for byte; `null` for codes made without one (Zoho's self
   * clients).
   */
  readonly redirectUri: string | null;
  /** The PKCE verifier; `null` when the authorization request had no challenge. */
  readonly codeVerifier: Secret | null;
}

export interface RefreshRequest extends SendOptions {
  readonly refreshToken: Secret;
  /** Requests fewer scopes than were granted; leave out to keep all. */
  readonly scopes?: readonly string[] | undefined;
}

/**
 * Exchanges an authorization code (RFC 6749 section 4.1.3) and returns the answer unread.
 *
 * A code works for one request: after an `AnswerLostError` the flow starts again.
 *
 * @throws {NotSentError} when nothing was sent.
 * @throws {AnswerLostError} when the request was sent and its answer did not come.
 * @throws {GrantryError} `provider_misconfigured` when the app or endpoint cannot be used; nothing was sent.
 */
export async function sendExchange(world: World, client: OAuthClient, request: ExchangeRequest): Promise<RawAnswer> {
  const parameters = new URLSearchParams();
  parameters.set('code', request.code.reveal());
  if (request.redirectUri !== null) parameters.set('redirect_uri', request.redirectUri);
  if (request.codeVerifier !== null) parameters.set('code_verifier', request.codeVerifier.reveal());
  return sendTokenRequest(world, client, 'authorization_code', parameters, request);
}

/**
 * Spends a refresh token (RFC 6749 section 6) and returns the answer unread, so that the caller can store it first.
 *
 * @throws {NotSentError} when nothing was sent: the refresh token is unspent.
 * @throws {AnswerLostError} when the request was sent and its answer did not come: the refresh token may be spent.
 * @throws {GrantryError} `provider_misconfigured` when the app or endpoint cannot be used; nothing was sent.
 */
export async function sendRefresh(world: World, client: OAuthClient, request: RefreshRequest): Promise<RawAnswer> {
  const parameters = new URLSearchParams(client.definition.refreshParameters);
  parameters.set('refresh_token', request.refreshToken.reveal());
  if (request.scopes !== undefined && request.scopes.length > 0) {
    parameters.set('scope', joinScopes(client.definition, request.scopes));
  }
  return sendTokenRequest(world, client, 'refresh_token', parameters, request);
}

async function sendTokenRequest(
  world: World,
  client: OAuthClient,
  grantType: string,
  parameters: URLSearchParams,
  options: SendOptions,
): Promise<RawAnswer> {
  const endpoint = endpointOf(client, 'token');
  if (endpoint === null) {
    throw new GrantryError('provider_misconfigured', `The provider ${client.definition.id} has no token endpoint.`, {
      action: "Add endpoints.token to the provider's definition.",
    });
  }
  const authentication = clientAuthentication(world, client, endpoint);
  const exchange = new OneExchange(world, options);
  const server = { issuer: client.definition.issuer ?? new URL(endpoint).origin, token_endpoint: endpoint };
  const libraryClient = { client_id: client.clientId };
  const response = await exchange.run((fetchOptions) =>
    genericTokenEndpointRequest(server, libraryClient, authentication, grantType, parameters, fetchOptions),
  );
  return readRawAnswer(response, exchange.requestedAt);
}

/**
 * Sends one request of the protocol library over the world's network, and records facts that the library does not
 * report.
 */
export class OneExchange {
  readonly #world: World;
  readonly #options: SendOptions;
  #handedOver = false;
  /** Time immediately before the request was sent, in milliseconds since 1970. */
  requestedAt: number;

  constructor(world: World, options: SendOptions) {
    this.#world = world;
    this.#options = options;
    this.requestedAt = world.now();
  }

  async run(request: (options: TokenEndpointRequestOptions) => Promise<Response>): Promise<Response> {
    try {
      return await request({
        [customFetch]: (url, init) => this.#fetch(url, init),
        // Plain http is allowed here: the stored definition only contains it where the installation allows it.
        [allowInsecureRequests]: true,
      });
    } catch (error) {
      if (error instanceof NotSentError || error instanceof GrantryError) throw error;
      if (this.#handedOver) throw new AnswerLostError('no response came to a request that was sent', { cause: error });
      throw new NotSentError('the request could not be built');
    }
  }

  async #fetch(
    url: string,
    init: { method: string; headers: Record<string, string>; body?: unknown },
  ): Promise<Response> {
    const request: WorldRequest = {
      method: init.method,
      headers: init.headers,
      body: String(init.body),
      // Always a new connection: the first byte that arrives spends the code or refresh token.
      beforeSend: () => {
        this.#options.beforeSend?.();
        this.requestedAt = this.#world.now();
      },
    };
    if (this.#options.signal !== undefined) request.signal = this.#options.signal;
    this.#handedOver = true;
    return this.#world.fetch(url, request);
  }
}
