import { z } from 'zod';
import { limits } from '../base/limits.ts';
import { isSecretInAnswer } from '../base/secret-names.ts';

const url = z.string().max(limits.urlCharsMax);
const text = z.string().max(512);
const seconds = z.number().int().nonnegative().max(1_000_000_000);
const textMap = z.record(z.string().max(128), text);

const captureMap = textMap.superRefine((names, context) => {
  for (const [name, as] of Object.entries(names)) {
    if (!isSecretCapture(name, as)) continue;
    const message = 'a token, code or secret is not captured: metadata is not sealed';
    context.addIssue({ code: 'custom', path: [name], message });
  }
});

/** True for a member of `capture` that would put a token, a code or a secret into the metadata, by either name. */
export function isSecretCapture(name: string, as: unknown): boolean {
  return isSecretInAnswer(name) || (typeof as === 'string' && isSecretInAnswer(as));
}

/** Meaning of a provider's error for the grant; only `grant_refused` may end one. */
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
 * Recognises an answer of the token or revocation endpoint. Every given field must match. `error` and `description` are
 * compared without regard to case, `description` as a part of the provider's text.
 */
const errorRule = z.strictObject({
  error: text.optional(),
  status: z.number().int().min(100).max(599).optional(),
  description: text.optional(),
  /** The request that was answered; defaults to any. */
  on: z.enum(['exchange', 'refresh', 'revoke']).optional(),
  class: z.enum(errorClasses),
});

/** Recognises an API answer to an invalid access token. Every given field must match. */
const invalidTokenRule = z.strictObject({
  status: z.number().int().min(100).max(599).optional(),
  /** A JSON Pointer (RFC 6901) into the body. */
  pointer: z.string().max(256).optional(),
  /** The value at the pointer; defaults to any. */
  equals: z.union([z.string().max(256), z.number(), z.boolean(), z.null()]).optional(),
  /** Matches when there is no value at the pointer, such as in a body that names no cause. */
  absent: z.literal(true).optional(),
});

/** Groups of facts in a definition; each comes from a source, or is marked as a guess. */
export const factGroups = [
  'hosts',
  'scopes',
  'organization',
  'invalidToken',
  'scopeMissing',
  'health',
  'limits',
] as const;
export type FactGroup = (typeof factGroups)[number];

/** The confidence in a group of facts: the provider's own documentation, public code or reports, or a guess. */
export const confidences = ['documented', 'reported', 'guess'] as const;
export type Confidence = (typeof confidences)[number];

const source = z.strictObject({
  url,
  read: z.string().regex(/^\d{4}(-\d{2}){0,2}$/),
  note: text.optional(),
  /** The groups of facts that the source tells. */
  about: z.array(z.enum(factGroups)).max(factGroups.length).optional(),
});

const organizationPlace = z.strictObject({ in: z.enum(['header', 'query']), name: text });

const apiOrganization = organizationPlace.extend({
  /** Further places that the API reads. A caller who names an organisation there is not given a second one. */
  also: z.array(organizationPlace).max(4).optional(),
});

/** Rules of one product of a provider whose grants serve several. The call's host and path choose the product. */
const product = z.strictObject({
  id: z.string().regex(/^[a-z0-9_-]{1,64}$/, '1 to 64 of a-z 0-9 _ -'),
  /** Its hosts, the default one first: origins, or `{dc.NAME}`. Each must be in `api.hosts`. */
  hosts: z.array(url).min(1).max(16),
  /** Beginnings of its paths, such as `/books`; the longest one that fits decides. */
  paths: z
    .array(
      z
        .string()
        .regex(/^(?:\/[^/\\?#\s]+)+$/, 'a path without a slash at its end')
        .max(256),
    )
    .min(1)
    .max(64),
  defaults: textMap.optional(),
  /** The definition's `environments` hold for this product; the others are only in production. */
  environments: z.literal(true).optional(),
  organization: apiOrganization.optional(),
  invalidToken: z.array(invalidTokenRule).max(32).optional(),
  scopeMissing: z.array(invalidTokenRule).max(32).optional(),
});

const endpoints = z.strictObject({
  authorization: url.optional(),
  token: url.optional(),
  revocation: url.optional(),
  /** An older form that takes only `token`, without client authentication; tried when the current one is gone. */
  revocationLegacy: url.optional(),
});

/** The way in which a refresh token gains scopes and stays: a request brings a token for a page, where the user consents. */
const scopeEnhancement = z.strictObject({
  request: z.strictObject({
    /** On the origin of `endpoints.token`: the refresh token and the client secret go there. */
    url,
    /** Parameters beside the client's and `refresh_token`; one is `grant_type`. */
    parameters: textMap,
    /** A JSON Pointer to the token for the page. */
    token: z.string().max(256),
  }),
  browser: z.strictObject({
    url,
    /** Parameters beside `client_id`, `redirect_uri`, `scope` and `state`. */
    parameters: textMap,
    /** The parameter of the token. */
    token: text,
  }),
});

const pointer = z.string().max(256);

const organizations = z.strictObject({
  /** A JSON Pointer to their list, or to the only one; the empty pointer means the whole answer. */
  list: pointer,
  /** JSON Pointers in one of them: to its ids. The first is the one that is kept. */
  ids: z.array(pointer).min(1).max(4),
  /** A JSON Pointer in one of them: to its name. */
  name: pointer.optional(),
  /** A JSON Pointer in one of them: to `true` at the one that counts unless a call names another. */
  default: pointer.optional(),
  /** The member of metadata that calls take the id from, if it is not `org_id`. */
  member: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,63}$/)
    .optional(),
});

/** A call that tells the user who gave the consent. The first one whose scope was granted is made. */
const owner = z.strictObject({
  /** A path, or a URL that starts with `{dc.NAME}`: the accounts server knows its own users. */
  path: url,
  id: pointer,
  name: pointer.optional(),
  /** Recognises a user who is not active any more; each rule has a pointer. */
  inactive: z
    .array(z.strictObject({ pointer, equals: text }))
    .max(8)
    .optional(),
  scope: text,
});

const health = z.strictObject({
  method: z.enum(['GET', 'POST']).optional(),
  path: url,
  /** A JSON Pointer to the organisation's name. */
  name: z.string().max(256).optional(),
  /** The scope that the call needs. */
  scope: text.optional(),
  /** The organisations in the answer. */
  organizations: organizations.optional(),
  /** Omits the organisation id from this call, although the product's other calls need it. */
  withoutOrganization: z.boolean().optional(),
});

/** A scope of the provider, for people who choose some. */
const scopeEntry = z.strictObject({
  /** As the provider spells it, without spaces. */
  name: z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/, 'a scope: no spaces, quotes or backslashes'),
  /** The permission in words for a person: "Read leads". */
  words: z.string().min(1).max(200),
  /** The task that needs the scope: "Searching with COQL". */
  when: z.string().max(300).optional(),
  /** True if the scope reaches further than a program usually needs, such as one for a whole product. */
  broad: z.boolean().optional(),
  /** Set if the provider no longer honours the scope and those below it: what to ask for instead. */
  retired: z.string().min(1).max(300).optional(),
});

/**
 * Schema of a provider definition, as `grantry provider add` and `PUT /v1/providers/{provider}` accept it.
 *
 * Endpoints, `api.base` and `health` may contain `{dc.NAME}`, a look-up in `dataCenters`. Headers may contain
 * `{metadata.NAME}`.
 */
export const providerDefinition = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9_-]{1,64}$/, '1 to 64 of a-z 0-9 _ -'),
    /**
     * The id of a built-in provider whose members count where this definition has none of its own; in `api`, member by member.
     */
    extends: z.string().max(64).optional(),
    name: text.optional(),
    documentation: url.optional(),
    /** Sources of this definition's facts with their dates (a year, month or day), because providers change them. */
    sources: z.array(source).max(32).optional(),
    /** The confidence in each group of facts. */
    facts: z.partialRecord(z.enum(factGroups), z.enum(confidences)).optional(),
    /** Limits of the provider's API, in words for people. */
    limits: z.array(text).max(16).optional(),
    issuer: url.optional(),
    endpoints: endpoints.optional(),
    dataCenters: z.record(z.string().regex(/^[a-z0-9-]{1,32}$/), z.record(z.string().max(64), url)).optional(),
    /**
     * Data centres with client registrations of their own. A browser that comes back cannot lead a client of one into another:
     * neither code nor secret is sent there, unless the app has a secret for it.
     */
    separateDataCenters: z.array(z.string().max(32)).max(64).optional(),
    /**
     * Environments of an organisation, by name: hosts that stand in the place of the data centre's host of the same name.
     * `metadata.environment` chooses one, and no answer changes it. A value may be `{dc.NAME}`.
     */
    environments: z.record(z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/), z.record(z.string().max(64), url)).optional(),
    clientAuthentication: z
      .enum(['client_secret_post', 'client_secret_basic', 'none', 'private_key_jwt'])
      .default('client_secret_post'),
    pkce: z.enum(['S256', 'off']).default('S256'),
    pkceReason: text.optional(),
    /**
     * Names of callback parameters, whose values are only look-up keys into `dataCenters`. `issuerAlwaysSent`: the
     * provider promises an `iss` in every callback (RFC 9207), so a callback without one is refused.
     */
    callback: z
      .strictObject({
        dataCenter: text.optional(),
        accountsServer: text.optional(),
        issuerAlwaysSent: z.boolean().optional(),
      })
      .optional(),
    /**
     * Callback parameters and token answer members to keep in the grant's metadata, with their names there. Metadata is not
     * sealed, so neither may name a token, a code or a secret.
     */
    capture: z.strictObject({ callback: captureMap.optional(), token: captureMap.optional() }).optional(),
    scopePrefix: text.optional(),
    /** The scopes that the provider knows. Left out in the built-in definitions: `scopesOf` loads theirs when they are needed. */
    scopes: z.array(scopeEntry).max(512).optional(),
    scopeEnhancement: scopeEnhancement.optional(),
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
        /**
         * Set to `false` when the provider punishes a replay so hard that not even a lost answer is requested again.
         */
        replayAfterLoss: z.boolean().default(true),
        idleSeconds: seconds.nullable().default(null),
        absoluteSeconds: seconds.nullable().default(null),
        livePerUserAndClient: z.number().int().positive().nullable().default(null),
        /** Set to `account` when revoking one token ends every grant of the same account and app. */
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
    /**
     * The products that one grant serves. A call of one of them follows its rules in place of those in `api`, and a path
     * goes to its host.
     */
    products: z.array(product).max(128).optional(),
    api: z.strictObject({
      /** Origins that may receive an access token; `https://*.example.com` means every host below that name. */
      hosts: z.array(url).min(1).max(1024),
      base: url.optional(),
      basePath: z.string().max(256).default(''),
      /** Headers of each call that the caller may replace. */
      defaults: textMap.default({}),
      /** Headers of each call that the caller may not replace. */
      headers: textMap.default({}),
      organization: apiOrganization.optional(),
      invalidToken: z
        .array(invalidTokenRule)
        .max(32)
        .default([{ status: 401 }]),
      /**
       * Recognises an answer to a valid token that lacks a scope; takes precedence over an `invalidToken` rule with
       * only a status.
       */
      scopeMissing: z.array(invalidTokenRule).max(32).default([]),
      health: health.optional(),
      owner: z.array(owner).max(4).optional(),
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
    const pinned = Object.keys(definition.api.headers).map((name) => name.toLowerCase());
    const twice = Object.keys(definition.api.defaults).find((name) => pinned.includes(name.toLowerCase()));
    if (twice !== undefined) {
      const message = 'the same header is pinned in api.headers';
      context.addIssue({ code: 'custom', path: ['api', 'defaults', twice], message });
    }
    const { scopeEnhancement: enhancement, refreshToken } = definition;
    if (enhancement !== undefined && refreshToken.rotation !== 'none') {
      // Beside a refresh, a second use of the token could end the grant.
      const message = 'needs refreshToken.rotation "none"';
      context.addIssue({ code: 'custom', path: ['scopeEnhancement'], message });
    }
    if (enhancement !== undefined && originOf(enhancement.request.url) !== originOf(definition.endpoints?.token)) {
      const message = 'is not on the origin of endpoints.token, where refresh tokens go';
      context.addIssue({ code: 'custom', path: ['scopeEnhancement', 'request', 'url'], message });
    }
    if (definition.pkce === 'off' && definition.pkceReason === undefined) {
      context.addIssue({ code: 'custom', path: ['pkceReason'], message: 'pkce "off" needs a pkceReason' });
    }
  });

/** The origin of an endpoint: its own, or the reference to that of a data centre. */
function originOf(template: string | undefined): string | null {
  return /^(?:https?:\/\/[^/?#{}]+|\{dc\.[^{}]+\})(?=[/?#]|$)/.exec(template ?? '')?.[0] ?? null;
}

/**
 * A parsed definition with every default filled in.
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
/**
 * A definition that extends another one, as written in a file: only the id is required.
 *
 * @useDeclaredType
 */
export interface ExtendingDefinitionInput extends Partial<Omit<ProviderDefinitionInput, 'id' | 'api' | 'extends'>> {
  readonly id: string;
  /** The id of a built-in provider. */
  readonly extends: string;
  readonly api?: Partial<ProviderDefinitionInput['api']>;
}

/** One product of `products`. */
export type ProductRules = z.output<typeof product>;
/** One scope of a provider's scope table. */
export type ScopeEntry = z.output<typeof scopeEntry>;
/** One rule of `errors`. */
export type ErrorRule = ProviderDefinition['errors'][number];
/** One rule of `api.invalidToken` or `api.scopeMissing`. */
export type AnswerRule = ProviderDefinition['api']['invalidToken'][number];
