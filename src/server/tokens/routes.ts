import { z } from 'zod';
import { tokenItem } from '../../vault/json.ts';
import { defineRoute, type Route } from '../route.ts';
import { nameSchema, providerIdSchema, rejectSchema, tokenQuery, tokenSchema } from '../schemas.ts';
import { tokenBody } from './token-answer.ts';

const params = z.object({ tenant: nameSchema, provider: providerIdSchema });
const path = '/v1/tenants/{tenant}/grants/{provider}/token';

export const tokenRoutes: readonly Route[] = [
  defineRoute(
    {
      method: 'get',
      path,
      summary: 'Hand out an access token that is good for at least min_validity seconds (60)',
      tag: 'Tokens',
      action: 'read_token',
      params,
      query: tokenQuery,
      answers: { 200: { description: 'The token', schema: tokenSchema } },
    },
    async ({ context, params: { tenant, provider }, query }) => {
      const body = await tokenBody(context, { tenant, provider, account: query.account }, query.min_validity);
      return new Response(body, { headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } });
    },
  ),
  defineRoute(
    {
      method: 'post',
      path,
      summary: 'Report that the API refused a token; at most one refresh happens however many say so',
      tag: 'Tokens',
      action: 'read_token',
      params,
      query: z.strictObject({ account: nameSchema.optional() }),
      body: rejectSchema,
      answers: { 200: { description: 'The token that took its place', schema: tokenSchema } },
    },
    async ({ context, params: { tenant, provider }, query, body }) => {
      const key = { tenant, provider, account: query.account };
      const options = body.min_validity === undefined ? undefined : { minValidity: body.min_validity };
      const token = await context.vault().rejectAccessToken(key, body.rejected_generation, options);
      return { status: 200, body: tokenItem(token, context.world.now()) };
    },
  ),
];
