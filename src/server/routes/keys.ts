import { z } from 'zod';
import { adoptItem, apiKeyItem } from '../../vault/json.ts';
import { defineRoute, type Route } from '../route.ts';
import { adoptInputSchema, adoptSchema, keyInputSchema, keySchema, nameSchema, newKeySchema } from '../schemas.ts';

const tag = 'Administration';

export const keyRoutes: readonly Route[] = [
  defineRoute(
    {
      method: 'post',
      path: '/v1/keys',
      summary: 'Make an API key; it is shown this once',
      tag,
      action: 'manage_keys',
      body: keyInputSchema,
      answers: { 201: { description: 'The key', schema: newKeySchema } },
    },
    async ({ context, body }) => {
      const { apiKey, key } = await context.vault().keys.create(body.name, {
        role: body.role,
        tenants: body.tenants,
        providers: body.providers,
        expiresAt: body.expires_at === undefined ? undefined : new Date(body.expires_at),
      });
      return { status: 201, body: { ...apiKeyItem(apiKey), key: key.reveal() } };
    },
  ),
  defineRoute(
    {
      method: 'get',
      path: '/v1/keys',
      summary: 'List API keys, never the keys themselves',
      tag,
      action: 'manage_keys',
      answers: { 200: { description: 'All live keys', schema: z.object({ items: z.array(keySchema) }) } },
    },
    async ({ context }) => {
      await context.access.flush();
      const keys = await context.vault().keys.list();
      return { status: 200, body: { items: keys.map(apiKeyItem) } };
    },
  ),
  defineRoute(
    {
      method: 'delete',
      path: '/v1/keys/{id}',
      summary: 'Revoke an API key by its id or name',
      tag,
      action: 'manage_keys',
      params: z.object({ id: nameSchema }),
      answers: { 204: { description: 'It is refused from now on, by other servers within five seconds' } },
    },
    async ({ context, params: { id } }) => {
      await context.vault().keys.revoke(id);
      context.access.forget();
      return { status: 204 };
    },
  ),
  defineRoute(
    {
      method: 'post',
      path: '/v1/adopt',
      summary: 'End the quarantine of a restored or cloned database',
      tag,
      action: 'adopt',
      body: adoptInputSchema,
      answers: { 200: { description: 'What became of each grant', schema: adoptSchema } },
    },
    async ({ context, body }) => {
      const reports = await context.vault().adopt({ afterRestore: body.after_restore === true });
      return { status: 200, body: { items: reports.map(adoptItem) } };
    },
  ),
];
