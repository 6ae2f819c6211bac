import { GrantryError } from '../../base/errors.ts';
import type { GetAccessTokenOptions, Vault } from '../types.ts';

/** A tenant's token together with where it is good. */
export interface ClientToken {
  readonly accessToken: string;
  readonly tokenType: string;
  readonly expiresAt: Date;
  readonly scopes: readonly string[];
  /** The origin that API paths are appended to, such as `https://www.zohoapis.eu`; `null` where the provider has none. */
  readonly apiDomain: string | null;
  /** The data centre, such as `eu`; `null` where the provider has none. */
  readonly dc: string | null;
  readonly generation: number;
}

/** What {@link MultiDCTokenManager.getClientToken} may be asked besides. */
export interface ClientTokenOptions extends GetAccessTokenOptions {
  /** `default` when left out. */
  account?: string | undefined;
}

/**
 * Tokens for tenants in many data centres, for code written against one manager for all of its clients.
 *
 * Use it where a program makes its API calls itself and must know the host; `Vault.fetch` finds the host on its own.
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
    if (typeof vault?.getAccessToken !== 'function') {
      throw new GrantryError('invalid_request', 'A vault is needed here, as openVault returns it.');
    }
    this.#vault = vault;
  }

  /**
   * Returns a token that is good for at least `minValidity` seconds (default 60), and where it is good.
   *
   * @param tenant The client whose token is wanted.
   * @param provider `zoho` when left out.
   * @throws {GrantryError} whatever `Vault.getAccessToken` throws
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
    return { accessToken, tokenType, expiresAt, scopes, apiDomain, dc, generation };
  }

  /** What an answer did not say, the provider's definition does. */
  async #apiHost(provider: string, dc: string | null): Promise<string | null> {
    const definition = await this.#vault.providers.get(provider);
    const host = dc === null ? definition?.api.hosts[0] : definition?.dataCenters?.[dc]?.['api'];
    return host ?? null;
  }
}
