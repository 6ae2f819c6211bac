/** The vault's interface over HTTP. Start at {@link createClient}. */
import { invalidRequest } from '../base/errors.ts';
import { isPrivateUrl } from '../base/network/loopback.ts';
import { Secret } from '../base/secret.ts';
import { systemWorld } from '../base/system-world.ts';
import type { World } from '../base/world.ts';
import { type GrantryClient, RemoteVault } from './client.ts';

export { errorCodes, GrantryError, type GrantryErrorCode, isGrantryError } from '../base/errors.ts';
export type { GrantKey } from '../base/ids.ts';
export { Secret } from '../base/secret.ts';
export type { World, WorldRequest } from '../base/world.ts';
export type { ProviderDefinition } from '../providers/definition.ts';
export type {
  Completion,
  ConnectSession,
  ConnectSessionInput,
  ConnectSessionPage,
  NewConnectSession,
} from '../schemas/connect-session.ts';
export type * from '../vault/types.ts';
export type { GrantryClient } from './client.ts';

/** Options of {@link createClient}. */
export interface ClientOptions {
  /** The address of the server, such as `https://grants.example`. */
  url: string;
  /** An API key of that server: `gry_…`. */
  apiKey: string | Secret;
  /** Clock, dice, sleep and network; the real ones when left out. */
  world?: World | undefined;
}

/**
 * Opens the vault behind a Grantry server. It has the interface of a vault that `openVault` opened; what a key may not do is
 * `forbidden`.
 *
 * `authorize`, `completeAuthorization` and `redeemCode` are `invalid_request`: browsers connect through
 * `connectSessions`.
 *
 * @throws {GrantryError} `invalid_request` for a URL or a key that cannot be one
 *
 * @example
 * import { createClient } from 'grantry/client';
 * const vault = createClient({ url: 'https://grants.example', apiKey: 'gry_…' });
 * const token = await vault.getAccessToken({ tenant: 'acme', provider: 'zoho_crm' });
 */
export function createClient(options: ClientOptions): GrantryClient {
  const { apiKey, world = systemWorld({ allowLoopback: true, anywhere: true }) } = options;
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (url === undefined || !isPrivateUrl(url) || url.search !== '' || url.hash !== '') {
    throw invalidRequest('The URL of the server must be https, or http on a loopback address.');
  }
  if (apiKey === '' || !(typeof apiKey === 'string' || apiKey instanceof Secret)) {
    throw invalidRequest('The API key is missing.', {
      action: 'Pass a key of that server as apiKey.',
    });
  }
  const key = typeof apiKey === 'string' ? new Secret(apiKey) : apiKey;
  return new RemoteVault(world, { url: url.href.replace(/\/+$/, ''), apiKey: key });
}
