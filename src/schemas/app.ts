import { z } from 'zod';
import { limits } from '../base/limits.ts';
import type { ScopeFinding } from '../providers/scope-lint.ts';
import { items } from './page.ts';
import { scopeWarnings } from './scope-finding.ts';
import { integrityFailed, list, providerField, scopesInput, secret, tenantField, thing } from './thing.ts';

const example = {
  name: 'zoho-eu',
  provider: 'zoho_crm',
  client_id: '1000.GMB0YULZHJK411248S8I5GZ4CHUEX0',
  dc: 'eu',
  redirect_uri: 'https://grants.example/oauth/callback/q2Jx0cW1h7Yb9sVnT3uKpA',
  scopes: ['ZohoCRM.modules.ALL'],
  tenants: null,
  return_to: ['https://app.example/connected'],
  scope_reasons: { 'ZohoCRM.modules.ALL': 'Syncs leads, deals and two custom modules both ways.' },
  scopes_without_reason: [],
  pkce: null,
  secrets: ['*'],
};

const reasons: z.ZodType<Readonly<Record<string, string>>, Record<string, string>> = z.record(
  z.string().max(limits.scopeCharsMax),
  z.string().min(1).max(limits.scopeReasonCharsMax),
);

const pkce = z.enum(['off', 'S256']).nullable();

const appShape = {
  name: z.string(),
  provider: z.string(),
  clientId: z.string(),
  dc: z.string().nullable(),
  /** The address to register at the provider. `null` in a vault whose app has none; a server then names its own. */
  redirectUri: z.string().nullable().meta({ description: 'The address to register at the provider.' }),
  scopes: list(z.string()),
  /** The only tenants that the app serves; `null` serves all. */
  tenants: list(z.string()).nullable().meta({ description: 'The only tenants it serves; `null` serves all.' }),
  /** The exact addresses to which a connect session may send the browser afterwards. */
  returnTo: list(z.string()),
  /** The data centres that have a secret; `*` is the one for all others. */
  secrets: list(z.string()).meta({
    description: 'The data centres that have a secret; `*` is the one for all others.',
  }),
  /** Broad scopes, and why the app needs them. */
  scopeReasons: reasons.meta({ description: 'Broad scopes, and why the app needs them.' }),
  /** Broad scopes for which no reason is kept. */
  scopesWithoutReason: list(z.string()).meta({ description: 'Broad scopes for which no reason is kept.' }),
  /** PKCE of this app's authorization requests; `null` is as the provider's definition says. */
  pkce: pkce.meta({
    description: "PKCE of this app's authorization requests; `null` is as the provider's definition says.",
  }),
  integrityFailed,
};

const appJson = thing(
  { id: 'App', description: 'A client registration at a provider. The secrets are write-only.', example },
  appShape,
);

const storedAppJson = thing(
  {
    id: 'StoredApp',
    description: 'A client registration that was just made or replaced, and what was noticed about its scopes.',
    example: { ...example, warnings: [] },
  },
  { ...appShape, warnings: scopeWarnings },
);

/** The JSON form has the callback id only inside the redirect URI that a server names. */
function withCallbackId<A extends z.output<typeof appJson>>(app: A): A & Pick<App, 'callbackId'> {
  return { ...app, callbackId: /\/oauth\/callback\/([\w-]+)$/.exec(app.redirectUri ?? '')?.[1] ?? null };
}

export const appSchema = appJson.transform((app): App => withCallbackId(app));

export const storedAppSchema = storedAppJson.transform((app): StoredApp => withCallbackId(app));

/** A client registration at a provider, as stored; the secrets are write-only. */
export interface App extends Readonly<z.output<typeof appJson>> {
  /** The last path segment of the redirect URI at a server; `null` for an app with a redirect URI of its own. */
  readonly callbackId: string | null;
}

/** A client registration that was just stored, and what was noticed about its scopes. */
export interface StoredApp extends App {
  readonly warnings: readonly ScopeFinding[];
}

export const appListSchema = items('AppList', 'All client registrations.', appSchema, example);

const secretText = secret(limits.clientSecretCharsMax);

export const appInputSchema = thing(
  {
    id: 'AppInput',
    description: 'A client registration to make or to replace. Without a secret, a replaced app keeps those it has.',
    example: {
      provider: 'zoho_crm',
      client_id: example.client_id,
      client_secret: '8cb99dxxxxxxxxxxxxx9be93',
      dc: 'eu',
      scopes: example.scopes,
      return_to: example.return_to,
    },
    strict: true,
  },
  {
    provider: providerField,
    clientId: z.string().min(1).max(limits.clientIdCharsMax),
    /** One secret for all data centres. Without any secret, a replaced app keeps those it has. */
    clientSecret: secretText.optional().meta({ description: 'One secret for all data centres.' }),
    /** A secret per data centre, where they differ. */
    clientSecrets: secretsByDc().optional().meta({ description: 'A secret per data centre, where they differ.' }),
    dc: z.string().max(16).optional().meta({ description: 'The data centre that the app is registered in.' }),
    /** The server's own callback address when left out. */
    redirectUri: z.string().max(limits.urlCharsMax).optional(),
    scopes: scopesInput.optional(),
    /** Why the app needs its broad scopes. They are listed, and stored unencrypted. */
    scopeReasons: reasons
      .optional()
      .meta({ description: 'Why the app needs its broad scopes. They are listed, and stored unencrypted.' }),
    /** Switches PKCE off or on for this app; as the provider's definition says when left out. */
    pkce: pkce.optional().meta({
      description: "Switches PKCE off or on for this app; as the provider's definition says when left out.",
    }),
    /** The only tenants that the app serves; all when left out. */
    tenants: list(tenantField, limits.apiKeyNamesMax).optional(),
    /** The exact addresses to which a connect session may send the browser afterwards. */
    returnTo: list(z.string().max(limits.urlCharsMax), 100).optional(),
  },
);

/** A client registration to make or to replace. */
export interface AppInput extends z.output<typeof appInputSchema> {}

function secretsByDc(): z.ZodType<Readonly<Record<string, z.output<typeof secretText>>>, Record<string, string>> {
  return z.record(z.string().max(16), secretText);
}
