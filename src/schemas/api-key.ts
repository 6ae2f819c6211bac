import { z } from 'zod';
import { limits } from '../base/limits.ts';
import { items } from './page.ts';
import { integrityFailed, list, nameField, providerField, tenantField, thing, time } from './thing.ts';
import { apiKeyRoles } from './words.ts';

const role = z.enum(apiKeyRoles).meta({
  description:
    '`admin`: everything. `operator`: everything but tokens, the proxy, keys, adopting, and moving a provider that has ' +
    'apps. `reader`: tokens, grants and the proxy. `caller`: grants and the proxy.',
  examples: ['reader'],
});

/**
 * The permissions of an API key at a server. `admin`: everything. `operator`: everything but tokens, the proxy, keys,
 * adopting, and moving a provider that has apps. `reader`: tokens, grants and the proxy. `caller`: grants and the proxy.
 * The last two act only for the tenants that the key names.
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
  created_at: '2026-11-01T10:00:00.000Z',
  expires_at: null,
  last_used_at: '2026-11-22T08:41:00.000Z',
};

const shape = {
  id: z.string(),
  name: z.string(),
  role,
  /** The tenants that a reader or caller acts for; none when empty. */
  tenants: list(z.string()).meta({ description: 'The tenants that a reader or caller acts for; none when empty.' }),
  /** The providers that a reader or caller acts at; `null` is all. */
  providers: list(z.string()).nullable().meta({ description: 'The providers that it acts at; `null` is all.' }),
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

export const apiKeyInputSchema = thing(
  {
    id: 'ApiKeyInput',
    description: 'An API key to make. Only a reader or a caller names tenants and providers.',
    example: { name: 'billing', role: 'reader', tenants: ['acme'], providers: ['zoho_crm'] },
    strict: true,
  },
  {
    name: nameField,
    role,
    tenants: list(tenantField, limits.apiKeyNamesMax).optional(),
    providers: list(providerField, limits.apiKeyNamesMax).optional(),
    expiresAt: time.optional(),
  },
);

/** An API key to make. */
export interface ApiKeyInput extends Omit<z.output<typeof apiKeyInputSchema>, 'name'> {}
