import type { GrantKey } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Meter } from '../base/meter.ts';
import type { Secret } from '../base/secret.ts';
import type { Tracer } from '../base/tracer.ts';
import type { World } from '../base/world.ts';
import type { ProviderDefinition, ProviderDefinitionInput } from '../providers/definition.ts';
import type {
  AccessToken,
  AdoptReport,
  ApiKey,
  ApiKeyInput,
  App,
  AppInput,
  AuthorizeInput,
  Disconnected,
  GetAccessTokenOptions,
  Grant,
  GrantFilter,
  GrantPage,
  HealthReport,
  RecoverReport,
  StoredTokens,
  TokensInput,
  VaultEvent,
  VaultRequest,
} from './records.ts';

export type {
  AccessToken,
  AdoptReport,
  ApiKey,
  ApiKeyInput,
  ApiKeyRole,
  App,
  AppInput,
  AuthorizeInput,
  Disconnected,
  GetAccessTokenOptions,
  Grant,
  GrantFilter,
  GrantPage,
  HealthReport,
  RecoverReport,
  StoredTokens,
  TokensInput,
  VaultEvent,
  VaultEventType,
  VaultRequest,
} from './records.ts';

/**
 * The options of {@link openVault}. Each has a default; a member that is not listed here is `invalid_request`.
 *
 * Options win over the environment variables named here, and variables win over defaults.
 */
export interface VaultOptions {
  /** `false` refuses to make a new vault, with `not_found`. `GRANTRY_CREATE` (`on`, `off`), else `true`. */
  create?: boolean | undefined;
  /** `sqlite:PATH` or `postgres://USER@HOST/NAME`. `GRANTRY_DATABASE`, else `grantry.db` in the home. */
  database?: string | undefined;
  /** `file:PATH`, `env:NAME`, `fd:N` or `command:PROGRAM ARGS`. `GRANTRY_ROOT_KEY`, else `root.key` in the home. */
  rootKey?: string | undefined;
  /** The directory of the spool and of this installation's identity. `GRANTRY_HOME`, else `~/.grantry`. */
  home?: string | undefined;
  /**
   * The directory for answers of providers until they are committed. It must survive a restart. `GRANTRY_SPOOL`, else
   * `spool` in the home.
   */
  spool?: string | undefined;
  /** `true` takes over an `oauth_tokens` table that another program made. Without it such a table is refused. */
  takeOver?: boolean | undefined;
  /** Called during a take-over, after each batch of sealed rows. */
  onTakeOver?: ((progress: { readonly sealed: number; readonly total: number }) => void) | undefined;
  /** Provider definitions besides the built-in and the stored ones. */
  providers?: readonly ProviderDefinitionInput[] | undefined;
  /** Gets what an operator should read. Without one, only a new vault is announced, as a process warning. */
  logger?: Logger | undefined;
  /** Counts refreshes, waits and provider calls. */
  meter?: Meter | undefined;
  /** Gets a span for each refresh and provider call. */
  tracer?: Tracer | undefined;
  /** Called after each committed state change, in this process only. An error that it throws is logged. */
  onEvent?: ((event: VaultEvent) => void) | undefined;
  /** Clock, random numbers, sleep and network, for tests. Without it, the real ones. */
  world?: World | undefined;
  /** `off` refuses a database whose schema is behind, for roles without DDL. `GRANTRY_MIGRATE`, else `auto`. */
  migrate?: 'auto' | 'off' | undefined;
  /** A name such as `production`, recorded at the first start. `GRANTRY_INSTALLATION`. */
  installation?: string | undefined;
  /** The reason why `http://` and loopback providers are allowed. Only for tests and local simulators. */
  unsafeAllowLoopbackProviders?: string | undefined;
  /** The longest time that a caller waits, in milliseconds (default 30,000). */
  callerWaitMs?: number | undefined;
  /** How long tokens are handed out from memory while the database is down, in milliseconds (default 300,000). */
  staleHandOutMs?: number | undefined;
  /**
   * Days for which the tokens of a grant that needs re-authorization are kept for {@link Vault.recover}: 1 to 3,650.
   * `GRANTRY_CONDEMNED_KEPT_DAYS`, else 30.
   */
  condemnedKeptDays?: number | undefined;
  /** `false` refreshes only while a caller waits, never in the background. For programs that end after one call. */
  backgroundRefresh?: boolean | undefined;
  /** The most connections to PostgreSQL (default 10). */
  poolMax?: number | undefined;
}

/**
 * A vault, as `openVault` returns it. Every method throws {@link GrantryError}; decide by its `code`.
 *
 * `storage_unavailable`, `vault_sealed` and, after {@link Vault.close}, `invalid_request` are possible in every call.
 */
export interface Vault extends AsyncDisposable {
  /** The client registrations that providers gave to your program. Secrets go in and never come out. */
  readonly apps: {
    /**
     * Makes an app or replaces it. Call it at set-up, and when a secret changes; without a secret, the stored ones stay.
     *
     * @param name 1 to 128 of `a-z A-Z 0-9 . _ @ : -`
     * @throws {GrantryError} `invalid_request` for input that is not valid, `not_found` for an unknown provider
     *
     * @example
     * await vault.apps.put('crm', { provider: 'zoho_crm', clientId: '1000.ABC', clientSecret: 'secret', dc: 'eu' });
     */
    put(name: string, app: AppInput): Promise<App>;
    /**
     * Returns one app without its secrets, or null.
     *
     * @example
     * const scopes = (await vault.apps.get('crm'))?.scopes;
     */
    get(name: string): Promise<App | null>;
    /**
     * Returns all apps without their secrets.
     *
     * @example
     * const names = (await vault.apps.list()).map((app) => app.name);
     */
    list(): Promise<readonly App[]>;
    /**
     * Removes an app that no grant uses.
     *
     * @throws {GrantryError} `invalid_request` while grants use it, `not_found`
     *
     * @example
     * await vault.apps.remove('old-crm');
     */
    remove(name: string): Promise<void>;
  };
  /** Grants without their tokens: for lists, dashboards and checks. */
  readonly grants: {
    /**
     * Returns one grant, or null for a tenant that never connected. A disconnected grant is still returned.
     *
     * @example
     * const connected = (await vault.grants.get(key))?.state === 'active';
     */
    get(key: GrantKey): Promise<Grant | null>;
    /**
     * Returns one page of grants, ordered by tenant, provider and account.
     *
     * @param filter `limit` is the size of a page, 1 to 500 (default 100); `cursor` is `next` of the page before
     * @throws {GrantryError} `invalid_request` for a filter that is not valid
     *
     * @example
     * const { items, next } = await vault.grants.list({ state: 'reauthorization_required' });
     */
    list(filter?: GrantFilter): Promise<GrantPage>;
  };
  /** The catalogue of providers: the built-in ones and your own. */
  readonly providers: {
    /**
     * Adds or replaces a custom provider. An `issuer` is asked once for its endpoints, which are then stored.
     *
     * @param definition A JSON object in the form of docs/providers.md
     * @throws {GrantryError} `invalid_request` for a definition that is not valid or takes a built-in id
     *
     * @example
     * await vault.providers.put({
     *   id: 'example',
     *   endpoints: { token: 'https://as.example/token' },
     *   api: { hosts: ['https://api.example'] },
     * });
     */
    put(definition: unknown): Promise<ProviderDefinition>;
    /**
     * Returns the definition of one provider, or null.
     *
     * @example
     * const rotation = (await vault.providers.get('xero'))?.refreshToken.rotation;
     */
    get(id: string): Promise<ProviderDefinition | null>;
    /**
     * Returns id, name and origin of every provider.
     *
     * @example
     * const own = (await vault.providers.list()).filter((provider) => !provider.builtIn);
     */
    list(): Promise<readonly { readonly id: string; readonly name: string; readonly builtIn: boolean }[]>;
    /**
     * Removes a custom provider that no app uses.
     *
     * @throws {GrantryError} `invalid_request` for a built-in provider or one in use, `not_found`
     *
     * @example
     * await vault.providers.remove('example');
     */
    remove(id: string): Promise<void>;
  };
  /** API keys of the servers on this database. */
  readonly keys: {
    /**
     * Makes an API key. The key itself is returned only here.
     *
     * @throws {GrantryError} `invalid_request` for a name that is taken or input that is not valid
     *
     * @example
     * const { key: apiKey } = await vault.keys.create('billing', { role: 'reader', tenants: ['acme'] });
     */
    create(name: string, input: ApiKeyInput): Promise<{ readonly apiKey: ApiKey; readonly key: Secret }>;
    /**
     * Returns the keys that are not revoked, without the keys themselves.
     *
     * @example
     * const unused = (await vault.keys.list()).filter((apiKey) => apiKey.lastUsedAt === null);
     */
    list(): Promise<readonly ApiKey[]>;
    /**
     * Ends a key by its id or name. Servers refuse it within five seconds.
     *
     * @throws {GrantryError} `not_found`
     *
     * @example
     * await vault.keys.revoke('billing');
     */
    revoke(idOrName: string): Promise<void>;
  };
  /**
   * Returns an access token that is valid long enough, and refreshes it first where needed. Call it before each use and do
   * not store the result.
   *
   * A stored token that is still valid is returned while the provider is slow or down.
   *
   * @param options `minValidity`: seconds for which the token must still be good, 0 to 31,536,000 (default 60)
   * @throws {GrantryError} `grant_not_found`, `reauthorization_required`, `grant_quarantined`,
   * `provider_misconfigured`, `provider_error`, `integrity_failed`; retry after `provider_throttled`,
   * `provider_unavailable` and `refresh_uncertain`. A caller waits 30 s at most.
   *
   * @example
   * const { accessToken } = await vault.getAccessToken({ tenant: 'acme', provider: 'zoho_crm' }, { minValidity: 300 });
   */
  getAccessToken(key: GrantKey, options?: GetAccessTokenOptions): Promise<AccessToken>;
  /**
   * Reports that an API refused a token, and returns its replacement. Call it after a 401; {@link Vault.fetch} does so
   * itself. However many callers report one generation, one refresh is made.
   *
   * @param generation `generation` of the refused token
   * @throws {GrantryError} As {@link Vault.getAccessToken}; the stored token is not returned instead
   *
   * @example
   * const refused = await vault.getAccessToken(key);
   * const fresh = await vault.rejectAccessToken(key, refused.generation);
   */
  rejectAccessToken(key: GrantKey, generation: number, options?: GetAccessTokenOptions): Promise<AccessToken>;
  /**
   * Calls the provider's API with the grant's token, and returns its answer. A refused token is replaced once and the call
   * repeated, if the body can be sent again.
   *
   * @param pathOrUrl A path on the grant's API host, or a URL on one of the provider's hosts
   * @throws {GrantryError} `invalid_request` for another host; else as {@link Vault.getAccessToken}. An error status of
   * the API is no error.
   *
   * @example
   * const response = await vault.fetch(key, '/crm/v8/Leads?fields=Last_Name');
   */
  fetch(key: GrantKey, pathOrUrl: string, init?: VaultRequest): Promise<Response>;
  /**
   * Starts the connection of a tenant: returns the URL for the browser, and its state. The URL works for 10 minutes. Keep
   * the state in the browser's session, to recognise that browser when it comes back.
   *
   * @throws {GrantryError} `invalid_request`, `not_found` for an unknown provider or app
   *
   * @example
   * const redirectUri = 'https://app.example/oauth/callback';
   * const { url, state } = await vault.authorize({ tenant: 'acme', provider: 'zoho_crm', redirectUri });
   */
  authorize(input: AuthorizeInput): Promise<{ readonly url: string; readonly state: string }>;
  /**
   * Completes a connection: redeems the code of the callback and stores the grant. Call it once, for a browser whose session
   * has the same state.
   *
   * @param callbackUrl The whole URL at which the browser came back
   * @throws {GrantryError} `authorization_failed` when the user declined, or the code was used or is too old;
   * `invalid_request` for a URL that is no callback; `provider_misconfigured`, `provider_error`, `provider_unavailable`
   *
   * @example
   * const grant = await vault.completeAuthorization('https://app.example/oauth/callback?code=…&state=…');
   */
  completeAuthorization(callbackUrl: string | URL): Promise<Grant>;
  /**
   * Redeems a code that was made without a redirect, such as one of a Zoho self client, and stores the grant.
   *
   * @param input `dc`: the data centre of the user; the app's when left out
   * @throws {GrantryError} As {@link Vault.completeAuthorization}
   *
   * @example
   * import { Secret } from 'grantry';
   *
   * await vault.redeemCode(key, { code: new Secret('1000.…'), dc: 'eu' });
   */
  redeemCode(key: GrantKey, input: { code: Secret; app?: string | undefined; dc?: string | undefined }): Promise<Grant>;
  /**
   * Stores tokens that were obtained elsewhere, for an import or a move. Other grants with the same refresh token are named
   * in `sharedWith`.
   *
   * @param tokens `expiresIn`: seconds from now
   * @throws {GrantryError} `invalid_request`, `not_found` for an unknown provider or app
   *
   * @example
   * await vault.storeTokens(key, { app: 'crm', refreshToken: '1000.…', metadata: { dc: 'eu' } });
   */
  storeTokens(key: GrantKey, tokens: TokensInput): Promise<StoredTokens>;
  /**
   * Ends a grant: local use stops at once, and the provider is asked to revoke it. Later calls get `grant_not_found`.
   *
   * @param options `revoke: false` leaves the tokens alive at the provider, where another program may hold them
   * @throws {GrantryError} `grant_not_found`, `grant_quarantined`
   *
   * @example
   * const { revocation } = await vault.disconnect(key);
   */
  disconnect(key: GrantKey, options?: { revoke?: boolean }): Promise<Disconnected>;
  /**
   * Proves a grant with one real call to the provider. A sick grant is reported in the result, not thrown.
   *
   * @throws {GrantryError} `grant_not_found`
   *
   * @example
   * const healthy = (await vault.health(key)).status === 'healthy';
   */
  health(key: GrantKey): Promise<HealthReport>;
  /**
   * The reason why this database refreshes nothing, or null. See {@link Vault.adopt}.
   *
   * @example
   * if (vault.quarantine !== null) console.warn(vault.quarantine);
   */
  readonly quarantine: string | null;
  /**
   * Tries a grant that needs re-authorization once more, with every token that was kept. It helps after an incident at the
   * provider, not after a revocation.
   *
   * @throws {GrantryError} `grant_not_found`, `grant_quarantined`
   *
   * @example
   * const { outcome } = await vault.recover(key);
   */
  recover(key: GrantKey): Promise<RecoverReport>;
  /**
   * Ends the quarantine of a restored or cloned database, and refreshes grants whose tokens do not rotate. Make sure first
   * that no other copy refreshes the same grants.
   *
   * @param options `afterRestore`: refresh grants with rotating tokens too; `onReport` is called after each grant
   *
   * @example
   * const reports = await vault.adopt({ afterRestore: true });
   */
  adopt(options?: {
    afterRestore?: boolean;
    onReport?: (report: AdoptReport) => void;
  }): Promise<readonly AdoptReport[]>;
  /**
   * Closes the vault after every refresh that was sent is stored. `await using` calls it at the end of the block.
   *
   * @example
   * process.once('SIGTERM', () => void vault.close());
   */
  close(): Promise<void>;
}
