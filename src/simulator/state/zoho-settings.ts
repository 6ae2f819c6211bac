import type { WindowRule } from './rate-windows.ts';

/** Settings of Zoho's token throttle. */
export interface ThrottleSettings extends WindowRule {
  readonly status: 200 | 400 | 401;
  /** One of its three known wordings. */
  readonly wording: 'full' | 'without_status' | 'old';
  /** Counts the code exchange's own access token too. */
  readonly countsExchange: boolean;
  /** Counts refused requests. */
  readonly countsFailed: boolean;
  /** Counts throttled requests. */
  readonly countsThrottled: boolean;
}

/**
 * Switches of the simulated Zoho. Zoho's documentation contradicts itself and the observed behaviour in places. There
 * the default is the likelier behaviour; the others can be chosen per data centre or per client.
 */
export interface ZohoSettings {
  readonly accessTokenSeconds: number;
  readonly codeSeconds: number;
  readonly selfClientCodeSeconds: number;
  /** Status of body errors such as `{"error":"invalid_code"}`. */
  readonly errorStatus: number;
  readonly errorDescription: boolean;
  /** Sends errors as a page instead of JSON. */
  readonly errorBody: 'json' | 'html';
  readonly expiresIn: 'seconds' | 'legacy_milliseconds' | 'text' | 'missing';
  readonly apiDomain: 'normal' | 'missing' | 'trailing_slash' | 'accounts_style' | { readonly value: string };
  readonly scopeInAnswer: boolean;
  /** Repeats the refresh token in the answer to a refresh. */
  readonly echoRefreshToken: boolean;
  /** Issues a refresh token for a repeated offline consent without `prompt=consent` too. */
  readonly refreshTokenOnRepeat: boolean;
  readonly spaceSeparatedScopes: 'accepted' | 'refused';
  readonly pkce: 'checked' | 'ignored';
  readonly wrongVerifier: 'invalid_request' | 'invalid_code';
  readonly errorPageStatus: number;
  readonly secretsInQuery: 'accepted' | 'refused';
  readonly jsonBody: 'accepted' | 'refused';
  /** Error for a secret that belongs to another data centre. */
  readonly otherSecret: 'invalid_client_secret' | 'invalid_client';
  readonly callback: CallbackSettings;
  readonly serverInfo: { readonly extra: Readonly<Record<string, string>>; readonly missing: readonly string[] };
  readonly throttle: ThrottleSettings | 'off';
  /** Number of living access tokens per refresh token; the next one ends the oldest. */
  readonly activeAccessTokens: number;
  readonly refreshTokens: RefreshTokenCap | 'off';
  /** Error for the refresh token of a deactivated user; Zoho has not published it. */
  readonly deactivatedUser: string;
  readonly refreshTokenCreation: WindowRule | 'off';
  readonly codes: (WindowRule & { readonly answer: 'access_denied' | 'roadblock' }) | 'off';
  readonly oldRevoke: 'there' | 'gone';
  readonly revokeErrorStatus: number;
  readonly revokeAtOtherDataCenter: 'accepted' | 'refused';
  readonly clientCredentials: 'granted' | 'invalid_soid' | 'invalid_org' | 'unsupported_grant_type';
  readonly deviceTimes: 'seconds' | 'milliseconds';
  readonly devicePollSeconds: number;
  readonly scopeEnhancement: 'granted' | 'refused';
  /** CRM's code for a token that needs one refresh. */
  readonly crmInvalidToken: 'INVALID_TOKEN' | 'AUTHENTICATION_FAILURE';
  readonly crmInvalidTokenStatus: number;
  /** API calls per minute and organisation; the next call gets the product's 429. */
  readonly apiCallsPerMinute: number | 'off';
  readonly apiThrottleBody: 'product' | 'none' | 'html';
}

/** Limit of living refresh tokens, and the effect of the next one. */
export interface RefreshTokenCap {
  readonly max: number;
  readonly overflow: 'evict' | 'refuse';
  /** Scope of the count; defaults to the user and client. */
  readonly per?: 'user' | 'user_and_client' | undefined;
}

/** Form of the callback to the redirect URI. */
export interface CallbackSettings {
  readonly accountsServer: 'encoded' | 'plain' | 'missing' | { readonly value: string };
  readonly location: 'normal' | 'missing' | { readonly value: string };
  readonly state: 'echoed' | 'missing' | { readonly value: string };
  readonly duplicate: readonly string[];
  readonly trailingAmpersand: boolean;
}

export const defaultThrottle: ThrottleSettings = {
  requests: 10,
  windowSeconds: 600,
  window: 'fixed',
  prolong: false,
  status: 400,
  wording: 'full',
  countsExchange: true,
  countsFailed: false,
  countsThrottled: false,
};

/** The settings of a Zoho simulator that nothing has changed. */
export const zohoDefaults: ZohoSettings = {
  accessTokenSeconds: 3600,
  codeSeconds: 120,
  selfClientCodeSeconds: 180,
  errorStatus: 200,
  errorDescription: false,
  errorBody: 'json',
  expiresIn: 'seconds',
  apiDomain: 'normal',
  scopeInAnswer: false,
  echoRefreshToken: false,
  refreshTokenOnRepeat: false,
  spaceSeparatedScopes: 'refused',
  pkce: 'checked',
  wrongVerifier: 'invalid_request',
  errorPageStatus: 400,
  secretsInQuery: 'accepted',
  jsonBody: 'refused',
  otherSecret: 'invalid_client_secret',
  callback: { accountsServer: 'encoded', location: 'normal', state: 'echoed', duplicate: [], trailingAmpersand: false },
  serverInfo: { extra: {}, missing: [] },
  throttle: defaultThrottle,
  activeAccessTokens: 15,
  refreshTokens: { max: 20, overflow: 'evict' },
  deactivatedUser: 'invalid_code',
  refreshTokenCreation: { requests: 10, windowSeconds: 600 },
  codes: { requests: 10, windowSeconds: 600, answer: 'access_denied' },
  oldRevoke: 'there',
  revokeErrorStatus: 400,
  revokeAtOtherDataCenter: 'refused',
  clientCredentials: 'granted',
  deviceTimes: 'seconds',
  devicePollSeconds: 30,
  scopeEnhancement: 'granted',
  crmInvalidToken: 'INVALID_TOKEN',
  crmInvalidTokenStatus: 401,
  apiCallsPerMinute: 'off',
  apiThrottleBody: 'product',
};

/** A change of some switches. */
export type ZohoChange = { readonly [Name in keyof ZohoSettings]?: ZohoSettings[Name] | undefined };

/** Clients or data centres that a change affects; all when empty. */
export interface SettingsScope {
  readonly dc?: string | undefined;
  readonly clientId?: string | undefined;
}

/** Settings in force, by data centre and client: the latest matching change wins. */
export class ZohoSettingsScopes {
  readonly #base: ZohoSettings;
  #changes: { scope: SettingsScope; change: Partial<ZohoSettings> }[] = [];

  constructor(base: ZohoChange) {
    this.#base = { ...zohoDefaults, ...given(base) };
  }

  /** Sets switches, for all or for one data centre or client. */
  change(change: ZohoChange, scope: SettingsScope = {}): void {
    this.#changes.push({ scope, change: given(change) });
  }

  /** Returns the switches that apply to a client in a data centre. */
  for(dc: string | null, clientId: string | null): ZohoSettings {
    if (this.#changes.length === 0) return this.#base;
    const fitting = this.#changes.filter(
      ({ scope }) =>
        (scope.dc === undefined || scope.dc === dc) && (scope.clientId === undefined || scope.clientId === clientId),
    );
    return Object.assign({}, this.#base, ...fitting.map(({ change }) => change));
  }

  /** Sets every switch back. */
  clear(): void {
    this.#changes = [];
  }
}

function given(change: ZohoChange): Partial<ZohoSettings> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}
