import { GrantryError, invalidRequest } from '../../base/errors.ts';
import type { Vault } from '../../vault/types.ts';
import { withResponse } from './error-response.ts';
import { tenantNamed } from './given-grant.ts';
import { ZohoTokenManager } from './token-manager.ts';
import { getZohoUrls, type ZohoUrls } from './urls.ts';

/** The credentials of one client. Without them, the grant of the client's name must be stored. */
export interface ZohoClientConfig {
  /** `com` by default. */
  dc?: string | undefined;
  clientId?: string | undefined;
  clientSecret?: string | undefined;
  refreshToken?: string | undefined;
  /** The organisation's id, for products that want one with each call. */
  orgId?: string | undefined;
}

/**
 * Token managers for several Zoho clients, with the constructor of hand-written ones. The name of each client is its tenant
 * in the vault; a name that cannot be one becomes its letters and digits with a hash.
 *
 * @example
 * const clients = new MultiDCTokenManager({
 *   acme: { dc: 'com', clientId: '1000.A', clientSecret: 'secret', refreshToken: '1000.…' },
 *   umbrella: { dc: 'eu', clientId: '1000.B', clientSecret: 'secret', refreshToken: '1000.…' },
 * });
 * const token = await clients.getClientToken('umbrella');
 */
export class MultiDCTokenManager {
  /** The manager of each client, by name. */
  readonly managers: Readonly<Record<string, ZohoTokenManager>>;

  /** @throws {GrantryError} `invalid_request` if the configuration is no object of objects */
  constructor(
    clientConfigs: Readonly<Record<string, ZohoClientConfig>>,
    options: { provider?: string | undefined; vault?: Vault | undefined } = {},
  ) {
    if (typeof clientConfigs !== 'object' || clientConfigs === null) {
      throw invalidRequest(
        'The configuration must be an object { name: { dc, clientId, clientSecret, refreshToken } }.',
      );
    }
    this.managers = Object.fromEntries(
      Object.entries(clientConfigs).map(([name, config]) => [name, managerOf(name, config, options)]),
    );
  }

  /**
   * Returns a client's access token; see {@link ZohoTokenManager.getAccessToken}.
   *
   * @throws {GrantryError} with `response`: `not_found` for a name that was not configured
   *
   * @example
   * const clients = new MultiDCTokenManager({ acme: {} });
   * const headers = { Authorization: `Zoho-oauthtoken ${await clients.getClientToken('acme')}` };
   */
  async getClientToken(name: string): Promise<string> {
    return this.#manager(name).getAccessToken();
  }

  /**
   * Replaces a client's token; see {@link ZohoTokenManager.forceRefresh}.
   *
   * @throws {GrantryError} with `response`: `not_found` for a name that was not configured
   *
   * @example
   * const token = await new MultiDCTokenManager({ acme: {} }).forceRefresh('acme');
   */
  async forceRefresh(name: string): Promise<string> {
    return this.#manager(name).forceRefresh();
  }

  /**
   * Returns the addresses of a data centre; see {@link getZohoUrls}.
   *
   * @example
   * const { tokenUrl } = new MultiDCTokenManager({}).getZohoUrls('eu');
   */
  getZohoUrls(dc: string): ZohoUrls {
    return getZohoUrls(dc);
  }

  #manager(name: string): ZohoTokenManager {
    const manager = Object.hasOwn(this.managers, name) ? this.managers[name] : undefined;
    if (manager !== undefined) return manager;
    // The words of hand-written managers, for handlers that compare them.
    const message = `No token manager for client: ${name}`;
    throw withResponse(
      new GrantryError('not_found', message, {
        action: `Use one of ${Object.keys(this.managers).join(', ')}.`,
      }),
    );
  }
}

function managerOf(
  name: string,
  config: ZohoClientConfig,
  options: { provider?: string | undefined; vault?: Vault | undefined },
): ZohoTokenManager {
  const { clientId, clientSecret, refreshToken, dc, orgId } = config ?? {};
  const grant = { ...options, tenant: tenantNamed(name), orgId };
  return new ZohoTokenManager(clientId, clientSecret, refreshToken, dc, grant);
}
