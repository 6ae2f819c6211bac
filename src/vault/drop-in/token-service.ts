import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import { noSuchGrant } from '../grant/refusals.ts';
import { internalsOf, type VaultInternals } from '../internals.ts';
import type { Grant, Vault } from '../types.ts';
import { type ClientCredentials, checkCredentials, type GivenClient, makeMissingApp, trialOf } from './credentials.ts';
import {
  type CheckedFallback,
  checkFallback,
  type EnvironmentFallback,
  importFromEnvironment,
} from './env-fallback.ts';

export type { ClientCredentials } from './credentials.ts';
export type { EnvironmentFallback } from './env-fallback.ts';

/** What {@link OAuthTokenService} needs to know. */
export interface OAuthTokenServiceOptions {
  /** Imports a refresh token from the environment when this one tenant has no grant yet. */
  fallback?: EnvironmentFallback | undefined;
}

/** Tokens as {@link OAuthTokenService.storeTokens} takes them. */
export interface ServiceTokens {
  accessToken: string | Secret;
  refreshToken: string | Secret;
  /** Seconds from now until the access token ends. */
  expiresIn: number;
  scopes?: readonly string[] | undefined;
  /** `api_domain`, `dc`, `org_id` and what else is worth knowing; never a secret. */
  metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** A stored grant as existing code knows it, without its tokens. */
export interface TokenRecord {
  readonly id: string;
  /** The tenant. */
  readonly clientId: string;
  readonly provider: string;
  readonly account: string;
  /** When the access token ends; `null` while there is none. */
  readonly tokenExpiry: Date | null;
  readonly scopes: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly state: Grant['state'];
  readonly generation: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/**
 * The five calls of a token service that applications carry with them, over a vault.
 *
 * Use it to move existing code to a vault without touching its callers; new code calls the vault itself. In every call
 * `clientId` is the tenant; the account is `default`.
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
  readonly #fallback: CheckedFallback | null;

  /**
   * @param vault As `openVault` returns it.
   * @throws {GrantryError} `invalid_request` for another vault, or a fallback that names no tenant, provider or variable
   */
  constructor(vault: Vault, options: OAuthTokenServiceOptions = {}) {
    this.#vault = vault;
    this.#internals = internalsOf(vault);
    this.#fallback = checkFallback(options?.fallback);
  }

  /**
   * Returns an access token. It is refreshed first when it ends within 5 minutes; if that fails, the stored one is
   * returned as long as it lives.
   *
   * The credentials select the app by client id. When no app has it, an app `TENANT-PROVIDER` is made for this tenant
   * alone. Credentials that differ from what the grant refreshes with are tried with the next refresh and kept only when
   * the provider took them; refused ones are not tried again for 5 minutes, change nothing, and leave others alone.
   *
   * @param clientId The tenant.
   * @throws {GrantryError} `grant_not_found`, `provider_misconfigured` when the provider refuses the credentials,
   * `reauthorization_required`, `invalid_request`, and whatever `Vault.getAccessToken` throws
   *
   * @example
   * const tokens = new OAuthTokenService(vault);
   * const token = await tokens.getAccessToken('acme', 'zoho_crm', { clientId: '1000.ABC', clientSecret: 'from your store' });
   */
  async getAccessToken(clientId: string, provider: string, credentials: ClientCredentials): Promise<string> {
    const context = this.#internals.open();
    const key = checkKey({ tenant: clientId, provider });
    const given = await checkCredentials(credentials, () => context.providers.require(key.provider));
    const row = await this.#read(key);
    // The database is away: what is still trusted in memory can be handed out, and credentials cannot be looked at.
    if (row === undefined) return this.#handOut(key);
    if (lifeMs(row, context.world.now()) < context.times.serviceRefreshAheadMs) return this.#refreshed(key, row, given);
    if (row.app === null) await makeMissingApp(context, key, given);
    return this.#handOut(key);
  }

  /**
   * Stores tokens of a new authorization, as the grant's next generation. The app is the one that the grant had, else the
   * one whose credentials come with the first `getAccessToken`.
   *
   * @param clientId The tenant.
   * @throws {GrantryError} `invalid_request`, `not_found` for the provider, `storage_unavailable`, `vault_sealed`
   *
   * @example
   * const tokens = new OAuthTokenService(vault);
   * await tokens.storeTokens('acme', 'zoho_crm', { accessToken: '1000.a', refreshToken: '1000.r', expiresIn: 3600 });
   */
  async storeTokens(clientId: string, provider: string, tokens: ServiceTokens): Promise<void> {
    const context = this.#internals.open();
    const key = checkKey({ tenant: clientId, provider });
    if (tokens === null || typeof tokens !== 'object') {
      throw new GrantryError(
        'invalid_request',
        'The tokens must be an object { accessToken, refreshToken, expiresIn }.',
      );
    }
    const { accessToken, refreshToken, expiresIn, scopes, metadata } = tokens;
    if (accessToken === undefined || expiresIn === undefined) {
      throw new GrantryError('invalid_request', 'accessToken and expiresIn are missing.');
    }
    const { storeTokens } = await import('../grant/store-tokens.ts');
    const input = { accessToken, refreshToken, expiresIn, scopes, metadata };
    await storeTokens(context, key, input, { appLater: true });
    this.#internals.forget(key);
  }

  /**
   * Says whether a grant is stored, in whatever state; a disconnected one is not.
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
   * Describes a stored grant, without its tokens; `null` if there is none, or it was disconnected.
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
    const { id, account, scopes, metadata, state, generation, createdAt, updatedAt } = grant;
    return {
      id,
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
   * Ends a grant: its tokens are shredded and, unless `revoke` is false, revoked at the provider. Where there is none,
   * nothing happens. The environment never brings it back.
   *
   * @param clientId The tenant.
   * @throws {GrantryError} `invalid_request`, `storage_unavailable`
   *
   * @example
   * await new OAuthTokenService(vault).deleteToken('acme', 'zoho_crm', { revoke: false });
   */
  async deleteToken(clientId: string, provider: string, options: { revoke?: boolean } = {}): Promise<void> {
    const revoke = options?.revoke ?? true;
    if (typeof revoke !== 'boolean') throw new GrantryError('invalid_request', 'revoke is true or false.');
    try {
      await this.#vault.disconnect({ tenant: clientId, provider }, { revoke });
    } catch (error) {
      if (!isGrantryError(error, 'grant_not_found')) throw error;
    }
  }

  /** The grant's row; undefined when the database does not answer. */
  async #read(key: CheckedKey): Promise<GrantRow | undefined> {
    const context = this.#internals.open();
    try {
      let row = await findGrant(context.store.db, key);
      if (row === undefined && (await importFromEnvironment(context, this.#fallback, key))) {
        row = await findGrant(context.store.db, key);
      }
      if (row === undefined || row.state === 'disconnected') throw noSuchGrant(key);
      return row;
    } catch (error) {
      if (!isGrantryError(error, 'storage_unavailable')) throw error;
      return undefined;
    }
  }

  async #handOut(key: CheckedKey, options?: { minValidity: number }): Promise<string> {
    return (await this.#vault.getAccessToken(key, options)).accessToken;
  }

  async #refreshed(key: CheckedKey, row: GrantRow, given: GivenClient): Promise<string> {
    try {
      return await this.#refresh(key, row, given);
    } catch (error) {
      if (!isGrantryError(error)) throw error;
      const context = this.#internals.open();
      const now = await findGrant(context.store.db, key).catch(() => undefined);
      if (now === undefined || now.state === 'disconnected' || lifeMs(now, context.world.now()) <= 0) throw error;
      return this.#handOut(key, { minValidity: 0 }).catch(() => Promise.reject(error));
    }
  }

  async #refresh(key: CheckedKey, row: GrantRow, given: GivenClient): Promise<string> {
    const { open, handOut, refusedTrials } = this.#internals;
    const context = open();
    const minValidity = context.times.serviceRefreshAheadMs / 1_000;
    const trial = await trialOf(context, row, given);
    if (trial === undefined) return this.#handOut(key, { minValidity });
    const name = `${row.id}\0${row.generation}\0${trial.name}`;
    const refused = refusedTrials.get(name);
    if (refused !== undefined && context.world.monotonic() < refused.untilMs) throw refused.error;
    try {
      return (await handOut.get(key, { minValidity, trial })).accessToken;
    } catch (error) {
      if (isGrantryError(error, 'reauthorization_required') && trial.sameApp) {
        // The secret is not what was refused. What the stored one is told decides about the grant.
        return this.#handOut(key, { minValidity });
      }
      if (isGrantryError(error, 'reauthorization_required') || isGrantryError(error, 'provider_misconfigured')) {
        refusedTrials.set(name, { error, untilMs: context.world.monotonic() + context.times.refusedTrialMs });
      }
      throw error;
    }
  }
}

/** How long the stored access token lives from now; 0 or less when there is none. */
function lifeMs(row: GrantRow, now: number): number {
  return row.access_token === null || row.token_expiry === null ? 0 : Date.parse(row.token_expiry) - now;
}
