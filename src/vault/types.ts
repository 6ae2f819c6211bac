import type { GrantKey } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Meter } from '../base/meter.ts';
import type { Secret } from '../base/secret.ts';
import type { Tracer } from '../base/tracer.ts';
import type { World } from '../base/world.ts';
import type { ProviderDefinition, ProviderDefinitionInput } from '../providers/definition.ts';
import type { ApiKey, ApiKeyInput } from '../schemas/api-key.ts';
import type { App, AppInput } from '../schemas/app.ts';
import type { Grant, GrantPage, TokensInput } from '../schemas/grant.ts';
import type { ImportResult } from '../schemas/import-line.ts';
import type { AdoptReport, HealthReport, RecoverReport } from '../schemas/reports.ts';
import type { AccessToken } from '../schemas/token.ts';
import type { revocations } from '../schemas/words.ts';

export type { ApiKey, ApiKeyInput, ApiKeyRole } from '../schemas/api-key.ts';
export type { App, AppInput } from '../schemas/app.ts';
export type { Grant, GrantPage, TokensInput } from '../schemas/grant.ts';
export type { ImportResult } from '../schemas/import-line.ts';
export type { AdoptReport, HealthReport, RecoverReport } from '../schemas/reports.ts';
export type { AccessToken } from '../schemas/token.ts';

/** What {@link openVault} needs to know. */
export interface VaultOptions {
  /** `sqlite:PATH` or `postgres://…`; `GRANTRY_DATABASE`, else `grantry.db` in the home, when left out. */
  database?: string | undefined;
  /** `file:PATH`, `env:NAME`, `fd:N` or `command:PROGRAM ARGS`; `GRANTRY_ROOT_KEY`, else `root.key` in the home. */
  rootKey?: string | undefined;
  /** Holds the spool and this installation's identity; `GRANTRY_HOME`, else `~/.grantry`. */
  home?: string | undefined;
  /** Where answers are kept until they are committed; must survive a restart. `GRANTRY_SPOOL`, else `spool` in the home. */
  spool?: string | undefined;
  /** Takes over an `oauth_tokens` table that another program made; any other opening refuses such a table. */
  takeOver?: boolean | undefined;
  /** Called while a table is taken over, after each batch of rows that was sealed. */
  onTakeOver?: ((progress: { readonly sealed: number; readonly total: number }) => void) | undefined;
  /** Provider definitions besides the built-in and the stored ones. */
  providers?: readonly ProviderDefinitionInput[] | undefined;
  logger?: Logger | undefined;
  /** Counts refreshes, waits and provider calls; nobody does when left out. */
  meter?: Meter | undefined;
  /** Gets a span for each refresh and provider call; nobody does when left out. */
  tracer?: Tracer | undefined;
  /** Called after each committed state change, in this process alone. What it throws is logged and changes nothing. */
  onEvent?: ((event: VaultEvent) => void) | undefined;
  /** Clock, dice, sleep and network; the real ones when left out. */
  world?: World | undefined;
  /** `off` refuses a database whose schema is behind, for runtime roles without DDL. `GRANTRY_MIGRATE`, else `auto`. */
  migrate?: 'auto' | 'off' | undefined;
  /** A name such as `production`, recorded at first start. `GRANTRY_INSTALLATION`. */
  installation?: string | undefined;
  /** Why `http://` and loopback providers are allowed; for tests and local simulators only. */
  unsafeAllowLoopbackProviders?: string | undefined;
  /** No caller waits longer than this many milliseconds (default 30,000). */
  callerWaitMs?: number | undefined;
  /** Hand-out from memory while the database cannot be reached, in milliseconds (default 300,000). */
  staleHandOutMs?: number | undefined;
  /**
   * For how many days the tokens of a grant that needs re-authorization stay sealed for a recovery: 1 to 3,650.
   * `GRANTRY_CONDEMNED_KEPT_DAYS`, else 30.
   */
  condemnedKeptDays?: number | undefined;
  /**
   * `false`, for one-shot programs: a token past its early-refresh mark is not refreshed behind the caller's back, and its
   * `dc` is only the one in the grant's metadata.
   */
  backgroundRefresh?: boolean | undefined;
  /** The most connections to PostgreSQL (default 10). */
  poolMax?: number | undefined;
}

/** Options of `getAccessToken`. */
export interface GetAccessTokenOptions {
  /** Seconds for which the token must still be good; 60 when left out. */
  minValidity?: number | undefined;
}

/** Selects grants for `grants.list`; every member narrows the selection. */
export interface GrantFilter {
  tenant?: string | undefined;
  /** Only grants of these tenants; of none when empty. */
  tenants?: readonly string[] | undefined;
  provider?: string | undefined;
  /** Only grants at these providers; at none when empty. */
  providers?: readonly string[] | undefined;
  state?: Grant['state'] | undefined;
  updatedSince?: Date | undefined;
  /** What `next` of the page before said. */
  cursor?: string | undefined;
  /** Grants per page, 1 to 500; 100 when left out. */
  limit?: number | undefined;
}

export interface AuthorizeInput extends GrantKey {
  app?: string | undefined;
  scopes?: readonly string[] | undefined;
  redirectUri: string;
}

/** One committed state change. */
export interface VaultEvent {
  readonly at: Date;
  readonly type: VaultEventType;
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly from: string | null;
  readonly to: string;
  readonly generation: number;
  readonly reason: string | null;
}

/** The kind of a vault event. */
export type VaultEventType =
  | 'grant.connected'
  | 'grant.stored'
  | 'grant.refreshed'
  | 'grant.uncertain'
  | 'grant.suspect'
  | 'grant.reauthorization_required'
  | 'grant.revived'
  | 'grant.parked'
  | 'grant.disconnected'
  | 'grant.taken_over'
  | 'grant.shredded';

/** The result of a disconnect. Local use has ended in every case. */
export interface Disconnected {
  /** `revoked`, `queued` (the provider did not answer; retried later), `not_supported`, `nothing` to revoke, or `skipped`. */
  readonly revocation: (typeof revocations)[number];
}

/** A grant whose tokens were just stored, and the other holders of its refresh token. */
export interface StoredTokens {
  readonly grant: Grant;
  /** Other grants that hold the same refresh token: they share the provider's limits and end together. */
  readonly sharedWith: readonly GrantKey[];
}

/** The vault: see {@link openVault}. */
export interface Vault extends AsyncDisposable {
  readonly apps: {
    /** Makes or replaces a client registration. */
    put(name: string, app: AppInput): Promise<App>;
    /** Returns the app of that name, or null. */
    get(name: string): Promise<App | null>;
    /** Lists every app. */
    list(): Promise<readonly App[]>;
    /** Deletes an app. @throws {GrantryError} `invalid_request` while grants use it, `not_found` */
    remove(name: string): Promise<void>;
  };
  readonly grants: {
    /** Returns the grant without its secrets, or null. */
    get(key: GrantKey): Promise<Grant | null>;
    /** Returns one page of grants; pass its `next` as `cursor` to get the following page. */
    list(filter?: GrantFilter): Promise<GrantPage>;
  };
  readonly providers: {
    /** Adds or replaces a custom provider; an `issuer` is asked once for its endpoints, which are then pinned. */
    put(definition: unknown): Promise<ProviderDefinition>;
    /** Returns a built-in or custom provider, or null. */
    get(id: string): Promise<ProviderDefinition | null>;
    /** Lists the built-in and custom providers. */
    list(): Promise<readonly { readonly id: string; readonly name: string; readonly builtIn: boolean }[]>;
    /** Deletes a custom provider. @throws {GrantryError} `invalid_request` while apps or grants use it, `not_found` */
    remove(id: string): Promise<void>;
  };
  /** API keys of the servers on this database. */
  readonly keys: {
    /** The key itself is returned this once. @throws {GrantryError} `invalid_request` for a name that is taken */
    create(name: string, input: ApiKeyInput): Promise<{ readonly apiKey: ApiKey; readonly key: Secret }>;
    /** Lists the keys without their secrets. */
    list(): Promise<readonly ApiKey[]>;
    /** Ends a key by its id or name. @throws {GrantryError} `not_found` */
    revoke(idOrName: string): Promise<void>;
  };
  /**
   * Returns an access token that is valid for at least `minValidity` seconds, and refreshes the grant first if necessary.
   *
   * @throws {GrantryError}
   */
  getAccessToken(key: GrantKey, options?: GetAccessTokenOptions): Promise<AccessToken>;
  /**
   * Reports that the API refused the access token of that generation, and returns a newer one. However many callers
   * report a generation, the vault refreshes the grant once.
   */
  rejectAccessToken(key: GrantKey, generation: number, options?: GetAccessTokenOptions): Promise<AccessToken>;
  /**
   * Calls the provider's API with the grant's access token. A refused token is refreshed and the call repeated once.
   * Addresses outside the provider's API hosts are refused.
   */
  fetch(key: GrantKey, pathOrUrl: string, init?: VaultRequest): Promise<Response>;
  /** Starts an authorization: send the tenant's browser to `url`, and keep `state` in its session. */
  authorize(input: AuthorizeInput): Promise<{ readonly url: string; readonly state: string }>;
  /** Redeems the code in the URL to which the provider sent the browser back, and stores the grant. */
  completeAuthorization(callbackUrl: string | URL): Promise<Grant>;
  /** Redeems a code that was made without a redirect, such as a Zoho self client's. */
  redeemCode(key: GrantKey, input: { code: Secret; app?: string | undefined; dc?: string | undefined }): Promise<Grant>;
  /** Stores tokens that another program obtained. */
  storeTokens(key: GrantKey, tokens: TokensInput): Promise<StoredTokens>;
  /**
   * Stores the grants of a text of lines: JSON, one grant per line, each in the form of `POST /v1/import`. Yields one
   * result per line as soon as it is known; a bad line stops no other.
   */
  importLines(lines: string | ReadableStream<Uint8Array>): AsyncGenerator<ImportResult>;
  /**
   * Sets members of a grant's metadata, and removes those that are `null`; all others stay.
   *
   * @throws {GrantryError} `grant_not_found`, `invalid_request`
   */
  updateMetadata(key: GrantKey, changes: Readonly<Record<string, unknown>>): Promise<Grant>;
  /** Returns the tokens of one grant as a source, for code that needs a token and nothing else of the vault. */
  tokenSource(key: GrantKey): TokenSource;
  /** Deletes the tokens of a grant, and revokes them at the provider unless `revoke` is false. */
  disconnect(key: GrantKey, options?: { revoke?: boolean }): Promise<Disconnected>;
  /** Makes one real call to the provider and reports whether the grant works. */
  health(key: GrantKey): Promise<HealthReport>;
  /** Why this database may not refresh, or null; see `adopt`. */
  readonly quarantine: string | null;
  /** Tries a condemned grant again with every token that was kept of it. */
  recover(key: GrantKey): Promise<RecoverReport>;
  /** Ends the quarantine of a restored or cloned database. */
  adopt(options?: {
    afterRestore?: boolean;
    onReport?: (report: AdoptReport) => void;
  }): Promise<readonly AdoptReport[]>;
  /** Waits for refreshes whose request was sent, then closes the vault. */
  close(): Promise<void>;
}

/** The tokens of one grant; every adapter is made of one. */
export interface TokenSource {
  /** Returns an access token; see {@link Vault.getAccessToken}. */
  get(options?: GetAccessTokenOptions): Promise<AccessToken>;
  /** Reports that the API rejected a generation; see {@link Vault.rejectAccessToken}. */
  reject(generation: number, options?: GetAccessTokenOptions): Promise<AccessToken>;
  /** Calls the provider's API; see {@link Vault.fetch}. */
  fetch(pathOrUrl: string, init?: VaultRequest): Promise<Response>;
}

/** A request for {@link Vault.fetch}: the plain parts of `RequestInit`. */
export interface VaultRequest {
  method?: string | undefined;
  headers?: Record<string, string> | Headers | undefined;
  /** A stream can be sent once: with one, a refused token is refreshed but the call is not replayed. */
  body?: string | Uint8Array | ReadableStream<Uint8Array> | undefined;
  signal?: AbortSignal | undefined;
}
