import { z } from 'zod';
import { limits } from '../base/limits.ts';

const url = z.string().max(limits.urlCharsMax);
const text = z.string().max(512);
const seconds = z.number().int().nonnegative().max(1_000_000_000);
const textMap = z.record(z.string().max(128), text);

/** What a provider's answer means for the grant; only `grant_refused` may ever condemn one. */
export const errorClasses = [
  'grant_refused',
  'client_refused',
  'throttled',
  'unavailable',
  'scope_refused',
  'not_understood',
] as const;
export type ErrorClass = (typeof errorClasses)[number];

export const rotationClasses = ['none', 'timed_overlap', 'retire_on_use', 'strict'] as const;
export type RotationClass = (typeof rotationClasses)[number];

/**
 * Recognises an answer of the token or revocation endpoint. Every field that is given must match; `error` and
 * `description` are compared without regard to case, `description` as a part of the provider's text.
 */
const errorRule = z.strictObject({
  error: text.optional(),
  status: z.number().int().min(100).max(599).optional(),
  description: text.optional(),
  /** The request that was answered; any when left out. */
  on: z.enum(['exchange', 'refresh', 'revoke']).optional(),
  class: z.enum(errorClasses),
});

/** Recognises an API answer that says "this access token is no good". Every field that is given must match. */
const invalidTokenRule = z.strictObject({
  status: z.number().int().min(100).max(599).optional(),
  /** A JSON Pointer (RFC 6901) into the body. */
  pointer: z.string().max(256).optional(),
  /** What stands at the pointer; anything when left out. */
  equals: z.union([z.string().max(256), z.number(), z.boolean(), z.null()]).optional(),
  /** Matches when nothing stands at the pointer: a body that does not say why. */
  absent: z.literal(true).optional(),
});

const endpoints = z.strictObject({
  authorization: url.optional(),
  token: url.optional(),
  revocation: url.optional(),
  /** An older form that takes `token` alone, without client authentication; tried when the current one is gone. */
  revocationLegacy: url.optional(),
});

const health = z.strictObject({
  method: z.enum(['GET', 'POST']).optional(),
  path: url,
  /** A JSON Pointer to the organisation's name. */
  name: z.string().max(256).optional(),
  /** The scope that the call needs. */
  scope: text.optional(),
  /** Sends no organisation id with this call, although the product's other calls want one. */
  withoutOrganization: z.boolean().optional(),
});

/**
 * A provider as data: contract of `grantry provider add` and of `PUT /v1/providers/{provider}`.
 *
 * Endpoints, `api.base` and `health` may contain `{dc.NAME}`, which is looked up in `dataCenters`, and
 * `{metadata.NAME}` in headers.
 */
export const providerDefinition = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9_-]{1,64}$/, '1 to 64 of a-z 0-9 _ -'),
    name: text.optional(),
    documentation: url.optional(),
    /** Where the facts of this definition were read, and when (a year, month or day): providers change them. */
    sources: z
      .array(z.strictObject({ url, read: z.string().regex(/^\d{4}(-\d{2}){0,2}$/), note: text.optional() }))
      .max(32)
      .optional(),
    issuer: url.optional(),
    endpoints: endpoints.optional(),
    dataCenters: z.record(z.string().regex(/^[a-z0-9-]{1,32}$/), z.record(z.string().max(64), url)).optional(),
    clientAuthentication: z
      .enum(['client_secret_post', 'client_secret_basic', 'none', 'private_key_jwt'])
      .default('client_secret_post'),
    pkce: z.enum(['S256', 'off']).default('S256'),
    pkceReason: text.optional(),
    /**
     * Names of callback parameters; what they carry is a look-up key into `dataCenters` and nothing else.
     * `issuerAlwaysSent`: the provider promises an `iss` in every callback (RFC 9207), so one without is refused.
     */
    callback: z
      .strictObject({
        dataCenter: text.optional(),
        accountsServer: text.optional(),
        issuerAlwaysSent: z.boolean().optional(),
      })
      .optional(),
    /** Which callback parameters and token answer members are kept in the grant's metadata, and under which name. */
    capture: z.strictObject({ callback: textMap.optional(), token: textMap.optional() }).optional(),
    scopePrefix: text.optional(),
    scopeSeparator: z.string().min(1).max(3).default(' '),
    /** `dotted`: `Service.part.OPERATION`, compared without regard to case; `ALL` and a shorter path cover the rest. */
    scopeMatching: z.enum(['exact', 'dotted']).default('exact'),
    authorizationParameters: textMap.default({}),
    refreshParameters: textMap.default({}),
    accessToken: z
      .strictObject({
        lifetimeSeconds: seconds.min(1).default(3600),
        expiresInUnit: z.enum(['s', 'ms']).default('s'),
        scheme: z
          .string()
          .regex(/^[A-Za-z][A-Za-z0-9-]{0,31}$/)
          .default('Bearer'),
        earlyRefreshSeconds: seconds.default(300),
      })
      .prefault({}),
    refreshToken: z
      .strictObject({
        rotation: z.enum(rotationClasses).default('strict'),
        overlapSeconds: seconds.default(0),
        reuse: z.enum(['error', 'revokes_family']).default('error'),
        /** `false` where a replay is punished so hard that even a lost answer is not asked for again. */
        replayAfterLoss: z.boolean().default(true),
        idleSeconds: seconds.nullable().default(null),
        absoluteSeconds: seconds.nullable().default(null),
        livePerUserAndClient: z.number().int().positive().nullable().default(null),
        /** `account` where revoking one token ends everything that the same account gave to the app. */
        revocationEnds: z.enum(['token', 'account']).default('token'),
      })
      .prefault({}),
    tokenLimit: z
      .strictObject({
        requests: z.number().int().positive(),
        windowSeconds: seconds.min(1).max(limits.tokenWindowSecondsMax),
      })
      .optional(),
    errors: z.array(errorRule).max(64).default([]),
    api: z.strictObject({
      /** Origins that may get an access token; `https://*.example.com` stands for every host below that name. */
      hosts: z.array(url).min(1).max(512),
      base: url.optional(),
      basePath: z.string().max(256).default(''),
      headers: textMap.default({}),
      organization: z.strictObject({ in: z.enum(['header', 'query']), name: text }).optional(),
      invalidToken: z
        .array(invalidTokenRule)
        .max(32)
        .default([{ status: 401 }]),
      /** Recognises "the token is good, but lacks a scope"; wins over an `invalidToken` rule that has a status alone. */
      scopeMissing: z.array(invalidTokenRule).max(32).default([]),
      health: health.optional(),
    }),
  })
  .superRefine((definition, context) => {
    if (definition.issuer === undefined && definition.endpoints?.token === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['endpoints', 'token'],
        message: 'endpoints.token or issuer is required',
      });
    }
    if (definition.pkce === 'off' && definition.pkceReason === undefined) {
      context.addIssue({ code: 'custom', path: ['pkceReason'], message: 'pkce "off" needs a pkceReason' });
    }
  });

/**
 * A provider definition as parsed: every default is filled in.
 *
 * @useDeclaredType
 */
export type ProviderDefinition = z.output<typeof providerDefinition>;
/**
 * A provider definition as written in a file.
 *
 * @useDeclaredType
 */
export type ProviderDefinitionInput = z.input<typeof providerDefinition>;
/** One rule of `errors`. */
export type ErrorRule = ProviderDefinition['errors'][number];
/** One rule of `api.invalidToken` or `api.scopeMissing`. */
export type AnswerRule = ProviderDefinition['api']['invalidToken'][number];
