import { expand } from '../providers/expand.ts';
import type { OAuthClient } from './types.ts';

export type EndpointName = 'authorization' | 'token' | 'revocation' | 'revocationLegacy';

/**
 * Returns the provider's endpoint for this data centre; `null` when the provider has none.
 *
 * It only comes from the stored definition: no grant's metadata and no callback parameter may change it. Definitions
 * are checked for https when they are stored, so the endpoint is not checked again.
 *
 * @throws {GrantryError} `provider_misconfigured` when the data centre lacks the host.
 */
export function endpointOf(client: OAuthClient, name: EndpointName): string | null {
  const template = client.definition.endpoints?.[name];
  return template === undefined ? null : expand(client.definition, template, { dc: client.dc, metadata: {} });
}
