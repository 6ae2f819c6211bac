import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import { redirectUriAt } from '../../base/network/callback-uri.ts';
import { appInputSchema, appListSchema, appSchema, storedAppSchema } from '../../schemas/app.ts';
import { toJson } from '../../schemas/json.ts';
import { slotsListSchema } from '../../schemas/slots.ts';
import { appField } from '../../schemas/thing.ts';
import { appToJson } from '../../schemas/write-json.ts';
import { putAppOf } from '../../vault/app/apps.ts';
import type { App } from '../../vault/types.ts';
import { type ServerContext, vaultContext } from '../context.ts';
import { defineRoute, type Route } from '../route.ts';

const every = { path: '/v1/apps', tag: 'Apps', action: 'operate' } as const;
const one = { ...every, path: '/v1/apps/{app}', params: z.object({ app: appField }) } as const;

export const appRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    ...every,
    summary: 'List client registrations',
    description: 'Lists every client registration. Secrets are never part of an answer.',
    answers: { 200: { description: 'All client registrations.', schema: appListSchema } },
    run: async ({ context }) => {
      const apps = await context.vault().apps.list();
      return { status: 200, body: { items: apps.map((app) => jsonOf(context, app)) } };
    },
  }),
  defineRoute({
    method: 'get',
    ...one,
    summary: 'Show one client registration',
    description: 'Shows one client registration without its secrets.',
    answers: { 200: { description: 'The app.', schema: appSchema } },
    run: async ({ context, params: { app: name } }) => {
      const app = await context.vault().apps.get(name);
      if (app === null) throw new GrantryError('not_found', `There is no app ${name}.`);
      return { status: 200, body: jsonOf(context, app) };
    },
  }),
  defineRoute({
    method: 'get',
    ...one,
    path: '/v1/apps/{app}/slots',
    summary: 'Count the refresh tokens of an app',
    description:
      'Counts the refresh tokens of a client registration per user of the provider, the fullest first. A provider that ' +
      'keeps a limited number ends the grant of the oldest consent at the next one.',
    answers: { 200: { description: 'The users with most refresh tokens first.', schema: slotsListSchema } },
    run: async ({ context, params: { app: name } }) => {
      const items = await context.vault().apps.slots(name);
      return { status: 200, body: { items: items.map((each) => toJson(each)) } };
    },
  }),
  defineRoute({
    method: 'put',
    ...one,
    summary: 'Make or replace a client registration',
    description:
      'Makes or replaces a client registration. Without a secret, a replaced app keeps those it has. The ' +
      '`redirect_uri` of the answer is the address to register at the provider.',
    body: appInputSchema,
    answers: {
      200: { description: 'The app was replaced.', schema: storedAppSchema },
      201: { description: 'The app was made.', schema: storedAppSchema },
    },
    run: async ({ context, params: { app: name }, body }) => {
      const { app, warnings, created } = await putAppOf(vaultContext(context), name, body);
      return {
        status: created ? 201 : 200,
        body: { ...jsonOf(context, app), warnings: warnings.map((each) => toJson(each)) },
      };
    },
  }),
  defineRoute({
    method: 'delete',
    ...one,
    summary: 'Remove a client registration',
    description: 'Removes a client registration that no grant uses.',
    answers: { 204: { description: 'The app is removed.' } },
    run: async ({ context, params: { app: name } }) => {
      await context.vault().apps.remove(name);
      return { status: 204 };
    },
  }),
];

function jsonOf(context: ServerContext, app: App): z.input<typeof appSchema> {
  return appToJson(app, redirectUriAt(context.publicUrl, app));
}
