import { createHash } from 'node:crypto';
import { GrantryError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { joinScopes } from '../providers/scopes.ts';
import { endpointOf } from './endpoints.ts';
import type { OAuthClient } from './types.ts';

export interface AuthorizationRequest {
  readonly redirectUri: string;
  /** Holds 256 random bits; the provider returns it in the callback. */
  readonly state: string;
  /** The app's own switch; the definition's when left out. */
  readonly pkce?: ProviderDefinition['pkce'] | undefined;
  /** The PKCE verifier; `null` only when PKCE is off. */
  readonly codeVerifier: Secret | null;
  readonly scopes: readonly string[];
}

/**
 * Builds the URL for the user's browser (RFC 6749 section 4.1.1, with the challenge of RFC 7636 section 4.3).
 *
 * The verifier itself is never sent: the URL contains its SHA-256. The definition's own parameters come first and
 * cannot replace a parameter of the protocol.
 *
 * @throws {GrantryError} `provider_misconfigured` when the provider has no authorization endpoint.
 * @example
 * const url = authorizationUrl(client, { redirectUri, state, codeVerifier, scopes: ['ZohoCRM.modules.READ'] });
 */
export function authorizationUrl(client: OAuthClient, request: AuthorizationRequest): string {
  const { definition } = client;
  const endpoint = endpointOf(client, 'authorization');
  if (endpoint === null) {
    throw new GrantryError('provider_misconfigured', `The provider ${definition.id} has no authorization endpoint.`, {
      action: "Add endpoints.authorization to the provider's definition.",
    });
  }
  const url = new URL(endpoint);
  for (const [name, value] of Object.entries(definition.authorizationParameters)) url.searchParams.set(name, value);
  const parameters: Record<string, string> = {
    response_type: 'code',
    client_id: client.clientId,
    redirect_uri: request.redirectUri,
    state: request.state,
  };
  if (request.scopes.length > 0) parameters['scope'] = joinScopes(definition, request.scopes);
  if (request.codeVerifier !== null) {
    parameters['code_challenge'] = createHash('sha256').update(request.codeVerifier.reveal()).digest('base64url');
    parameters['code_challenge_method'] = 'S256';
  } else if ((request.pkce ?? definition.pkce) !== 'off') {
    throw new GrantryError('internal', `The authorization request for ${definition.id} needs a code verifier.`);
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}
