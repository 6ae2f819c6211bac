import type { GrantKey } from '../base/ids.ts';
import type { ProviderId } from '../base/provider-ids.ts';
import type { Secret } from '../base/secret.ts';

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
  provider: ProviderId;
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

/** A request for `vault.fetch`: the plain parts of `RequestInit`. */
export interface VaultRequest {
  method?: string | undefined;
  headers?: Record<string, string> | Headers | undefined;
  /** A stream can be sent once: with one, a refused token is refreshed but the call is not replayed. */
  body?: string | Uint8Array | ReadableStream<Uint8Array> | undefined;
  signal?: AbortSignal | undefined;
}
