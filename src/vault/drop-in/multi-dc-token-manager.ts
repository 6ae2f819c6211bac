import { nameCallers } from '../../base/callers-line.ts';
import { invalidRequest } from '../../base/errors.ts';
import { checkVault } from '../checks.ts';
import type { AccessToken, GetAccessTokenOptions, Vault } from '../types.ts';

/** A tenant's token, with its API origin and data centre. */
export interface ClientToken extends Omit<AccessToken, 'apiDomain' | 'dc'> {
  /** Origin for API paths, such as `https://www.zohoapis.eu`; `null` if the provider has none. */
  readonly apiDomain: string | null;
  /** Data centre, such as `eu`; `null` if the provider has none. */
  readonly dc: string | null;
}

/** Options of {@link MultiDCTokenManager.getClientToken}. */
export interface ClientTokenOptions extends GetAccessTokenOptions {
  /** The account; `default` by default. */
  account?: string | undefined;
}

/**
 * A token manager for tenants in many data centres, for new code that uses one manager for all of its clients. Code that keeps
 * tokens by hand moves to the class of this name in `grantry/zoho`, which takes the credentials of all clients.
 *
 * Use it if a program makes its API calls itself and must know the host; `Vault.fetch` determines the host on its own.
 *
 * @example
 * import { MultiDCTokenManager, openVault } from 'grantry';
 *
 * await using vault = await openVault();
 * const { accessToken, apiDomain } = await new MultiDCTokenManager(vault).getClientToken('acme');
 * await fetch(`${apiDomain}/crm/v8/org`, { headers: { authorization: `Zoho-oauthtoken ${accessToken}` } });
 */
export class MultiDCTokenManager {
  readonly #vault: Vault;

  /** @throws {GrantryError} `invalid_request` without a vault */
  constructor(vault: Vault) {
    this.#vault = checkVault(vault, 'MultiDCTokenManager');
  }

  /**
   * Returns a token that is valid for at least `minValidity` seconds (default 60), with its API origin and data centre.
   *
   * @param tenant The client that the token belongs to.
   * @param provider The provider's id; `zoho` by default.
   * @throws {GrantryError} Every error of `Vault.getAccessToken`.
   *
   * @example
   * const { accessToken, apiDomain, dc } = await new MultiDCTokenManager(vault).getClientToken('acme', 'zoho_crm');
   */
  async getClientToken(tenant: string, provider = 'zoho', options: ClientTokenOptions = {}): Promise<ClientToken> {
    const { account, minValidity } = options ?? {};
    const key = { tenant, provider, account };
    const token = await this.#vault.getAccessToken(key, { minValidity });
    const grant = await this.#vault.grants.get(key);
    const dc = grant?.dc ?? null;
    const { accessToken, tokenType, expiresAt, scopes, generation } = token;
    const apiDomain = token.apiDomain ?? grant?.apiDomain ?? (await this.#apiHost(provider, dc));
    return refusingText({ accessToken, tokenType, expiresAt, scopes, apiDomain, dc, generation });
  }

  /**
   * Returns a token that replaces the current one, after an API refused it. If the grant's own API accepts the current
   * token, that one is returned.
   *
   * @param tenant The client that the token belongs to.
   * @param provider The provider's id; `zoho` by default.
   * @throws {GrantryError} Every error of `Vault.rejectAccessToken`.
   *
   * @example
   * const { accessToken } = await new MultiDCTokenManager(vault).forceRefresh('acme', 'zoho_crm');
   */
  async forceRefresh(tenant: string, provider = 'zoho', options: ClientTokenOptions = {}): Promise<ClientToken> {
    const { account, minValidity } = options ?? {};
    const key = { tenant, provider, account };
    const { generation } = await this.#vault.getAccessToken(key, { minValidity: 0 });
    await this.#vault.rejectAccessToken(key, generation, { minValidity });
    return this.getClientToken(tenant, provider, options);
  }

  /** Takes the API origin from the provider's definition, for grants whose token answers did not contain it. */
  async #apiHost(provider: string, dc: string | null): Promise<string | null> {
    const definition = await this.#vault.providers.get(provider);
    const host = dc === null ? definition?.api.hosts[0] : definition?.dataCenters?.[dc]?.['api'];
    return host ?? null;
  }
}

nameCallers(MultiDCTokenManager.prototype);

/**
 * Makes a token refuse to become text. As a string it would be `[object Object]` in a header, and the real token would end
 * in logs.
 */
function refusingText(token: ClientToken): ClientToken {
  return Object.defineProperty(token, Symbol.toPrimitive, {
    value: () => {
      throw invalidRequest('A client token is an object, not a text.', { action: 'Write token.accessToken.' });
    },
  });
}
