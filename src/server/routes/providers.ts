import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { Principal } from '../access.ts';
import { type ServerContext, vaultContext } from '../context.ts';
import { defineRoute, type Route } from '../route.ts';
import { definitionSchema, providerIdSchema, providerSummarySchema } from '../schemas.ts';

const params = z.object({ provider: providerIdSchema });
const path = '/v1/providers/{provider}';
const tag = 'Providers';

export const providerRoutes: readonly Route[] = [
  defineRoute(
    {
      method: 'get',
      path: '/v1/providers',
      summary: 'List the catalogue and custom providers',
      tag,
      action: 'operate',
      answers: { 200: { description: 'All of them', schema: z.object({ items: z.array(providerSummarySchema) }) } },
    },
    async ({ context }) => {
      const providers = await context.vault().providers.list();
      return {
        status: 200,
        body: { items: providers.map(({ id, name, builtIn }) => ({ id, name, built_in: builtIn })) },
      };
    },
  ),
  defineRoute(
    {
      method: 'get',
      path,
      summary: 'Show a definition',
      tag,
      action: 'operate',
      params,
      answers: { 200: { description: 'The definition', schema: definitionSchema } },
    },
    async ({ context, params: { provider: id } }) => {
      const definition = await context.vault().providers.get(id);
      if (definition === null) throw new GrantryError('not_found', `There is no provider ${id}.`);
      return { status: 200, body: definition };
    },
  ),
  defineRoute(
    {
      method: 'put',
      path,
      summary: 'Add or replace a custom provider',
      tag,
      action: 'operate',
      params,
      body: definitionSchema,
      answers: {
        200: { description: 'It was replaced', schema: definitionSchema },
        201: { description: 'It was added', schema: definitionSchema },
      },
    },
    async ({ context, principal, params: { provider: id }, body }) => {
      if (body['id'] !== undefined && body['id'] !== id) {
        throw new GrantryError('invalid_request', 'The id of the definition is not the one of the path.');
      }
      const { definition, created } = await vaultContext(context).providers.put({ ...body, id }, (checked) =>
        mayMove(context, principal, checked),
      );
      return { status: created ? 201 : 200, body: definition };
    },
  ),
  defineRoute(
    {
      method: 'delete',
      path,
      summary: 'Remove a custom provider at which there is no app and no grant',
      tag,
      action: 'operate',
      params,
      answers: { 204: { description: 'It is gone' } },
    },
    async ({ context, params: { provider: id } }) => {
      await context.vault().providers.remove(id);
      return { status: 204 };
    },
  ),
];

/** Secrets and tokens of the apps there would go to the new hosts: an administrator decides that. */
async function mayMove(context: ServerContext, principal: Principal, next: ProviderDefinition): Promise<void> {
  if (principal.role === 'admin') return;
  if (!(await vaultContext(context).providers.isInUse(next.id))) return;
  const old = await context.vault().providers.get(next.id);
  if (old !== null && isDeepStrictEqual(placesOf(old), placesOf(next))) return;
  throw new GrantryError('forbidden', `${next.id} has apps or grants: only an admin key may change where it is.`);
}

/** Everything of a definition that says where secrets and tokens are sent. */
function placesOf(definition: ProviderDefinition): unknown {
  const { issuer, endpoints, dataCenters, callback, capture, clientAuthentication, api } = definition;
  return JSON.parse(JSON.stringify({ issuer, endpoints, dataCenters, callback, capture, clientAuthentication, api }));
}
