import { expand } from '../providers/expand.ts';
import type { OAuthClient } from './types.ts';

export type EndpointName = 'authorization' | 'token' | 'revocation' | 'revocationLegacy';

/**
 * The provider's endpoint for this data centre, from the stored definition and from nothing else (no grant's metadata,
 * no callback parameter may move it); `null` when the provider has none.
 *
 * Definitions are checked for https when they are stored, so this does not ask again.
 *
 * @throws {GrantryError} `provider_misconfigured` when the data centre lacks the host.
 */
export function endpointOf(client: OAuthClient, name: EndpointName): string | null {
  const template = client.definition.endpoints?.[name];
  return template === undefined ? null : expand(client.definition, template, { dc: client.dc, metadata: {} });
}
