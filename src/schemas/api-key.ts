import { z } from 'zod';
import { limits } from '../base/limits.ts';
import { items } from './page.ts';
import { integrityFailed, list, nameField, providerField, tenantField, thing, time } from './thing.ts';
import { apiKeyRoles, callMethods } from './words.ts';

const role = z.enum(apiKeyRoles).meta({
  description:
    '`admin`: everything. `operator`: everything but tokens, the proxy, keys, adopting, and moving a provider that has ' +
    'apps. `reader`: tokens, grants and the proxy. `caller`: grants and the proxy. `connector`: grants and connect sessions.',
  examples: ['reader'],
});

/**
 * The permissions of an API key at a server. `admin`: everything. `operator`: everything but tokens, the proxy, keys,
 * adopting, and moving a provider that has apps. `reader`: tokens, grants and the proxy. `caller`: grants and the proxy.
 * `connector`: grants and connect sessions. The last three act only for the tenants that the key names.
 *
 * @useDeclaredType
 */
export type ApiKeyRole = z.output<typeof role>;

const example = {
  id: '0b6f4c0e-5a53-4d8e-9a63-0c2f1f6f3a11',
  name: 'billing',
  role: 'reader',
  tenants: ['acme'],
  providers: null,
  methods: null,
  paths: null,
  origins: null,
  parent: null,
  created_at: '2026-11-01T10:00:00.000Z',
  expires_at: null,
  last_used_at: '2026-11-22T08:41:00.000Z',
};

/** All tenants, also those that come later. `*` is the name of no tenant. */
const allTenants = z.literal('*');
const method = z.enum(callMethods);
const path = z
  .string()
  .max(limits.apiKeyPathCharsMax)
  .meta({
    description: 'A path without its query; `*` is one segment or a part of it, `**` any number of segments.',
    examples: ['/crm/v8/Leads/**'],
  });

const shape = {
  id: z.string(),
  name: z.string(),
  role,
  /** The tenants that a reader, caller or connector acts for; none when empty, `*` is all. */
  tenants: z.union([allTenants, list(z.string())]).meta({
    description: 'The tenants that a reader, caller or connector acts for; none when empty, `*` is all.',
  }),
  /** The providers that it acts at; `null` is all. */
  providers: list(z.string()).nullable().meta({ description: 'The providers that it acts at; `null` is all.' }),
  /** The methods of its API calls through the proxy; `null` is all. */
  methods: list(method)
    .nullable()
    .meta({ description: 'The methods of its API calls through the proxy; `null` is all.' }),
  /** The paths of its API calls through the proxy; `null` is all. */
  paths: list(path).nullable().meta({ description: 'The paths of its API calls through the proxy; `null` is all.' }),
  /** The origins whose pages may call the proxy with it; `null` is none. */
  origins: list(z.string())
    .nullable()
    .meta({ description: 'The origins whose pages may call the proxy with it; `null` is none.' }),
  /** The id of the key that made it, and with which it ends; `null` for all others. */
  parent: z.string().nullable().meta({ description: 'The id of the key that made it, and with which it ends.' }),
  createdAt: time,
  expiresAt: time.nullable(),
  /** Accurate to the minute: uses are recorded in batches. */
  lastUsedAt: time.nullable().meta({ description: 'Accurate to the minute.' }),
  integrityFailed,
};

export const apiKeySchema = thing({ id: 'ApiKey', description: 'An API key, without the key itself.', example }, shape);

/** An API key, without the key itself. */
export interface ApiKey extends Readonly<z.output<typeof apiKeySchema>> {}

export const apiKeyListSchema = items('ApiKeyList', 'All live API keys.', apiKeySchema, example);

export const newApiKeySchema = thing(
  {
    id: 'NewApiKey',
    description: 'An API key that was just made. No later answer shows the key again.',
    example: { ...example, key: 'gry_5S0x…' },
  },
  { ...shape, key: z.string().meta({ description: 'The key itself, shown only this once.' }) },
);

const tenantsInput = z.union([allTenants, list(tenantField, limits.apiKeyNamesMax)]).meta({
  description: '`"*"` for all tenants, also those that come later; or a list.',
});
const providersInput = list(providerField, limits.apiKeyNamesMax);
const methodsInput = list(method, callMethods.length);
const pathsInput = list(path, limits.apiKeyPathsMax);
const originsInput = list(z.string().max(limits.urlCharsMax), limits.apiKeyOriginsMax).meta({
  description: 'Origins of pages that may call the proxy with the key, such as `https://widget.example`. Callers only.',
});

export const apiKeyInputSchema = thing(
  {
    id: 'ApiKeyInput',
    description:
      'An API key to make. Only a reader, caller or connector names tenants and providers; only a reader or caller ' +
      'names methods and paths, and only a caller names origins.',
    example: { name: 'billing', role: 'reader', tenants: ['acme'], providers: ['zoho_crm'] },
    strict: true,
  },
  {
    name: nameField,
    role,
    tenants: tenantsInput.optional(),
    providers: providersInput.optional(),
    methods: methodsInput.optional(),
    paths: pathsInput.optional(),
    origins: originsInput.optional(),
    expiresAt: time.optional(),
  },
);

/** An API key to make. */
export interface ApiKeyInput extends Omit<z.output<typeof apiKeyInputSchema>, 'name'> {}

export const apiKeyUpdateSchema = thing(
  {
    id: 'ApiKeyUpdate',
    description:
      'Changes of an API key. A list replaces the former one; `null` removes a limit, and for tenants the list.',
    example: { tenants: ['acme', 'globex'], expires_at: '2027-01-31T00:00:00Z' },
    strict: true,
  },
  {
    name: nameField.optional(),
    role: role.optional(),
    tenants: tenantsInput.nullable().optional(),
    providers: providersInput.nullable().optional(),
    methods: methodsInput.nullable().optional(),
    paths: pathsInput.nullable().optional(),
    origins: originsInput.nullable().optional(),
    expiresAt: time.nullable().optional(),
  },
);

/** Changes of an API key. What is left out stays; `null` removes a limit, and for tenants the list. */
export interface ApiKeyUpdate extends z.output<typeof apiKeyUpdateSchema> {}

export const childKeyInputSchema = thing(
  {
    id: 'ChildKeyInput',
    description:
      'A child key to make: narrower than its parent, for an hour at most. What is left out is as at the parent.',
    example: { name: 'agent-7', role: 'caller', tenants: ['acme'], methods: ['GET'], paths: ['/crm/v8/Leads/**'] },
    strict: true,
  },
  {
    name: nameField.optional().meta({ description: "The child's name behind `PARENT:`; a random one when left out." }),
    role: role.optional(),
    tenants: tenantsInput.optional(),
    providers: providersInput.optional(),
    methods: methodsInput.optional(),
    paths: pathsInput.optional(),
    origins: originsInput.optional(),
    expiresAt: time.optional().meta({ description: 'A later end than in an hour counts as in an hour.' }),
  },
);

/** A child key to make. What is left out is as at its parent. */
export interface ChildKeyInput extends z.output<typeof childKeyInputSchema> {}
