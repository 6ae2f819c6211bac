import { z } from 'zod';
import { errorCodes, type GrantryErrorCode } from '../base/errors.ts';
import { limits } from '../base/limits.ts';

const nameChars = /^[a-zA-Z0-9][a-zA-Z0-9._@:-]{0,127}$/;

export const nameSchema = z
  .string()
  .regex(nameChars)
  .describe('1 to 128 of a-z A-Z 0-9 . _ @ : - starting with a letter or digit');
export const providerIdSchema = z
  .string()
  .regex(/^[a-z0-9_-]{1,64}$/)
  .describe('A provider id, such as zoho_crm');

/** A number in a query, as text. */
const secondsText = z
  .string()
  .regex(/^\d{1,8}$/)
  .transform(Number)
  .pipe(z.number().max(limits.minValiditySecondsMax))
  .describe('Seconds');

export const tokenQuery = z.strictObject({ account: nameSchema.optional(), min_validity: secondsText.optional() });

const codes: GrantryErrorCode[] = Object.keys(errorCodes).filter((code): code is GrantryErrorCode =>
  Object.hasOwn(errorCodes, code),
);

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(codes),
    action: z.string().describe('What the person must do'),
    retry_after: z.int().optional().describe('Seconds'),
  })
  .meta({ id: 'Problem' });

export const stateSchema = z.enum([
  'active',
  'uncertain',
  'suspect',
  'reauthorization_required',
  'quarantined',
  'disconnected',
]);

const time = z.iso.datetime();

export const tokenSchema = z
  .object({
    access_token: z.string(),
    token_type: z.string(),
    expires_at: time,
    expires_in: z.int().describe('Seconds'),
    scope: z.string(),
    api_domain: z.string().nullable(),
    generation: z.int(),
  })
  .meta({ id: 'Token' });

export const grantSchema = z
  .object({
    tenant: z.string(),
    provider: z.string(),
    account: z.string(),
    app: z.string().nullable(),
    state: stateSchema,
    reason: z.string().nullable(),
    generation: z.int(),
    scopes: z.array(z.string()),
    dc: z.string().nullable(),
    api_domain: z.string().nullable(),
    metadata: z.record(z.string(), z.unknown()),
    expires_at: time.nullable(),
    last_refreshed_at: time.nullable(),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'Grant' });

export const grantPageSchema = z
  .object({ items: z.array(grantSchema), next_cursor: z.string().nullable() })
  .meta({ id: 'GrantPage' });

const tokenText = z.string().min(1).max(limits.tokenCharsMax);
const scopeText = z.string().max(limits.scopeCharsMax * 16);
const metadata = z.record(z.string(), z.unknown());

export const storeTokensSchema = z
  .strictObject({
    app: nameSchema.optional(),
    refresh_token: tokenText,
    access_token: tokenText.optional(),
    expires_in: z.number().min(0).max(limits.minValiditySecondsMax).optional().describe('Seconds from now'),
    scope: scopeText.optional().describe('Separated by spaces'),
    metadata: metadata.optional(),
  })
  .meta({ id: 'StoreTokens' });

export const rejectSchema = z
  .strictObject({
    rejected_generation: z.int().min(1),
    min_validity: z.number().min(0).max(limits.minValiditySecondsMax).optional().describe('Seconds'),
  })
  .meta({ id: 'RejectToken' });

const secretText = z.string().min(1).max(limits.clientSecretCharsMax);
const urls = z.array(z.string().max(limits.urlCharsMax)).max(100);

export const appInputSchema = z
  .strictObject({
    provider: providerIdSchema,
    client_id: z.string().min(1).max(limits.clientIdCharsMax),
    client_secret: secretText.optional(),
    client_secrets: z.record(z.string().max(16), secretText).optional().describe('A secret per data centre'),
    dc: z.string().max(16).optional(),
    redirect_uri: z.string().max(limits.urlCharsMax).optional(),
    scopes: z.array(z.string().max(limits.scopeCharsMax)).max(limits.scopesMax).optional(),
    tenants: z.array(nameSchema).max(limits.apiKeyNamesMax).optional(),
    return_to: urls.optional().describe('Exact URLs'),
  })
  .meta({ id: 'AppInput' });

export const appSchema = z
  .object({
    name: z.string(),
    provider: z.string(),
    client_id: z.string(),
    dc: z.string().nullable(),
    redirect_uri: z.string(),
    scopes: z.array(z.string()),
    tenants: z.array(z.string()).nullable(),
    return_to: z.array(z.string()),
    secrets: z.array(z.string()).describe('The data centres that have a secret; * is the one for all others'),
  })
  .meta({ id: 'App' });

export const providerSummarySchema = z
  .object({ id: z.string(), name: z.string(), built_in: z.boolean() })
  .meta({ id: 'ProviderSummary' });

/** Checked in full by the catalogue itself, with messages that name the member. */
export const definitionSchema = z.record(z.string(), z.unknown()).meta({ id: 'ProviderDefinition' });

const roleSchema = z.enum(['admin', 'operator', 'reader', 'caller']);

export const keyInputSchema = z
  .strictObject({
    name: nameSchema,
    role: roleSchema,
    tenants: z.array(nameSchema).max(limits.apiKeyNamesMax).optional(),
    providers: z.array(providerIdSchema).max(limits.apiKeyNamesMax).optional(),
    expires_at: time.optional(),
  })
  .meta({ id: 'ApiKeyInput' });

export const keySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: roleSchema,
    tenants: z.array(z.string()),
    providers: z.array(z.string()).nullable(),
    created_at: time,
    expires_at: time.nullable(),
    last_used_at: time.nullable(),
  })
  .meta({ id: 'ApiKey' });

export const newKeySchema = keySchema.extend({ key: z.string().describe('Shown this once') }).meta({ id: 'NewApiKey' });

export const healthSchema = z
  .object({
    status: z.enum(['healthy', 'unhealthy']),
    tenant: z.string(),
    provider: z.string(),
    account: z.string(),
    org_name: z.string().nullable().optional(),
    dc: z.string().nullable(),
    token_fingerprint: z.string().optional(),
    missing_scope: z.string().optional(),
    error: z.string().optional(),
    message: z.string().optional(),
    action: z.string().optional(),
    action_required: z.boolean().optional(),
  })
  .meta({ id: 'Health' });

export const recoverSchema = z
  .object({
    tenant: z.string(),
    provider: z.string(),
    account: z.string(),
    outcome: z.enum(['recovered', 'refused', 'under_way', 'failed', 'not_needed']),
    tried: z.int(),
    error: z.string().optional(),
  })
  .meta({ id: 'Recovery' });

export const adoptInputSchema = z.strictObject({ after_restore: z.boolean().optional() }).meta({ id: 'AdoptInput' });

export const adoptSchema = z
  .object({
    items: z.array(
      z.object({
        tenant: z.string(),
        provider: z.string(),
        account: z.string(),
        outcome: z.enum(['refreshed', 'failed', 'not_probed']),
        error: z.string().optional(),
      }),
    ),
  })
  .meta({ id: 'Adoption' });

export const connectInputSchema = z
  .strictObject({
    tenant: nameSchema,
    provider: providerIdSchema,
    app: nameSchema.optional(),
    account: nameSchema.optional(),
    scopes: z.array(z.string().max(limits.scopeCharsMax)).max(limits.scopesMax).optional(),
    return_to: z.string().max(limits.urlCharsMax).optional().describe("An entry of the app's list, letter by letter"),
    user: z
      .string()
      .min(1)
      .max(limits.userCharsMax)
      .optional()
      .describe('Who is to come back, as the backend at return_to names its user'),
  })
  .meta({ id: 'ConnectSessionInput' });

export const newConnectSchema = z
  .object({ id: z.string(), url: z.string().describe("For the tenant's user"), expires_at: time })
  .meta({ id: 'NewConnectSession' });

const scopeList = z.array(z.string());

export const connectSessionSchema = z
  .object({
    id: z.string(),
    tenant: z.string(),
    provider: z.string(),
    account: z.string(),
    app: z.string(),
    scopes: scopeList.describe('Asked for'),
    return_to: z.string().nullable(),
    user: z.string().nullable(),
    state: z.enum(['open', 'started', 'pending', 'completed', 'failed', 'expired']),
    error: z.string().nullable().describe('What went wrong last'),
    granted_scopes: scopeList.nullable(),
    narrower: scopeList.nullable().describe('Asked for and not granted'),
    wider: scopeList.nullable().describe('Granted and not asked for'),
    created_at: time,
    expires_at: time,
    completed_at: time.nullable(),
  })
  .meta({ id: 'ConnectSession' });

export const completeInputSchema = z
  .strictObject({
    completion_code: z.string().min(1).max(limits.nameCharsMax),
    user: z.string().min(1).max(limits.userCharsMax).optional(),
  })
  .meta({ id: 'CompleteConnectSession' });
