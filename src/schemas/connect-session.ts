import { z } from 'zod';
import { limits } from '../base/limits.ts';
import { page } from './page.ts';
import { scopeWarnings } from './scope-finding.ts';
import {
  accountField,
  appField,
  integrityFailed,
  keyShape,
  list,
  providerField,
  scopesInput,
  tenantField,
  thing,
  time,
} from './thing.ts';
import { sessionStates } from './words.ts';

const id = '6f1c1b1e-8a55-4c40-9d4e-6f3f6f1f9a10';

const example = {
  id,
  tenant: 'acme',
  provider: 'zoho_crm',
  account: 'default',
  app: 'zoho-eu',
  scopes: ['ZohoCRM.modules.ALL'],
  add_scopes: null,
  return_to: 'https://app.example/connected',
  user: 'user-42',
  environment: null,
  expect_organization: '20071234567',
  state: 'completed',
  error: null,
  detail: null,
  granted_scopes: ['ZohoCRM.modules.ALL'],
  narrower: [],
  wider: [],
  created_at: '2026-11-22T08:40:00.000Z',
  expires_at: '2026-11-22T09:10:00.000Z',
  completed_at: '2026-11-22T08:41:12.000Z',
};

export const connectSessionSchema = thing(
  { id: 'ConnectSession', description: 'A connect session: neither its link nor its code.', example },
  {
    id: z.string(),
    ...keyShape,
    app: z.string(),
    /** The scopes that are asked for. */
    scopes: list(z.string()).meta({ description: 'The scopes that are asked for.' }),
    /** Those of them that an existing grant gains; `null` for a new consent. */
    addScopes: list(z.string()).nullable().meta({
      description: 'Those of them that an existing grant gains; `null` for a new consent.',
    }),
    returnTo: z.string().nullable(),
    user: z.string().nullable(),
    /** The environment of the organisation, such as `sandbox`. */
    environment: z.string().nullable().meta({ description: 'The environment of the organisation, such as `sandbox`.' }),
    /** The id of the only organisation whose consent is stored. */
    expectOrganization: z
      .string()
      .nullable()
      .meta({ description: 'The id of the only organisation whose consent is stored.' }),
    state: z.enum(sessionStates),
    /** The code of the last failure. */
    error: z.string().nullable().meta({ description: 'The code of the last failure.' }),
    /** The last failure in words. */
    detail: z.string().nullable().meta({ description: 'The last failure in words.' }),
    /** `null` until the provider has answered. */
    grantedScopes: list(z.string()).nullable().meta({ description: '`null` until the provider has answered.' }),
    /** Scopes that were asked for and not granted. */
    narrower: list(z.string()).nullable().meta({ description: 'Scopes that were asked for and not granted.' }),
    /** Scopes that were granted and not asked for. */
    wider: list(z.string()).nullable().meta({ description: 'Scopes that were granted and not asked for.' }),
    createdAt: time,
    expiresAt: time,
    completedAt: time.nullable(),
    integrityFailed,
  },
);

/** A connect session: neither its link nor its code. */
export interface ConnectSession extends Readonly<z.output<typeof connectSessionSchema>> {}

export const connectSessionPageSchema = page(
  'ConnectSessionPage',
  'Connect sessions, newest first.',
  connectSessionSchema,
  example,
);

/** One page of connect sessions. */
export interface ConnectSessionPage extends Readonly<z.output<typeof connectSessionPageSchema>> {}

export const newConnectSessionSchema = thing(
  {
    id: 'NewConnectSession',
    description: 'A connect session that was just made. No later answer shows the link again.',
    example: { id, url: 'https://grants.example/connect/3q2-7w…', expires_at: example.expires_at, warnings: [] },
  },
  {
    id: z.string(),
    url: z.string().meta({ description: "The link that the tenant's user opens." }),
    expiresAt: time,
    /** For operators: the consent may end another grant, because a user's places at the provider run out. */
    warning: z.string().optional().meta({
      description:
        "For keys that may operate: the consent may end another grant, because a user's places at the provider run out.",
    }),
    warnings: scopeWarnings,
  },
);

/** A connect session that was just made, with its link. */
export interface NewConnectSession extends Readonly<z.output<typeof newConnectSessionSchema>> {}

const user = z.string().min(1).max(limits.userCharsMax);

export const connectSessionInputSchema = thing(
  {
    id: 'ConnectSessionInput',
    description: "A link to make, with which a tenant's user connects the tenant to a provider.",
    example: { tenant: 'acme', provider: 'zoho_crm', return_to: 'https://app.example/connected', user: 'user-42' },
    strict: true,
  },
  {
    tenant: tenantField,
    provider: providerField,
    app: appField.optional(),
    account: accountField.optional(),
    /** The app's own scopes when left out. */
    scopes: scopesInput.optional().meta({ description: "The app's own scopes when left out." }),
    /** Scopes that an existing grant gains. Where the provider can, its refresh token stays. Not together with `scopes`. */
    addScopes: scopesInput.optional().meta({
      description:
        'Scopes that an existing grant gains. Where the provider can, its refresh token stays. Not together with `scopes`.',
    }),
    /** The address for the browser afterwards: exactly one of the app's list. */
    returnTo: z
      .string()
      .max(limits.urlCharsMax)
      .optional()
      .meta({ description: "The address for the browser afterwards: exactly one of the app's `return_to`." }),
    /** The user who must come back, as the backend at `returnTo` names them. */
    user: user.optional().meta({ description: 'The user who must come back, as the backend at return_to names them.' }),
    /** The environment of the organisation, such as `sandbox`, where the provider has several. */
    environment: z
      .string()
      .max(32)
      .optional()
      .meta({ description: 'The environment of the organisation, such as `sandbox`, where the provider has several.' }),
    /** The id of the only organisation whose consent is stored; a consent for another one is refused and revoked. */
    expectOrganization: z.string().min(1).max(limits.nameCharsMax).optional().meta({
      description: 'The id of the only organisation whose consent is stored. A consent for another one is revoked.',
    }),
  },
);

/** A connect session to make. */
export interface ConnectSessionInput extends z.output<typeof connectSessionInputSchema> {}

export const completionSchema = thing(
  {
    id: 'CompleteConnectSession',
    description: "The backend's confirmation of who came back.",
    example: { completion_code: 'b1T…', user: 'user-42' },
    strict: true,
  },
  { completionCode: z.string().min(1).max(limits.nameCharsMax), user: user.optional() },
);

/** The backend's confirmation of who came back. */
export interface Completion extends z.output<typeof completionSchema> {}
