import type { GrantKey } from '../base/ids.ts';
import type { ScopeFinding } from '../providers/scope-lint.ts';
import type { Grant } from '../schemas/grant.ts';

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
  /** The `next` of the page before. */
  cursor?: string | undefined;
  /** Grants per page, 1 to 500; 100 when left out. */
  limit?: number | undefined;
}

export interface AuthorizeInput extends GrantKey {
  app?: string | undefined;
  /** The scopes to ask for; the app's when left out. */
  scopes?: readonly string[] | undefined;
  /**
   * Scopes that an existing grant gains beside those that it has. Where the provider can, its refresh token stays. Not
   * together with `scopes`.
   */
  addScopes?: readonly string[] | undefined;
  redirectUri: string;
  /** The environment of the organisation, such as `sandbox`, where the provider has several. */
  environment?: string | undefined;
  /** The id of the only organisation whose consent is stored. */
  expectOrganization?: string | undefined;
}

/** An authorization that was started. */
export interface StartedAuthorization {
  /** The address for the browser. */
  readonly url: string;
  /** Comes back with the browser. */
  readonly state: string;
  /** The findings about the scopes. */
  readonly warnings: readonly ScopeFinding[];
  /** True for `addScopes` where the grant's refresh token stays and gains the scopes; false for a new consent. */
  readonly keepsRefreshToken: boolean;
}
