import { z } from 'zod';
import { seconds, thing, time } from './thing.ts';

const example = {
  access_token: '1000.2deaf8xxxxxxxxxxxxxd1b8.4c5xxxxxxxxxxxxxxxa',
  token_type: 'Bearer',
  expires_at: '2026-11-22T09:41:12.000Z',
  expires_in: 3_540,
  scope: 'ZohoCRM.modules.ALL ZohoCRM.org.READ',
  api_domain: 'https://www.zohoapis.eu',
  generation: 3,
  dc: 'eu',
};

const orUndefined = z
  .string()
  .nullable()
  .transform((text) => text ?? undefined);

export const tokenSchema = thing(
  { id: 'Token', description: 'An access token.', example },
  {
    accessToken: z.string(),
    /** The scheme to send it with, such as `Bearer`. */
    tokenType: z.string(),
    expiresAt: time,
    scopes: z
      .string()
      .transform((text): readonly string[] => (text === '' ? [] : text.split(' ')))
      .meta({ description: 'Scopes separated by spaces.' }),
    apiDomain: orUndefined,
    /** Counts the grant's token sets; name it when you report that the API rejects this token. */
    generation: z.int().meta({ description: "Counts the grant's token sets; reported when the API rejects a token." }),
    dc: z.string().optional().meta({ description: 'The data centre, where the provider has any.' }),
  },
  { names: { scopes: 'scope' }, jsonOnly: { expires_in: z.int().meta({ description: 'Seconds until it expires.' }) } },
);

type Parsed = z.output<typeof tokenSchema>;

/** An access token as handed out. */
export interface AccessToken extends Readonly<Omit<Parsed, 'apiDomain' | 'dc'>> {
  /** The API host that the provider named for this grant. */
  readonly apiDomain?: string;
  /** The data centre, where the provider has any. */
  readonly dc?: string;
}

/** The JSON form of a token, as the routes answer it and `grantry token --json` prints it. */
export type TokenJson = z.input<typeof tokenSchema>;

export const tokenReportSchema = thing(
  {
    id: 'TokenReport',
    description: 'A report that the API rejected the token of a generation.',
    example: { rejected_generation: 3 },
    strict: true,
  },
  {
    rejectedGeneration: z.int().min(1),
    minValidity: seconds.optional().meta({ description: 'Seconds for which the new token must be good.' }),
  },
);

export const exchangeSchema = thing(
  {
    id: 'TokenExchange',
    description: 'A token exchange request (RFC 8693).',
    example: {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: 'zoho_crm',
      subject_token: 'acme',
      client_id: '0b6f4c0e-5a53-4d8e-9a63-0c2f1f6f3a11',
      client_secret: 'gry_5S0x…',
    },
  },
  {
    grantType: z.literal('urn:ietf:params:oauth:grant-type:token-exchange'),
    audience: z.string().meta({ description: 'The provider.' }),
    subjectToken: z.string().meta({ description: "The tenant's name." }),
    subjectTokenType: z.string().optional(),
    requestedTokenType: z.literal('urn:ietf:params:oauth:token-type:access_token').optional(),
    scope: z.string().optional().meta({ description: 'Scopes that the token must have.' }),
    account: z.string().optional(),
    minValidity: z.string().optional().meta({ description: 'Seconds for which the token must be good.' }),
    clientId: z.string().optional().meta({ description: "The API key's id, unless HTTP Basic carries it." }),
    clientSecret: z.string().optional().meta({ description: 'The API key, unless HTTP Basic carries it.' }),
  },
);

export const exchangedSchema = thing(
  {
    id: 'ExchangedToken',
    description: 'An access token, in the form of RFC 8693.',
    example: {
      access_token: example.access_token,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 3_540,
      scope: example.scope,
      api_domain: example.api_domain,
      generation: 3,
    },
  },
  {
    accessToken: z.string(),
    issuedTokenType: z.string(),
    tokenType: z.string(),
    expiresIn: z.int().meta({ description: 'Seconds until it expires.' }),
    scope: z.string(),
    apiDomain: z.string().nullable(),
    generation: z.int(),
  },
);
