import { z } from 'zod';
import type { Fault } from '../state/faults.ts';
import type { SimulatorClient, SimulatorUser } from '../state/registry.ts';
import type { ZohoSettings } from '../state/zoho-settings.ts';

const text = z.string().min(1).max(2_048);
const count = z.number().int().nonnegative().max(1e12);
const when = z.enum(['before', 'after']);

export const clientSchema = z.strictObject({
  clientId: text,
  secret: text.optional(),
  secrets: z.record(text, text).optional(),
  dataCenters: z.array(text).optional(),
  redirectUris: z.union([z.literal('any'), z.array(text)]).optional(),
  type: z.enum(['server', 'self', 'device', 'browser']).optional(),
  requirePkce: z.boolean().optional(),
}) satisfies z.ZodType<SimulatorClient>;

export const userSchema = z.strictObject({
  id: text,
  dc: text.optional(),
  name: text.optional(),
  orgId: text.optional(),
  orgName: text.optional(),
}) satisfies z.ZodType<SimulatorUser>;

export const consentSchema = z.strictObject({
  profile: text.optional(),
  clientId: text,
  user: text,
  scopes: z.array(text).max(256),
  lifeSeconds: count.optional(),
});

const effectSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('delay'), ms: count, when }),
  z.strictObject({ kind: z.literal('hang'), when }),
  z.strictObject({ kind: z.literal('reset'), when }),
  z.strictObject({ kind: z.literal('cut') }),
  z.strictObject({
    kind: z.literal('status'),
    status: z.number().int().min(200).max(599),
    when,
    body: z.string().max(1_048_576).optional(),
    contentType: text.optional(),
    headers: z.record(text, z.string()).optional(),
  }),
  z.strictObject({ kind: z.literal('html'), status: z.number().int().min(200).max(599).optional(), when }),
  z.strictObject({ kind: z.literal('redirect'), location: text }),
  z.strictObject({ kind: z.literal('huge'), bytes: count.max(1e9) }),
  z.strictObject({ kind: z.literal('gzip_bomb'), bytes: count.max(2e8) }),
  z.strictObject({ kind: z.literal('content_type'), value: text }),
  z.strictObject({
    kind: z.literal('patch'),
    set: z.record(text, z.unknown()).optional(),
    remove: z.array(text).optional(),
  }),
  z.strictObject({
    kind: z.literal('error'),
    error: text,
    status: z.number().int().min(200).max(599).optional(),
    description: text.optional(),
  }),
  z.strictObject({ kind: z.literal('throttle') }),
]);

export const faultSchema = z.strictObject({
  endpoint: z.enum(['authorize', 'token', 'revoke', 'api', 'device', 'discovery']).optional(),
  profile: text.optional(),
  dc: text.optional(),
  clientId: text.optional(),
  grantType: text.optional(),
  path: text.optional(),
  skip: count.optional(),
  times: count.optional(),
  forMs: count.optional(),
  effect: effectSchema,
}) satisfies z.ZodType<Fault>;

const windowRule = {
  requests: count,
  windowSeconds: count,
  window: z.enum(['fixed', 'sliding']).optional(),
  prolong: z.boolean().optional(),
};
const value = z.strictObject({ value: z.string().max(2_048) });
const off = z.literal('off');

export const zohoSettingsSchema = z.strictObject({
  accessTokenSeconds: count,
  codeSeconds: count,
  selfClientCodeSeconds: count,
  errorStatus: z.number().int().min(200).max(599),
  errorDescription: z.boolean(),
  errorBody: z.enum(['json', 'html']),
  expiresIn: z.enum(['seconds', 'legacy_milliseconds', 'text', 'missing']),
  apiDomain: z.union([z.enum(['normal', 'missing', 'trailing_slash', 'accounts_style']), value]),
  scopeInAnswer: z.boolean(),
  echoRefreshToken: z.boolean(),
  refreshTokenOnRepeat: z.boolean(),
  spaceSeparatedScopes: z.enum(['accepted', 'refused']),
  pkce: z.enum(['checked', 'ignored']),
  wrongVerifier: z.enum(['invalid_request', 'invalid_code']),
  errorPageStatus: z.number().int().min(200).max(599),
  secretsInQuery: z.enum(['accepted', 'refused']),
  jsonBody: z.enum(['accepted', 'refused']),
  otherSecret: z.enum(['invalid_client_secret', 'invalid_client']),
  callback: z.strictObject({
    accountsServer: z.union([z.enum(['encoded', 'plain', 'missing']), value]),
    location: z.union([z.enum(['normal', 'missing']), value]),
    state: z.union([z.enum(['echoed', 'missing']), value]),
    duplicate: z.array(text),
    trailingAmpersand: z.boolean(),
  }),
  serverInfo: z.strictObject({ extra: z.record(text, text), missing: z.array(text) }),
  throttle: z.union([
    off,
    z.strictObject({
      ...windowRule,
      status: z.union([z.literal(200), z.literal(400), z.literal(401)]),
      wording: z.enum(['full', 'without_status', 'old']),
      countsExchange: z.boolean(),
      countsFailed: z.boolean(),
      countsThrottled: z.boolean(),
    }),
  ]),
  activeAccessTokens: count,
  refreshTokens: z.union([
    off,
    z.strictObject({
      max: count,
      overflow: z.enum(['evict', 'refuse']),
      per: z.enum(['user', 'user_and_client']).optional(),
    }),
  ]),
  deactivatedUser: text,
  refreshTokenCreation: z.union([off, z.strictObject(windowRule)]),
  codes: z.union([off, z.strictObject({ ...windowRule, answer: z.enum(['access_denied', 'roadblock']) })]),
  oldRevoke: z.enum(['there', 'gone']),
  revokeErrorStatus: z.number().int().min(200).max(599),
  revokeAtOtherDataCenter: z.enum(['accepted', 'refused']),
  clientCredentials: z.enum(['granted', 'invalid_soid', 'invalid_org', 'unsupported_grant_type']),
  deviceTimes: z.enum(['seconds', 'milliseconds']),
  devicePollSeconds: count,
  scopeEnhancement: z.enum(['granted', 'refused']),
  crmInvalidToken: z.enum(['INVALID_TOKEN', 'AUTHENTICATION_FAILURE']),
  crmInvalidTokenStatus: z.number().int().min(200).max(599),
  apiCallsPerMinute: z.union([off, count]),
  apiThrottleBody: z.enum(['product', 'none', 'html']),
}) satisfies z.ZodType<ZohoSettings>;
