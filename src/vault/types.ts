import type { GrantKey } from '../base/ids.ts';
import type { CallTarget, CallInit as VaultRequest } from '../base/network/call-request.ts';
import type { Secret } from '../base/secret.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import type { App, AppInput, StoredApp } from '../schemas/app.ts';
import type { TokenBudget } from '../schemas/budget.ts';
import type { Grant, GrantPage, StoredTokens, TokensInput } from '../schemas/grant.ts';
import type { HistoryPage } from '../schemas/history.ts';
import type { ImportResult } from '../schemas/import-line.ts';
import type { Organizations } from '../schemas/organizations.ts';
import type { ProviderSummary } from '../schemas/provider.ts';
import type { AdoptReport, HealthReport, RecoverReport } from '../schemas/reports.ts';
import type { Slots } from '../schemas/slots.ts';
import type { AccessToken } from '../schemas/token.ts';
import type { AuditCalls, HistoryOptions } from './audit-calls.ts';
import type { AuthorizeInput, GetAccessTokenOptions, GrantFilter, StartedAuthorization } from './call-types.ts';
import type { Disconnected } from './disconnected.ts';
import type { KeyCalls } from './key-calls.ts';

export type { FindingKind } from '../audit/findings.ts';
export type { LogFinding, LogReport } from '../audit/stream.ts';
export type { Finding } from '../audit/verify.ts';
export type { CallBody } from '../base/network/call-body.ts';
export type { CallInit as VaultRequest, CallTarget } from '../base/network/call-request.ts';
export type { ScopeFinding, ScopeFindingKind, ScopeFindingLevel } from '../providers/scope-lint.ts';
export type { ApiKey, ApiKeyInput, ApiKeyRole, ApiKeyUpdate, ChildKeyInput } from '../schemas/api-key.ts';
export type { App, AppInput, StoredApp } from '../schemas/app.ts';
export type { AuditCheckpoint, AuditEntry, AuditPage, AuditProof } from '../schemas/audit.ts';
export type { TokenBudget } from '../schemas/budget.ts';
export type { Grant, GrantPage, GrantReason, StoredTokens, TokensInput } from '../schemas/grant.ts';
export type { HistoryItem, HistoryPage } from '../schemas/history.ts';
export type { ImportResult } from '../schemas/import-line.ts';
export type { Organization, Organizations } from '../schemas/organizations.ts';
export type { ProviderSummary } from '../schemas/provider.ts';
export type { AdoptReport, HealthReport, RecoverReport } from '../schemas/reports.ts';
export type { Slots } from '../schemas/slots.ts';
export type { AccessToken } from '../schemas/token.ts';
export type { AuditCalls, AuditFilter, AuditVerifyOptions, HistoryOptions } from './audit-calls.ts';
export type { AuthorizeInput, GetAccessTokenOptions, GrantFilter, StartedAuthorization } from './call-types.ts';
export type { Disconnected } from './disconnected.ts';
export type { GrantEvent, SlotsEvent, VaultEvent, VaultEventType } from './event-types.ts';
export type { KeyCalls } from './key-calls.ts';

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
     * `warnings` of the result say what was noticed about the scopes, such as a misspelt one.
     *
     * @param name 1 to 128 of `a-z A-Z 0-9 . _ @ : -`
     * @throws {GrantryError} `invalid_request` for input that is not valid, `not_found` for an unknown provider
     *
     * @example
     * await vault.apps.put('crm', { provider: 'zoho_crm', clientId: '1000.ABC', clientSecret: 'secret', dc: 'eu' });
     */
    put(name: string, app: AppInput): Promise<StoredApp>;
    /**
     * Returns one app without its secrets, or null.
     * @example
     * const scopes = (await vault.apps.get('crm'))?.scopes;
     */
    get(name: string): Promise<App | null>;
    /**
     * Returns all apps without their secrets.
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
    /**
     * Counts the refresh tokens of an app's client registration per user of the provider, the fullest first: Zoho keeps 20,
     * and ends the grant of the oldest consent at the next one. `next` names that grant. Apps with the same client id count
     * together. Empty where the provider states no limit.
     *
     * @throws {GrantryError} `not_found`
     *
     * @example
     * const filling = (await vault.apps.slots('crm')).filter((slots) => slots.filling);
     */
    slots(name: string): Promise<readonly Slots[]>;
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
     * @example
     * const rotation = (await vault.providers.get('xero'))?.refreshToken.rotation;
     */
    get(id: string): Promise<ProviderDefinition | null>;
    /**
     * Returns id, name and origin of every provider.
     * @example
     * const own = (await vault.providers.list()).filter((provider) => !provider.builtIn);
     */
    list(): Promise<readonly ProviderSummary[]>;
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
  readonly keys: KeyCalls;
  /** The log of changes and hand-outs. */
  readonly audit: AuditCalls;
  /**
   * Returns an access token that is valid long enough, and refreshes it first where needed. Call it before each use and do
   * not store the result.
   *
   * A stored token that still lives is returned while the provider or the database is slow or down.
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
   * If the last refresh was a moment ago, the grant's own API is asked first. If it accepts the token, that token is the
   * answer, with the same generation: the call went to another data centre, or lacks a permission.
   *
   * @param generation `generation` of the refused token
   * @throws {GrantryError} As {@link Vault.getAccessToken}; the stored token is not returned instead. `provider_error` with
   * the reason `token_rejected` if the API refuses the replacement too: no refresh would help for a while
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
   * @param target A path on the grant's API host, or a URL or `Request` for one of the provider's hosts
   * @param init As for `fetch`. A text, bytes, `Blob`, `FormData` or `URLSearchParams` can be sent again after a refused
   * token; a stream, an async iterable and the body of a `Request` cannot
   * @throws {GrantryError} `invalid_request` for another host, and for a body that cannot be sent; else as {@link
   * Vault.getAccessToken}. An error status of the API is no error.
   * @throws the reason of the signal when it is aborted, such as a `TimeoutError`
   *
   * @example
   * const response = await vault.fetch(key, '/crm/v8/Leads?fields=Last_Name');
   */
  fetch(key: GrantKey, target: CallTarget, init?: VaultRequest): Promise<Response>;
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
  authorize(input: AuthorizeInput): Promise<StartedAuthorization>;
  /**
   * Completes a connection: redeems the code of the callback and stores the grant. The browser's session must have the same
   * state. The same URL again gives the same grant, also after a crash or `storage_unavailable`, with one exchange.
   *
   * @param callbackUrl The whole URL at which the browser came back
   * @throws {GrantryError} `authorization_failed` when the user declined, or the code was used, too old, of another account
   * (reason `wrong_organization`: of another organisation than the expected one, and nothing was stored);
   * `invalid_request` for a URL that is no callback; `provider_misconfigured`, `provider_error`; `provider_unavailable`, with
   * the reason `organization_unread` if the expected organisation could not be compared yet: call again with the same URL
   *
   * @example
   * const grant = await vault.completeAuthorization('https://app.example/oauth/callback?code=…&state=…');
   */
  completeAuthorization(callbackUrl: string | URL): Promise<Grant>;
  /**
   * Redeems a code that was made without a redirect, such as one of a Zoho self client. The same code gives the same grant.
   *
   * @param input `dc`: the data centre of the user; the app's when left out. `environment` and `expectOrganization`: as in
   * {@link Vault.authorize}
   * @throws {GrantryError} As {@link Vault.completeAuthorization}
   *
   * @example
   * import { Secret } from 'grantry';
   *
   * await vault.redeemCode(key, { code: new Secret('1000.…'), dc: 'eu' });
   */
  redeemCode(
    key: GrantKey,
    input: { code: Secret; app?: string | undefined; dc?: string | undefined } & Pick<
      AuthorizeInput,
      'environment' | 'expectOrganization'
    >,
  ): Promise<Grant>;
  /**
   * Stores tokens that were obtained elsewhere, for an import or a move. Other grants with the same refresh token are named
   * in `sharedWith`.
   *
   * A refresh token that the grant has had before changes nothing: the stored one is the same or newer. Any other replaces
   * the stored one, which {@link Vault.recover} can use until a refresh has proven the new one.
   *
   * @param tokens `expiresIn`: seconds from now. `replace`: `true` also replaces a later authorization, and a disconnected
   * grant; `false` leaves an existing grant as it is
   * @throws {GrantryError} `invalid_request`, also for a token of a disconnected grant; `not_found` for an unknown provider
   * or app
   *
   * @example
   * await vault.storeTokens(key, { app: 'crm', refreshToken: '1000.…', metadata: { dc: 'eu' } });
   */
  storeTokens(key: GrantKey, tokens: TokensInput): Promise<StoredTokens>;
  /**
   * Stores the grants of a text of lines: one JSON object per line, in the form of `POST /v1/import`. Each result is
   * yielded as soon as it is known, and a bad line stops no other. The same lines once more change nothing.
   *
   * @throws {GrantryError} `payload_too_large` for too many lines
   *
   * @example
   * const lines = '{"tenant":"acme","provider":"zoho_crm","app":"crm","refresh_token":"1000.…"}';
   * for await (const result of vault.importLines(lines)) console.log(result);
   */
  importLines(lines: string | ReadableStream<Uint8Array>): AsyncGenerator<ImportResult>;
  /**
   * Sets members of a grant's metadata and removes those that are `null`. All others stay, also while a refresh runs. What
   * the provider's answers bring, such as `api_domain`, is written again by the next refresh.
   *
   * @throws {GrantryError} `grant_not_found`, `invalid_request`
   *
   * @example
   * await vault.updateMetadata(key, { org_id: '60000000001', note: null });
   */
  updateMetadata(key: GrantKey, changes: Readonly<Record<string, unknown>>): Promise<Grant>;
  /**
   * Returns a source of one grant's tokens, for code that needs tokens and nothing else of the vault.
   *
   * @example
   * const { accessToken } = await vault.tokenSource(key).get({ minValidity: 300 });
   */
  tokenSource(key: GrantKey): TokenSource;
  /**
   * Ends a grant: local use stops at once, and the provider is asked to revoke it. Later calls get `grant_not_found`.
   *
   * A token is not revoked while that would end another living grant, for example one that holds the same refresh token.
   *
   * @param options `revoke: false` leaves the tokens alive at the provider, where another program may hold them
   * @throws {GrantryError} `grant_not_found`, `grant_quarantined`, `storage_unavailable` also if it is not known whether the
   * database kept the change. Hand-out in this process has then ended, and the vault goes on until it knows.
   *
   * @example
   * const { revocation } = await vault.disconnect(key);
   */
  disconnect(key: GrantKey, options?: { revoke?: boolean }): Promise<Disconnected>;
  /**
   * Asks the provider which organisations the user of a grant has, and keeps the name of the grant's own. One of several is
   * chosen with {@link Vault.updateMetadata}: its id becomes `org_id`.
   *
   * @throws {GrantryError} `invalid_request` at a provider that tells none; `insufficient_scope` with the missing scope; else
   * as {@link Vault.fetch}
   *
   * @example
   * const { items } = await vault.organizations(key);
   * if (items[0] !== undefined) await vault.updateMetadata(key, { org_id: items[0].id });
   */
  organizations(key: GrantKey): Promise<Organizations>;
  /**
   * Proves a grant with one real call to the provider. A sick grant is reported in the result, not thrown. The organisation
   * and the owner that the answer tells are kept in the grant's metadata.
   *
   * @param options `refresh: true` refreshes the grant first, within the provider's budget: for a new client secret, and for
   * doubts. A grant in doubt is not forced. It spends one refresh token where these rotate
   * @throws {GrantryError} `grant_not_found`
   *
   * @example
   * const healthy = (await vault.health(key)).status === 'healthy';
   */
  health(key: GrantKey, options?: { refresh?: boolean | undefined }): Promise<HealthReport>;
  /**
   * Tells how many token requests the provider has left for a grant's refresh token, and when the next one is free; null
   * where the provider states no limit. All processes and all grants with this token share it.
   *
   * @throws {GrantryError} `grant_not_found`
   *
   * @example
   * const budget = await vault.budget(key);
   * if (budget !== null) console.log(`${budget.used} of ${budget.requests} used`);
   */
  budget(key: GrantKey): Promise<TokenBudget | null>;
  /**
   * Tells a grant's life, the newest first: its changes with their actors, its refreshes, and who had its tokens in which
   * minute. It also answers who ended a grant, and why.
   *
   * @throws {GrantryError} `invalid_request`
   *
   * @example
   * const { items } = await vault.history({ tenant: 'acme', provider: 'zoho_crm' });
   */
  history(key: GrantKey, options?: HistoryOptions): Promise<HistoryPage>;
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

/** The tokens of one grant; every adapter is made of one. */
export interface TokenSource {
  /** Returns an access token; see {@link Vault.getAccessToken}. */
  get(options?: GetAccessTokenOptions): Promise<AccessToken>;
  /** Reports that the API rejected a generation; see {@link Vault.rejectAccessToken}. */
  reject(generation: number, options?: GetAccessTokenOptions): Promise<AccessToken>;
  /** Calls the provider's API; see {@link Vault.fetch}. */
  fetch(target: CallTarget, init?: VaultRequest): Promise<Response>;
}
