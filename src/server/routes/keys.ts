import { z } from 'zod';
import {
  apiKeyInputSchema,
  apiKeyListSchema,
  apiKeySchema,
  apiKeyUpdateSchema,
  childKeyInputSchema,
  newApiKeySchema,
} from '../../schemas/api-key.ts';
import { toJson } from '../../schemas/json.ts';
import { adoptInputSchema, adoptionSchema } from '../../schemas/reports.ts';
import { nameField } from '../../schemas/thing.ts';
import { createChildKey } from '../../vault/child-keys.ts';
import { vaultContext } from '../context.ts';
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
    method: 'patch',
    ...every,
    path: '/v1/keys/{id}',
    summary: 'Change an API key',
    description:
      'Changes the name, role, lists, limits or end of an API key, by its id or its name. Child keys that are now wider ' +
      'than the key end. Other servers follow within five seconds.',
    params: z.object({ id: nameField }),
    body: apiKeyUpdateSchema,
    answers: { 200: { description: 'The changed key.', schema: apiKeySchema } },
    run: async ({ context, params: { id }, body }) => {
      const apiKey = await context.vault().keys.update(id, body);
      context.access.forget();
      return { status: 200, body: toJson(apiKey) };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/v1/keys/self/children',
    tag: every.tag,
    summary: 'Make a child key',
    description:
      'Makes a child of the API key that sends this: narrower in every list, for an hour at most. The child ends with its ' +
      'parent, and cannot make keys. The answer shows the key; no later answer does.',
    action: 'make_child',
    body: childKeyInputSchema,
    answers: { 201: { description: 'The new key.', schema: newApiKeySchema } },
    run: async ({ context, principal, body }) => {
      const { apiKey, key } = await createChildKey(vaultContext(context), principal.id, body);
      return { status: 201, body: { ...toJson(apiKey), key: key.reveal() } };
    },
  }),
  defineRoute({
    method: 'delete',
    ...every,
    path: '/v1/keys/{id}',
    summary: 'Revoke an API key',
    description:
      'Revokes an API key and its children, by its id or its name. Other servers refuse them within five seconds.',
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
