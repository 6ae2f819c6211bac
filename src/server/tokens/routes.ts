import { tokenReportSchema, tokenSchema } from '../../schemas/token.ts';
import { tokenToJson } from '../../schemas/write-json.ts';
import { defineRoute, type Route } from '../route.ts';
import { accountQuery, grantParams, tokenQuery } from '../schemas.ts';
import { tokenBody } from './token-answer.ts';

const one = {
  path: '/v1/tenants/{tenant}/grants/{provider}/token',
  tag: 'Tokens',
  action: 'read_token',
  params: grantParams,
} as const;

export const tokenRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    ...one,
    summary: 'Get an access token',
    description:
      'Hands out an access token that is good for at least `min_validity` seconds. If it cannot be refreshed now, the ' +
      'stored token is handed out while it lives.',
    query: tokenQuery,
    answers: { 200: { description: 'The token.', schema: tokenSchema } },
    run: async ({ context, params: { tenant, provider }, query }) => {
      const body = await tokenBody(context, { tenant, provider, account: query.account }, query.min_validity);
      return new Response(body, { headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } });
    },
  }),
  defineRoute({
    method: 'post',
    ...one,
    summary: 'Report a rejected token',
    description:
      'Reports that the API rejected the token of a generation. However many callers report it, the grant is refreshed ' +
      'once. If the last refresh was a moment ago and the grant’s own API accepts the token, the same token is the answer, ' +
      'with the header `Grantry-Reason: token_accepted`. If that API refuses the new token too, the answer is a 502 with the ' +
      'reason `token_rejected`, and nothing is refreshed.',
    query: accountQuery,
    body: tokenReportSchema,
    answers: {
      200: {
        description: 'The token that replaces it.',
        schema: tokenSchema,
        headers: { 'grantry-reason': 'Set to `token_accepted` if the token was not replaced.' },
      },
    },
    run: async ({ context, params: { tenant, provider }, query, body }) => {
      const key = { tenant, provider, account: query.account };
      const options = { minValidity: body.minValidity };
      const token = await context.vault().rejectAccessToken(key, body.rejectedGeneration, options);
      const isKept = token.generation === body.rejectedGeneration;
      return {
        status: 200,
        headers: isKept ? { 'grantry-reason': 'token_accepted' } : {},
        body: tokenToJson(token, context.world.now()),
      };
    },
  }),
];
