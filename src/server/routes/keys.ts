import { z } from 'zod';
import { apiKeyInputSchema, apiKeyListSchema, newApiKeySchema } from '../../schemas/api-key.ts';
import { toJson } from '../../schemas/json.ts';
import { adoptInputSchema, adoptionSchema } from '../../schemas/reports.ts';
import { nameField } from '../../schemas/thing.ts';
import { defineRoute, type Route } from '../route.ts';

const every = { path: '/v1/keys', tag: 'Administration', action: 'manage_keys' } as const;

export const keyRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    ...every,
    summary: 'Make an API key',
    description: 'Makes an API key. The answer shows the key; no later answer does.',
    body: apiKeyInputSchema,
    answers: { 201: { description: 'The new key.', schema: newApiKeySchema } },
    run: async ({ context, body: { name, ...input } }) => {
      const { apiKey, key } = await context.vault().keys.create(name, input);
      return { status: 201, body: { ...toJson(apiKey), key: key.reveal() } };
    },
  }),
  defineRoute({
    method: 'get',
    ...every,
    summary: 'List API keys',
    description: 'Lists every live API key, without the keys themselves.',
    answers: { 200: { description: 'All live keys.', schema: apiKeyListSchema } },
    run: async ({ context }) => {
      await context.access.flush();
      const keys = await context.vault().keys.list();
      return { status: 200, body: { items: keys.map((key) => toJson(key)) } };
    },
  }),
  defineRoute({
    method: 'delete',
    ...every,
    path: '/v1/keys/{id}',
    summary: 'Revoke an API key',
    description: 'Revokes an API key by its id or its name. Other servers refuse it within five seconds.',
    params: z.object({ id: nameField }),
    answers: { 204: { description: 'This server refuses the key from now on.' } },
    run: async ({ context, params: { id } }) => {
      await context.vault().keys.revoke(id);
      context.access.forget();
      return { status: 204 };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/v1/adopt',
    tag: every.tag,
    summary: 'Adopt the database',
    description: 'Ends the quarantine of a restored or cloned database.',
    action: 'adopt',
    body: adoptInputSchema,
    answers: { 200: { description: 'The result for each grant.', schema: adoptionSchema } },
    run: async ({ context, body }) => {
      const reports = await context.vault().adopt({ afterRestore: body.afterRestore === true });
      return { status: 200, body: { items: reports.map((report) => toJson(report)) } };
    },
  }),
];
