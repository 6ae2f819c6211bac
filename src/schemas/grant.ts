import { z } from 'zod';
import type { GrantryErrorCode } from '../base/errors.ts';
import type { GrantKey } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { page } from './page.ts';
import { appField, keyShape, keyText, list, seconds, secret, thing, time } from './thing.ts';
import { type grantReasons, grantStates, type StoreResult, storeResults } from './words.ts';

export const grantState = z
  .enum(grantStates)
  .meta({ description: 'The state of a grant; only `active` needs no attention.', examples: ['active'] });

const example = {
  tenant: 'acme',
  provider: 'zoho_crm',
  account: 'default',
  app: 'zoho-eu',
  state: 'active',
  reason: null,
  generation: 3,
  scopes: ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ'],
  scopes_missing: [],
  scopes_assumed: [],
  dc: 'eu',
  api_domain: 'https://www.zohoapis.eu',
  metadata: { dc: 'eu', api_domain: 'https://www.zohoapis.eu', org_id: '20071234567' },
  expires_at: '2026-11-22T09:41:12.000Z',
  last_refreshed_at: '2026-11-22T08:41:12.000Z',
  created_at: '2026-03-02T14:05:40.000Z',
  updated_at: '2026-11-22T08:41:12.000Z',
};

const metadata: z.ZodType<Readonly<Record<string, unknown>>, Record<string, unknown>> = z
  .record(z.string(), z.unknown())
  .meta({ description: 'Facts about the grant, such as `dc`, `org_id` or `environment`; never a secret.' });

/**
 * The reason for a grant's state: one of a list, or the code of the error with which its last refresh failed.
 *
 * @useDeclaredType
 */
export type GrantReason = (typeof grantReasons)[number] | GrantryErrorCode | (string & {});

const usedCall = z.object({
  /** Method, host and the first parts of the path. */
  call: z.string().meta({ examples: ['GET www.zohoapis.eu/crm/v8/Leads'] }),
  count: z.int(),
  /** The number of answers that a scope is missing. */
  refused: z.int().meta({ description: 'The number of answers that a scope is missing.' }),
  first_at: z.string(),
  last_at: z.string(),
});

const reason: z.ZodType<GrantReason | null, string | null> = z.string().nullable();

const shape = {
  ...keyShape,
  /** The app that refreshes this grant; `null` until one is known. */
  app: z.string().nullable(),
  state: grantState,
  /** The reason for a state other than `active`, in one word; docs/errors.md lists them. */
  reason,
  /** Counts the grant's token sets. */
  generation: z.int(),
  scopes: list(z.string()),
  /** Scopes that were asked for and not granted; empty where it is not known what was asked for. */
  scopesMissing: list(z.string()).meta({
    description: 'Scopes that were asked for and not granted; empty where it is not known what was asked for.',
  }),
  /** Those of the scopes that were added and that no answer of the provider has named yet. */
  scopesAssumed: list(z.string()).meta({
    description: 'Those of the scopes that were added and that no answer of the provider has named yet.',
  }),
  /** The data centre; `null` where the provider has none. */
  dc: z.string().nullable(),
  /** The API host that the provider named for this grant, else the one of its data centre. */
  apiDomain: z.string().nullable(),
  metadata,
  /** The calls that long-running processes made with it, the latest first; only where one grant is shown. */
  calls: list(usedCall).optional().meta({
    description: 'The calls that long-running processes made with it, the latest first; only where one grant is shown.',
  }),
  /** The expiry of the access token. */
  expiresAt: time.nullable(),
  lastRefreshedAt: time.nullable(),
  createdAt: time,
  updatedAt: time,
};

export const grantSchema = thing({ id: 'Grant', description: 'A grant without its secrets.', example }, shape);

/** A grant without its secrets. */
export interface Grant extends Readonly<z.output<typeof grantSchema>> {}

export const grantPageSchema = page('GrantPage', 'Grants, in the order of their keys.', grantSchema, example);

/** One page of grants. */
export interface GrantPage extends Readonly<z.output<typeof grantPageSchema>> {}

export const storeResult = z.enum(storeResults).meta({
  description:
    '`imported`: a new grant. `replaced`: an existing grant was changed. `unchanged`: the grant has had this token, and ' +
    'what is stored is the same or newer. `kept`: the grant has tokens of another authorization, which stay. ' +
    '`condemned`: the provider refused the grant, and this token cannot bring it back. `disconnected`: the grant was ' +
    'disconnected and stays so.',
});

export const differs = list(z.string()).meta({
  description: 'Members that differ from the input and stay as they are, such as `metadata.org_id`.',
  examples: [['metadata.org_id']],
});

export const storedGrantSchema = thing(
  {
    id: 'StoredGrant',
    description: 'A grant whose tokens were stored, and the other grants that hold the same refresh token.',
    example: { ...example, shared_with: [], result: 'replaced', differs: [] },
  },
  {
    ...shape,
    /** The provider revokes and limits all of them together. */
    sharedWith: list(keyText).meta({ description: 'Each as TENANT/PROVIDER/ACCOUNT.' }),
    result: storeResult,
    differs,
  },
);

/** A grant whose tokens were just stored, and the other holders of its refresh token. */
export interface StoredTokens {
  readonly grant: Grant;
  /** `imported`: a new grant. `unchanged`: it has had this token. `kept`, `condemned`: what is stored stays as it is. */
  readonly result: StoreResult;
  /** Members in which the grant differs from the input and stays as it is, such as `metadata.org_id`. */
  readonly differs: readonly string[];
  /** Other grants that hold the same refresh token: they share the provider's limits and end together. */
  readonly sharedWith: readonly GrantKey[];
}

const tokenText = secret(limits.tokenCharsMax);

export const tokensInputShape = {
  /** The app that the tokens were issued to; may be left out where only one fits. */
  app: appField.optional(),
  refreshToken: tokenText,
  accessToken: tokenText.optional(),
  /** Seconds from now. Without it, or without an access token, the first hand-out refreshes. */
  expiresIn: seconds.optional().meta({ description: 'The life of the access token in seconds from now.' }),
  scopes: z
    .string()
    .max(limits.scopeCharsMax * 16)
    .transform((text): readonly string[] => text.split(' ').filter((scope) => scope !== ''))
    .optional()
    .meta({ description: 'Scopes separated by spaces; also by commas, if the provider separates them so.' }),
  metadata: metadata.optional(),
  /** True replaces also what another authorization stored since, and a tombstone; false changes no existing grant. */
  replace: z
    .boolean()
    .optional()
    .meta({
      description:
        'Without it, a token that the grant never had replaces the stored one. `true` also replaces the tokens of a ' +
        'later authorization, and connects a disconnected grant again. `false` leaves an existing grant as it is.',
    }),
};

export const tokensInputExample = {
  app: 'zoho-eu',
  refresh_token: '1000.8cb99dxxxxxxxxxxxxx9be93.9b8xxxxxxxxxxxxxxxf',
  scope: 'ZohoCRM.modules.ALL ZohoCRM.org.READ',
  metadata: { dc: 'eu' },
};

/** The JSON names of tokens that are not simply the library's. */
export const tokensInputNames = { scopes: 'scope' } as const;

export const tokensInputSchema = thing(
  { id: 'StoreTokens', description: 'Tokens that were obtained elsewhere.', example: tokensInputExample, strict: true },
  tokensInputShape,
  { names: tokensInputNames },
);

/** Tokens that were obtained elsewhere. */
export interface TokensInput extends z.output<typeof tokensInputSchema> {}

export const grantUpdateSchema = thing(
  {
    id: 'GrantUpdate',
    description: 'Changes of a grant. A metadata member is set to its value, or removed by `null`; all others stay.',
    example: { metadata: { org_id: '20071234567', environment: null } },
    strict: true,
  },
  { metadata },
);
