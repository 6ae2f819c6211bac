import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import { toJson } from '../../schemas/json.ts';
import { definitionSchema, providerListSchema, writtenDefinitionSchema } from '../../schemas/provider.ts';
import { providerField } from '../../schemas/thing.ts';
import { isObject } from '../../vault/checks.ts';
import { vaultContext } from '../context.ts';
import { readJson } from '../limits/body.ts';
import { defineRoute, type Route } from '../route.ts';

const every = { path: '/v1/providers', tag: 'Providers', action: 'operate' } as const;
const params = z.object({ provider: providerField });
const one = { ...every, path: '/v1/providers/{provider}', params } as const;

export const providerRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    ...every,
    summary: 'List providers',
    description: 'Lists the built-in and the custom providers.',
    answers: { 200: { description: 'All providers.', schema: providerListSchema } },
    run: async ({ context }) => {
      const providers = await context.vault().providers.list();
      return { status: 200, body: { items: providers.map((provider) => toJson(provider)) } };
    },
  }),
  defineRoute({
    method: 'get',
    ...one,
    summary: 'Show a provider',
    description: 'Shows the definition of a provider, with every default filled in.',
    answers: { 200: { description: 'The definition.', schema: definitionSchema } },
    run: async ({ context, params: { provider: id } }) => {
      const { providers } = vaultContext(context);
      const definition = await providers.get(id);
      if (definition === null) throw await providers.unknown(id);
      return { status: 200, body: definition };
    },
  }),
  defineRoute({
    method: 'put',
    ...one,
    summary: 'Add or replace a custom provider',
    description:
      'Adds or replaces a custom provider. Only an admin key may change the hosts or endpoints of a provider that has ' +
      'apps, grants or connections under way.',
    ownBody: { contentType: 'application/json', schema: writtenDefinitionSchema },
    answers: {
      200: { description: 'The provider was replaced.', schema: definitionSchema },
      201: { description: 'The provider was added.', schema: definitionSchema },
    },
    run: async ({ context, principal, params: { provider: id }, request }) => {
      const body = await readJson(request, context.world);
      if (!isObject(body)) throw new GrantryError('invalid_request', 'The body must be an object.');
      if (body['id'] !== undefined && body['id'] !== id) {
        throw new GrantryError('invalid_request', 'The id of the definition differs from the one in the path.');
      }
      const mayMove = principal.role === 'admin';
      const { definition, created } = await vaultContext(context).providers.put({ ...body, id }, { mayMove });
      return { status: created ? 201 : 200, body: definition };
    },
  }),
  defineRoute({
    method: 'delete',
    ...one,
    summary: 'Remove a custom provider',
    description: 'Removes a custom provider that has no app and no grant.',
    answers: { 204: { description: 'The provider is removed.' } },
    run: async ({ context, params: { provider: id } }) => {
      await context.vault().providers.remove(id);
      return { status: 204 };
    },
  }),
];
