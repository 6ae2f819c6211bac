import { z } from 'zod';
import { limits } from '../base/limits.ts';
import { items } from './page.ts';
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
  secrets: ['*'],
};

const appJson = thing(
  {
    id: 'App',
    description: 'A client registration at a provider. The secrets are write-only.',
    example,
  },
  {
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
    integrityFailed,
  },
);

/** The JSON form has the callback id only inside the redirect URI that a server names. */
export const appSchema = appJson.transform((app): App => {
  const callbackId = /\/oauth\/callback\/([\w-]+)$/.exec(app.redirectUri ?? '')?.[1] ?? null;
  return { ...app, callbackId };
});

/** A client registration at a provider, as stored; the secrets are write-only. */
export interface App extends Readonly<z.output<typeof appJson>> {
  /** The last path segment of the redirect URI at a server; `null` for an app with a redirect URI of its own. */
  readonly callbackId: string | null;
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
