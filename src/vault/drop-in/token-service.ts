import { nameCallers } from '../../base/callers-line.ts';
import { GrantryError, invalidRequest, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import { checkMembers } from '../check-options.ts';
import { missingGrant } from '../grant/missing.ts';
import { noSuchGrant } from '../grant/refusals.ts';
import { internalsOf, type VaultInternals } from '../internals.ts';
import type { Grant, Vault } from '../types.ts';
import {
  bindMissingApp,
  type CheckedClient,
  type ClientCredentials,
  candidateClientOf,
  checkCredentials,
} from './credentials.ts';
import {
  type CheckedFallback,
  checkFallbacks,
  type EnvironmentFallback,
  fallbackHint,
  importFromEnvironment,
} from './env-fallback.ts';

export type { ClientCredentials } from './credentials.ts';
export type { EnvironmentFallback } from './env-fallback.ts';

/** Options of {@link OAuthTokenService}. */
export interface OAuthTokenServiceOptions {
  /**
   * Imports a refresh token from the environment if the named tenant has no grant yet. A list binds it to several
   * providers: one token may serve several products.
   */
  fallback?: EnvironmentFallback | readonly EnvironmentFallback[] | undefined;
}

/** Input of {@link OAuthTokenService.storeTokens}. */
export interface ServiceTokens {
  accessToken: string | Secret;
  /** Without it, the stored refresh token stays: some providers send none when a user consents again. */
  refreshToken?: string | Secret | undefined;
  /** Seconds until the access token expires. */
  expiresIn: number;
  /** A list, or a text separated by commas or spaces. */
  scopes?: string | readonly string[] | undefined;
  /** `api_domain`, `dc`, `org_id` and other facts about the grant; never a secret. */
  metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** A stored grant without its tokens, in the shape that existing token services return. */
export interface TokenRecord
  extends Pick<
    Grant,
    'provider' | 'account' | 'scopes' | 'metadata' | 'state' | 'generation' | 'createdAt' | 'updatedAt'
  > {
  readonly id: string;
  /** The tenant. */
  readonly clientId: string;
  /** Expiry of the access token; `null` if there is none. */
  readonly tokenExpiry: Date | null;
}

/**
 * A vault behind the five calls of a common in-application token service.
 *
 * Use it to move existing code to a vault without changes to its callers; new code should call the vault directly. In
 * every call `clientId` is the tenant, and the account is `default`.
 *
 * @example
 * import { OAuthTokenService, openVault } from 'grantry';
 *
 * await using vault = await openVault();
 * const tokens = new OAuthTokenService(vault, { fallback: { tenant: 'acme', provider: 'zoho_crm' } });
 * const credentials = { clientId: '1000.ABC', clientSecret: process.env['ZOHO_CLIENT_SECRET'] ?? '' };
 * const accessToken = await tokens.getAccessToken('acme', 'zoho_crm', credentials);
 */
export class OAuthTokenService {
  readonly #vault: Vault;
  readonly #internals: VaultInternals;
  readonly #fallbacks: readonly CheckedFallback[];

  /**
   * @param vault A vault from `openVault`.
   * @throws {GrantryError} `invalid_request` for any other vault, or a fallback with an invalid tenant, provider or variable
   */
  constructor(vault: Vault, options: OAuthTokenServiceOptions = {}) {
    this.#vault = vault;
    this.#internals = internalsOf(vault);
    if (options !== undefined && options !== null) checkMembers('OAuthTokenService', options, ['fallback']);
    this.#fallbacks = checkFallbacks(options?.fallback);
  }

  /**
   * Returns an access token. A token that expires within 5 minutes is refreshed first; if the refresh fails, the stored
   * token is returned until it expires.
   *
   * The client id selects the app. If no app has this client id, an app `TENANT-PROVIDER` is created for this tenant only.
   * Credentials that differ from the stored ones are used for the next refresh, and stored only if the provider accepts
   * them. Refused credentials change nothing, affect no other caller, and are not tried again for 5 minutes.
   *
   * @param clientId The tenant.
   * @throws {GrantryError} `grant_not_found`, `provider_misconfigured` if the provider refuses the credentials,
   * `reauthorization_required`, `invalid_request`, and every error of `Vault.getAccessToken`
   *
   * @example
   * const tokens = new OAuthTokenService(vault);
   * const token = await tokens.getAccessToken('acme', 'zoho_crm', { clientId: '1000.ABC', clientSecret: 'from your store' });
   */
  async getAccessToken(clientId: string, provider: string, credentials: ClientCredentials): Promise<string> {
    const context = this.#internals.open();
    const key = checkKey({ tenant: clientId, provider });
    const client = await checkCredentials(credentials, () => context.providers.require(key.provider));
    const row = await this.#read(key);
    // The database is unavailable. A cached token may still be trusted; the credentials cannot be compared.
    if (row === undefined) return this.#handOut(key);
    const isGood = lifeMs(row, context.world.now()) >= context.times.serviceRefreshAheadMs;
    // Before a refresh, only a known client is bound: the refresh tries a new one first.
    const bound = await bindMissingApp(context, row, client, isGood);
    return isGood ? this.#handOut(key) : this.#refreshOrStored(key, bound, client);
  }

  /**
   * Stores tokens of a new authorization as the grant's next generation. The grant keeps its app; a new grant gets the app
   * that the credentials of the first `getAccessToken` select. A refresh token that the grant has had before changes
   * nothing, as in `Vault.storeTokens`.
   *
   * @param clientId The tenant.
   * @throws {GrantryError} `invalid_request`, also for a token of a deleted grant; `authorization_failed` if there is no
   * refresh token, and none is stored; `not_found` for the provider, `storage_unavailable`, `vault_sealed`
   *
   * @example
   * const tokens = new OAuthTokenService(vault);
   * await tokens.storeTokens('acme', 'zoho_crm', { accessToken: '1000.a', refreshToken: '1000.r', expiresIn: 3600 });
   */
  async storeTokens(clientId: string, provider: string, tokens: ServiceTokens): Promise<void> {
    const context = this.#internals.open();
    const key = checkKey({ tenant: clientId, provider });
    if (tokens === null || typeof tokens !== 'object') {
      throw invalidRequest('The tokens must be an object { accessToken, refreshToken, expiresIn }.');
    }
    const { accessToken, refreshToken, expiresIn, scopes, metadata } = tokens;
    if (accessToken === undefined || expiresIn === undefined) {
      throw invalidRequest('accessToken and expiresIn are missing.');
    }
    const { handIn } = await import('../grant/store-tokens.ts');
    const names = typeof scopes === 'string' ? scopes.split(/[\s,]+/).filter((name) => name !== '') : scopes;
    const input = { accessToken, refreshToken, expiresIn, scopes: names, metadata };
    await handIn(context, key, input, { appLater: true });
    this.#internals.forget(key);
  }

  /**
   * Tells whether a grant is stored, in any state except `disconnected`.
   *
   * @param clientId The tenant.
   * @throws {GrantryError} `invalid_request`, `storage_unavailable`
   *
   * @example
   * const connected = await new OAuthTokenService(vault).hasToken('acme', 'zoho_crm');
   */
  async hasToken(clientId: string, provider: string): Promise<boolean> {
    return (await this.getTokenRecord(clientId, provider)) !== null;
  }

  /**
   * Returns a stored grant without its tokens, or `null` if there is none or it was disconnected.
   *
   * @param clientId The tenant.
   * @throws {GrantryError} `invalid_request`, `storage_unavailable`
   *
   * @example
   * const record = await new OAuthTokenService(vault).getTokenRecord('acme', 'zoho_crm');
   * if (record?.state === 'reauthorization_required') askToConnectAgain();
   */
  async getTokenRecord(clientId: string, provider: string): Promise<TokenRecord | null> {
    const grant = await this.#vault.grants.get({ tenant: clientId, provider });
    if (grant === null || grant.state === 'disconnected') return null;
    const { account, scopes, metadata, state, generation, createdAt, updatedAt } = grant;
    const row = await findGrant(this.#internals.open().store.db, grant);
    if (row === undefined) return null;
    return {
      id: row.id,
      clientId: grant.tenant,
      provider: grant.provider,
      account,
      tokenExpiry: grant.expiresAt,
      scopes,
      metadata,
      state,
      generation,
      createdAt,
      updatedAt,
    };
  }

  /**
   * Ends a grant: its tokens are shredded and, unless `revoke` is false, revoked at the provider. Does nothing if there is
   * no grant. The environment fallback never restores a deleted grant.
   *
   * @param clientId The tenant.
   * @throws {GrantryError} `invalid_request`, `storage_unavailable`
   *
   * @example
   * await new OAuthTokenService(vault).deleteToken('acme', 'zoho_crm', { revoke: false });
   */
  async deleteToken(clientId: string, provider: string, options: { revoke?: boolean } = {}): Promise<void> {
    const revoke = options?.revoke ?? true;
    if (typeof revoke !== 'boolean') throw invalidRequest('The option revoke must be true or false.');
    try {
      await this.#vault.disconnect({ tenant: clientId, provider }, { revoke });
    } catch (error) {
      // A provider that does not exist has no grant either.
      if (!isGrantryError(error, 'grant_not_found') && !isGrantryError(error, 'not_found')) throw error;
    }
  }

  /** Reads the grant's row, or returns undefined while the database is unavailable. */
  async #read(key: CheckedKey): Promise<GrantRow | undefined> {
    const context = this.#internals.open();
    try {
      let row = await this.#internals.handOut.askIfHeld(key, () => findGrant(context.store.db, key));
      if (row === undefined && (await importFromEnvironment(context, this.#fallbacks, key))) {
        row = await findGrant(context.store.db, key);
      }
      if (row === undefined) throw await this.#missing(key);
      if (row.state === 'disconnected') throw noSuchGrant(key);
      return row;
    } catch (error) {
      if (!isGrantryError(error, 'storage_unavailable')) throw error;
      return undefined;
    }
  }

  async #missing(key: CheckedKey): Promise<GrantryError> {
    const error = await missingGrant(this.#internals.open(), key);
    const hint = error.code === 'grant_not_found' ? fallbackHint(this.#fallbacks, key) : null;
    if (hint === null) return error;
    const action = `${error.action}. ${hint}`;
    return new GrantryError(error.code, error.message, { action });
  }

  async #handOut(key: CheckedKey, options?: { minValidity: number }): Promise<string> {
    return (await this.#vault.getAccessToken(key, options)).accessToken;
  }

  /** Refreshes, and falls back to a stored token that still lives. */
  async #refreshOrStored(key: CheckedKey, row: GrantRow, client: CheckedClient): Promise<string> {
    try {
      return await this.#refresh(key, row, client);
    } catch (error) {
      if (!isGrantryError(error)) throw error;
      const context = this.#internals.open();
      const current = await findGrant(context.store.db, key).catch(() => undefined);
      if (current === undefined || current.state === 'disconnected') throw error;
      if (lifeMs(current, context.world.now()) <= 0) throw error;
      return this.#handOut(key, { minValidity: 0 }).catch(() => Promise.reject(error));
    }
  }

  async #refresh(key: CheckedKey, row: GrantRow, client: CheckedClient): Promise<string> {
    const { open, handOut, refusedClients } = this.#internals;
    const context = open();
    const minValidity = context.times.serviceRefreshAheadMs / 1_000;
    const candidateClient = await candidateClientOf(context, row, client);
    if (candidateClient === undefined) return this.#handOut(key, { minValidity });
    const name = `${row.id}\0${row.generation}\0${candidateClient.name}`;
    const refused = refusedClients.get(name);
    if (refused !== undefined && context.world.monotonic() < refused.untilMs) throw refused.error;
    try {
      return (await handOut.get(key, { minValidity, candidateClient })).accessToken;
    } catch (error) {
      if (isGrantryError(error, 'reauthorization_required') && candidateClient.sameApp) {
        // The provider refused the grant, not the secret. The outcome with the stored secret decides about the grant.
        return this.#handOut(key, { minValidity });
      }
      if (isGrantryError(error, 'reauthorization_required') || isGrantryError(error, 'provider_misconfigured')) {
        refusedClients.set(name, { error, untilMs: context.world.monotonic() + context.times.refusedTrialMs });
      }
      throw error;
    }
  }
}

nameCallers(OAuthTokenService.prototype);

/** Returns the remaining life of the stored access token; 0 or less if there is none or it has expired. */
function lifeMs(row: GrantRow, now: number): number {
  return row.access_token === null || row.token_expiry === null ? 0 : Date.parse(row.token_expiry) - now;
}
