import type { GrantKey } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Meter } from '../base/meter.ts';
import type { Secret } from '../base/secret.ts';
import type { Tracer } from '../base/tracer.ts';
import type { World } from '../base/world.ts';
import type { ProviderDefinition, ProviderDefinitionInput } from '../providers/definition.ts';

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
  /** `false`: a token past its early-refresh mark is not refreshed behind the caller's back. For one-shot programs. */
  backgroundRefresh?: boolean | undefined;
  /** The most connections to PostgreSQL (default 10). */
  poolMax?: number | undefined;
}

/** An access token as handed out. */
export interface AccessToken {
  readonly accessToken: string;
  readonly tokenType: string;
  readonly expiresAt: Date;
  readonly scopes: readonly string[];
  readonly apiDomain?: string;
  readonly generation: number;
}

export interface GetAccessTokenOptions {
  /** Seconds for which the token must still be good; 60 when left out. */
  minValidity?: number | undefined;
}

/** A grant without its secrets. */
export interface Grant {
  readonly id: string;
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly app: string | null;
  readonly state: 'active' | 'uncertain' | 'suspect' | 'reauthorization_required' | 'quarantined' | 'disconnected';
  readonly reason: string | null;
  readonly generation: number;
  readonly scopes: readonly string[];
  readonly dc: string | null;
  readonly apiDomain: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly expiresAt: Date | null;
  readonly lastRefreshedAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

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

export interface GrantPage {
  readonly items: readonly Grant[];
  /** Hand in as `cursor` for the next page; `null` on the last one. */
  readonly next: string | null;
}

/** A client registration at a provider, as stored; the secrets are write-only. */
export interface App {
  readonly name: string;
  readonly provider: string;
  readonly clientId: string;
  readonly dc: string | null;
  readonly redirectUri: string | null;
  readonly scopes: readonly string[];
  /** `null` serves all tenants. */
  readonly tenants: readonly string[] | null;
  readonly returnTo: readonly string[];
  /** The data centres that have a secret; `*` is the one for all others. */
  readonly secrets: readonly string[];
  /** The last path segment of this app's own redirect URI on a server. */
  readonly context: string;
}

export interface AppInput {
  provider: string;
  clientId: string;
  /** One secret for all data centres. Without any secret, a replaced app keeps those it has. */
  clientSecret?: string | Secret | undefined;
  /** A secret per data centre, where they differ. */
  clientSecrets?: Readonly<Record<string, string | Secret>> | undefined;
  dc?: string | undefined;
  redirectUri?: string | undefined;
  scopes?: readonly string[] | undefined;
  tenants?: readonly string[] | undefined;
  returnTo?: readonly string[] | undefined;
}

/** Tokens obtained elsewhere. */
export interface TokensInput {
  app?: string | undefined;
  refreshToken: string | Secret;
  accessToken?: string | Secret | undefined;
  /** Seconds from now. Without it, or without an access token, the first hand-out refreshes. */
  expiresIn?: number | undefined;
  scopes?: readonly string[] | undefined;
  metadata?: Readonly<Record<string, unknown>> | undefined;
}

export interface AuthorizeInput extends GrantKey {
  app?: string | undefined;
  scopes?: readonly string[] | undefined;
  redirectUri: string;
}

/** What a real provider call showed. */
export type HealthReport = {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly dc: string | null;
} & (
  | {
      readonly status: 'healthy';
      readonly orgName: string | null;
      /** Which scope is missing for the organisation's name. */
      readonly missingScope?: string;
      readonly tokenFingerprint: string;
    }
  | {
      readonly status: 'unhealthy';
      readonly error: string;
      readonly message: string;
      readonly action: string;
      readonly actionRequired: boolean;
    }
);

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

/** What became of a disconnect: local use has ended in every case. */
export interface Disconnected {
  /** `revoked`, `queued` (the provider did not answer: tried again later), `not_supported`, or `nothing` to revoke. */
  readonly revocation: 'revoked' | 'queued' | 'not_supported' | 'nothing' | 'skipped';
}

/** Who else holds a refresh token that was just stored. */
export interface StoredTokens {
  readonly grant: Grant;
  /** Other grants that hold the same refresh token: they share the provider's limits and die together. */
  readonly sharedWith: readonly GrantKey[];
}

/** What became of trying a condemned grant again. */
export interface RecoverReport {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  /**
   * `recovered`: it has new tokens. `refused`: every token that was kept was refused again. `under_way`: somebody else is
   * trying. `failed`: the provider or the app stood in the way, see `error`. `not_needed`: it is active.
   */
  readonly outcome: 'recovered' | 'refused' | 'under_way' | 'failed' | 'not_needed';
  /** Tokens that were tried. */
  readonly tried: number;
  readonly error?: string;
}

/** What became of one grant after an adoption. */
export interface AdoptReport {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  /** `not_probed`: its tokens rotate, and only `afterRestore` spends one to find out. */
  readonly outcome: 'refreshed' | 'failed' | 'not_probed';
  readonly error?: string;
}

/**
 * What an API key may do at a server. `admin`: everything. `operator`: everything but tokens, the proxy, keys, adopting, and
 * changing where a provider with apps is. `reader`: tokens, grants and the proxy. `caller`: grants and the proxy. The last
 * two act for the tenants they name.
 */
export type ApiKeyRole = 'admin' | 'operator' | 'reader' | 'caller';

/** An API key, without the key. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly role: ApiKeyRole;
  /** The tenants that a reader or caller acts for; none when empty. */
  readonly tenants: readonly string[];
  /** The providers that a reader or caller acts at; `null` is all. */
  readonly providers: readonly string[] | null;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  /** To the minute: uses are noted in batches. */
  readonly lastUsedAt: Date | null;
}

export interface ApiKeyInput {
  role: ApiKeyRole;
  tenants?: readonly string[] | undefined;
  providers?: readonly string[] | undefined;
  expiresAt?: Date | undefined;
}

/** The vault: see `openVault`. */
export interface Vault extends AsyncDisposable {
  readonly apps: {
    /** Makes or replaces a client registration. */
    put(name: string, app: AppInput): Promise<App>;
    get(name: string): Promise<App | null>;
    list(): Promise<readonly App[]>;
    /** @throws {GrantryError} `invalid_request` while grants use it, `not_found` */
    remove(name: string): Promise<void>;
  };
  readonly grants: {
    get(key: GrantKey): Promise<Grant | null>;
    list(filter?: GrantFilter): Promise<GrantPage>;
  };
  readonly providers: {
    /** Adds or replaces a custom provider; an `issuer` is asked once for its endpoints, which are then pinned. */
    put(definition: unknown): Promise<ProviderDefinition>;
    get(id: string): Promise<ProviderDefinition | null>;
    list(): Promise<readonly { readonly id: string; readonly name: string; readonly builtIn: boolean }[]>;
    remove(id: string): Promise<void>;
  };
  /** API keys of the servers on this database. */
  readonly keys: {
    /** The key itself is returned this once. @throws {GrantryError} `invalid_request` for a name that is taken */
    create(name: string, input: ApiKeyInput): Promise<{ readonly apiKey: ApiKey; readonly key: Secret }>;
    list(): Promise<readonly ApiKey[]>;
    /** Ends a key by its id or name. @throws {GrantryError} `not_found` */
    revoke(idOrName: string): Promise<void>;
  };
  getAccessToken(key: GrantKey, options?: GetAccessTokenOptions): Promise<AccessToken>;
  rejectAccessToken(key: GrantKey, generation: number, options?: GetAccessTokenOptions): Promise<AccessToken>;
  fetch(key: GrantKey, pathOrUrl: string, init?: VaultRequest): Promise<Response>;
  authorize(input: AuthorizeInput): Promise<{ readonly url: string; readonly state: string }>;
  completeAuthorization(callbackUrl: string | URL): Promise<Grant>;
  /** Redeems a code that was made without a redirect, such as a Zoho self client's. */
  redeemCode(key: GrantKey, input: { code: Secret; app?: string | undefined; dc?: string | undefined }): Promise<Grant>;
  storeTokens(key: GrantKey, tokens: TokensInput): Promise<StoredTokens>;
  disconnect(key: GrantKey, options?: { revoke?: boolean }): Promise<Disconnected>;
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
  close(): Promise<void>;
}

/** A request for {@link Vault.fetch}: the plain parts of `RequestInit`. */
export interface VaultRequest {
  method?: string | undefined;
  headers?: Record<string, string> | Headers | undefined;
  /** A stream can be sent once: with one, a refused token is refreshed but the call is not replayed. */
  body?: string | Uint8Array | ReadableStream<Uint8Array> | undefined;
  signal?: AbortSignal | undefined;
}
