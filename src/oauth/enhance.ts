import { genericTokenEndpointRequest } from 'oauth4webapi';
import { GrantryError } from '../base/errors.ts';
import { Secret } from '../base/secret.ts';
import type { World } from '../base/world.ts';
import { expand } from '../providers/expand.ts';
import { atPointer } from '../providers/invalid-token.ts';
import { joinScopes } from '../providers/scopes.ts';
import { clientAuthentication } from './client-authentication.ts';
import { readRawAnswer } from './raw-answer.ts';
import { OneExchange, type SendOptions } from './requests.ts';
import type { OAuthClient, RawAnswer } from './types.ts';

/**
 * Asks for the token with which the user's browser adds scopes to a refresh token. The refresh token goes where every
 * refresh sends it, and stays as it is.
 *
 * @throws {NotSentError} when nothing was sent
 * @throws {AnswerLostError} when no answer came
 * @throws {GrantryError} `provider_misconfigured` when the app cannot be used, or the provider has no such request
 */
export async function sendEnhancement(
  world: World,
  client: OAuthClient,
  { refreshToken, ...options }: SendOptions & { readonly refreshToken: Secret },
): Promise<RawAnswer> {
  const { request } = enhancementOf(client);
  const { grant_type: grantType = '', ...rest } = request.parameters;
  const parameters = new URLSearchParams(rest);
  parameters.set('refresh_token', refreshToken.reveal());
  const url = expand(client.definition, request.url, { dc: client.dc, metadata: {} });
  const authentication = clientAuthentication(world, client, url);
  const server = { issuer: client.definition.issuer ?? new URL(url).origin, token_endpoint: url };
  const exchange = new OneExchange(world, options);
  const response = await exchange.run((fetchOptions) =>
    genericTokenEndpointRequest(
      server,
      { client_id: client.clientId },
      authentication,
      grantType,
      parameters,
      fetchOptions,
    ),
  );
  return readRawAnswer(response, exchange.requestedAt);
}

/** The token for the browser in an answer; null if there is none. */
export function enhancementTokenOf(client: OAuthClient, raw: RawAnswer): Secret | null {
  if (raw.status < 200 || raw.status >= 300 || raw.body === null || raw.incomplete) return null;
  try {
    const value = atPointer(JSON.parse(raw.body.reveal()), enhancementOf(client).request.token);
    return typeof value === 'string' && /^[\x21-\x7e]{1,2048}$/.test(value) ? new Secret(value) : null;
  } catch {
    return null;
  }
}

/** Builds the address of the page on which the user consents to more scopes. */
export function enhancementUrl(
  client: OAuthClient,
  {
    token,
    scopes,
    redirectUri,
    state,
  }: { token: Secret; scopes: readonly string[]; redirectUri: string; state: string },
): string {
  const { browser } = enhancementOf(client);
  const url = new URL(expand(client.definition, browser.url, { dc: client.dc, metadata: {} }));
  const parameters = {
    ...browser.parameters,
    client_id: client.clientId,
    redirect_uri: redirectUri,
    scope: joinScopes(client.definition, scopes),
    state,
    // The provider's page takes it there. It lives for minutes, and the user must consent.
    [browser.token]: token.reveal(),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

function enhancementOf({ definition }: OAuthClient) {
  if (definition.scopeEnhancement !== undefined) return definition.scopeEnhancement;
  throw new GrantryError('provider_misconfigured', `The provider ${definition.id} adds no scopes to a refresh token.`);
}
