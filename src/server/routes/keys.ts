import { z } from 'zod';
import { apiKeyInputSchema, apiKeyListSchema, newApiKeySchema } from '../../schemas/api-key.ts';
import { toJson } from '../../schemas/json.ts';
import { adoptInputSchema, adoptionSchema } from '../../schemas/reports.ts';
import { nameField } from '../../schemas/thing.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Administration';

export const keyRoutes: readonly Route[] = [
  defineRoute(
    {
      method: 'post',
      path: '/v1/keys',
      summary: 'Make an API key',
      description: 'Makes an API key. The answer shows the key; no later answer does.',
      tag,
      action: 'manage_keys',
      body: apiKeyInputSchema,
      answers: { 201: { description: 'The new key.', schema: newApiKeySchema } },
    },
    async ({ context, body: { name, ...input } }) => {
      const { apiKey, key } = await context.vault().keys.create(name, input);
      return { status: 201, body: { ...toJson(apiKey), key: key.reveal() } };
    },
  ),
  defineRoute(
    {
      method: 'get',
      path: '/v1/keys',
      summary: 'List API keys',
      description: 'Lists every live API key, without the keys themselves.',
      tag,
      action: 'manage_keys',
      answers: { 200: { description: 'All live keys.', schema: apiKeyListSchema } },
    },
    async ({ context }) => {
      await context.access.flush();
      const keys = await context.vault().keys.list();
      return { status: 200, body: { items: keys.map((key) => toJson(key)) } };
    },
  ),
  defineRoute(
    {
      method: 'delete',
      path: '/v1/keys/{id}',
      summary: 'Revoke an API key',
      description: 'Revokes an API key by its id or its name. Other servers refuse it within five seconds.',
      tag,
      action: 'manage_keys',
      params: z.object({ id: nameField }),
      answers: { 204: { description: 'This server refuses the key from now on.' } },
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
      summary: 'Adopt the database',
      description: 'Ends the quarantine of a restored or cloned database.',
      tag,
      action: 'adopt',
      body: adoptInputSchema,
      answers: { 200: { description: 'The result for each grant.', schema: adoptionSchema } },
    },
    async ({ context, body }) => {
      const reports = await context.vault().adopt({ afterRestore: body.afterRestore === true });
      return { status: 200, body: { items: reports.map((report) => toJson(report)) } };
    },
  ),
];
