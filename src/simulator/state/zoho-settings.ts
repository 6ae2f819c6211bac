import { z } from 'zod';
import { windowSchema } from './rate-windows.ts';
import { count, httpStatus, text } from './schema-parts.ts';

const other = z.strictObject({ value: z.string().max(2_048) });
const off = z.literal('off');

const throttleSchema = windowSchema.extend({
  status: z.union([z.literal(200), z.literal(400), z.literal(401)]),
  /** One of its three known wordings. */
  wording: z.enum(['full', 'without_status', 'old']),
  /** Counts the code exchange's own access token too. */
  countsExchange: z.boolean(),
  /** Counts refused requests. */
  countsFailed: z.boolean(),
  /** Counts throttled requests. */
  countsThrottled: z.boolean(),
});

const refreshTokenCapSchema = z.strictObject({
  max: count,
  overflow: z.enum(['evict', 'refuse']),
  /** Scope of the count; defaults to the user and client. */
  per: z.enum(['user', 'user_and_client']).optional(),
});

const callbackSchema = z.strictObject({
  accountsServer: z.union([z.enum(['encoded', 'plain', 'missing']), other]),
  location: z.union([z.enum(['normal', 'missing']), other]),
  state: z.union([z.enum(['echoed', 'missing']), other]),
  duplicate: z.array(text).readonly(),
  trailingAmpersand: z.boolean(),
});

export const zohoSettingsSchema = z.strictObject({
  accessTokenSeconds: count,
  codeSeconds: count,
  selfClientCodeSeconds: count,
  /** Status of body errors such as `{"error":"invalid_code"}`. */
  errorStatus: httpStatus,
  errorDescription: z.boolean(),
  /** Sends errors as a page instead of JSON. */
  errorBody: z.enum(['json', 'html']),
  expiresIn: z.enum(['seconds', 'legacy_milliseconds', 'text', 'missing']),
  apiDomain: z.union([z.enum(['normal', 'missing', 'trailing_slash', 'accounts_style']), other]),
  /** The `api_domain` of a token of a sandbox or developer organisation; Zoho has not published it. */
  environmentDomain: z.enum(['own', 'production']),
  scopeInAnswer: z.boolean(),
  /** Repeats the refresh token in the answer to a refresh. */
  echoRefreshToken: z.boolean(),
  /** Issues a refresh token for a repeated offline consent without `prompt=consent` too. */
  refreshTokenOnRepeat: z.boolean(),
  spaceSeparatedScopes: z.enum(['accepted', 'refused']),
  pkce: z.enum(['checked', 'ignored']),
  wrongVerifier: z.enum(['invalid_request', 'invalid_code']),
  errorPageStatus: httpStatus,
  secretsInQuery: z.enum(['accepted', 'refused']),
  jsonBody: z.enum(['accepted', 'refused']),
  /** Error for a secret that belongs to another data centre. */
  otherSecret: z.enum(['invalid_client_secret', 'invalid_client']),
  callback: callbackSchema,
  serverInfo: z.strictObject({ extra: z.record(text, text), missing: z.array(text).readonly() }),
  throttle: z.union([off, throttleSchema]),
  /** Number of living access tokens per refresh token; the next one ends the oldest. */
  activeAccessTokens: count,
  refreshTokens: z.union([off, refreshTokenCapSchema]),
  /** Error for the refresh token of a deactivated user; Zoho has not published it. */
  deactivatedUser: text,
  refreshTokenCreation: z.union([off, windowSchema]),
  codes: z.union([off, windowSchema.extend({ answer: z.enum(['access_denied', 'roadblock']) })]),
  oldRevoke: z.enum(['there', 'gone']),
  revokeErrorStatus: httpStatus,
  revokeAtOtherDataCenter: z.enum(['accepted', 'refused']),
  clientCredentials: z.enum(['granted', 'invalid_soid', 'invalid_org', 'unsupported_grant_type']),
  deviceTimes: z.enum(['seconds', 'milliseconds']),
  devicePollSeconds: count,
  scopeEnhancement: z.enum(['granted', 'refused']),
  /** CRM's code for a token that needs one refresh. */
  crmInvalidToken: z.enum(['INVALID_TOKEN', 'AUTHENTICATION_FAILURE']),
  crmInvalidTokenStatus: httpStatus,
  /** API calls per minute and organisation; the next call gets the product's 429. */
  apiCallsPerMinute: z.union([off, count]),
  apiThrottleBody: z.enum(['product', 'none', 'html']),
});

/**
 * Switches of the simulated Zoho. Zoho's documentation contradicts itself and the observed behaviour in places. There
 * the default is the likelier behaviour; the others can be chosen per data centre or per client.
 *
 * @useDeclaredType
 */
export type ZohoSettings = Readonly<z.output<typeof zohoSettingsSchema>>;
/**
 * Settings of Zoho's token throttle.
 *
 * @useDeclaredType
 */
export type ThrottleSettings = Readonly<z.output<typeof throttleSchema>>;
/**
 * Limit of living refresh tokens, and the effect of the next one.
 *
 * @useDeclaredType
 */
export type RefreshTokenCap = Readonly<z.output<typeof refreshTokenCapSchema>>;
/**
 * Form of the callback to the redirect URI.
 *
 * @useDeclaredType
 */
export type CallbackSettings = Readonly<z.output<typeof callbackSchema>>;

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
  environmentDomain: 'own',
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
