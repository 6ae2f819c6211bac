import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import { putAppOf } from '../../vault/app/apps.ts';
import { redirectUriOf } from '../../vault/app/redirect-uri.ts';
import { appItem } from '../../vault/json.ts';
import type { App } from '../../vault/types.ts';
import { type ServerContext, vaultContext } from '../context.ts';
import { defineRoute, type Route } from '../route.ts';
import { appInputSchema, appSchema, nameSchema } from '../schemas.ts';

const params = z.object({ app: nameSchema });
const path = '/v1/apps/{app}';
const tag = 'Apps';

export const appRoutes: readonly Route[] = [
  defineRoute(
    {
      method: 'get',
      path: '/v1/apps',
      summary: 'List client registrations, never their secrets',
      tag,
      action: 'operate',
      answers: { 200: { description: 'All of them', schema: z.object({ items: z.array(appSchema) }) } },
    },
    async ({ context }) => {
      const apps = await context.vault().apps.list();
      return { status: 200, body: { items: apps.map((app) => itemOf(context, app)) } };
    },
  ),
  defineRoute(
    {
      method: 'get',
      path,
      summary: 'Show one client registration',
      tag,
      action: 'operate',
      params,
      answers: { 200: { description: 'The app', schema: appSchema } },
    },
    async ({ context, params: { app: name } }) => {
      const app = await context.vault().apps.get(name);
      if (app === null) throw new GrantryError('not_found', `There is no app ${name}.`);
      return { status: 200, body: itemOf(context, app) };
    },
  ),
  defineRoute(
    {
      method: 'put',
      path,
      summary: 'Make or replace a client registration; without a secret it keeps those it has',
      tag,
      action: 'operate',
      params,
      body: appInputSchema,
      answers: {
        200: { description: 'It was replaced', schema: appSchema },
        201: { description: 'It was made; redirect_uri is what to register at the provider', schema: appSchema },
      },
    },
    async ({ context, params: { app: name }, body }) => {
      const { app, created } = await putAppOf(vaultContext(context), name, {
        provider: body.provider,
        clientId: body.client_id,
        clientSecret: body.client_secret,
        clientSecrets: body.client_secrets,
        dc: body.dc,
        redirectUri: body.redirect_uri,
        scopes: body.scopes,
        tenants: body.tenants,
        returnTo: body.return_to,
      });
      return { status: created ? 201 : 200, body: itemOf(context, app) };
    },
  ),
  defineRoute(
    {
      method: 'delete',
      path,
      summary: 'Remove a client registration that no grant uses',
      tag,
      action: 'operate',
      params,
      answers: { 204: { description: 'It is gone' } },
    },
    async ({ context, params: { app: name } }) => {
      await context.vault().apps.remove(name);
      return { status: 204 };
    },
  ),
];

function itemOf(context: ServerContext, app: App): Record<string, unknown> {
  return { ...appItem(app), redirect_uri: redirectUriOf(context.publicUrl, app) };
}
