import { z } from 'zod';
import type { DescribedRoute } from '../openapi.ts';

const status = z.object({ status: z.string() });

const exchangeForm = z
  .object({
    grant_type: z.literal('urn:ietf:params:oauth:grant-type:token-exchange'),
    audience: z.string().describe('The provider'),
    subject_token: z.string().describe("The tenant's name"),
    subject_token_type: z.string().optional(),
    requested_token_type: z.literal('urn:ietf:params:oauth:token-type:access_token').optional(),
    scope: z.string().optional(),
    account: z.string().optional(),
    min_validity: z.string().optional().describe('Seconds'),
    client_id: z.string().optional().describe("The API key's id, unless it is sent by Basic"),
    client_secret: z.string().optional().describe('The API key, unless it is sent by Basic'),
  })
  .meta({ id: 'TokenExchange' });

const exchanged = z
  .object({
    access_token: z.string(),
    issued_token_type: z.string(),
    token_type: z.string(),
    expires_in: z.int(),
    scope: z.string(),
    api_domain: z.string().nullable(),
    generation: z.int(),
  })
  .meta({ id: 'ExchangedToken' });

/** Routes that are served beside the others, for the description. */
export const openRoutes: readonly DescribedRoute[] = [
  {
    method: 'post',
    path: '/oauth2/token',
    summary: 'Token exchange (RFC 8693) for tools that speak OAuth; errors have the form of RFC 6749',
    tag: 'Tokens',
    action: 'open',
    streamed: { contentType: 'application/x-www-form-urlencoded', schema: exchangeForm },
    answers: { 200: { description: 'The token', schema: exchanged } },
  },
  {
    method: 'get',
    path: '/connect/{token}',
    summary: 'The page of a connect link. Opening it starts nothing: its button posts to the same address',
    tag: 'Connect',
    action: 'open',
    params: z.object({ token: z.string() }),
    answers: { 200: { description: 'The page; refused links get a page with another status' } },
  },
  {
    method: 'get',
    path: '/oauth/callback/{context}',
    summary: 'Where providers send browsers back to, one address per app',
    tag: 'Connect',
    action: 'open',
    params: z.object({ context: z.string() }),
    answers: {
      303: { description: 'To return_to, with session and either code or error; or to a page that says how it went' },
      400: { description: 'A page that says what to do: the callback was refused' },
    },
  },
  {
    method: 'get',
    path: '/livez',
    summary: 'Whether the process lives; it asks nobody',
    tag: 'Status',
    action: 'open',
    answers: { 200: { description: 'It does', schema: status } },
  },
  {
    method: 'get',
    path: '/readyz',
    summary: 'Whether it can work: database, root key, no quarantine; a provider never changes it',
    tag: 'Status',
    action: 'open',
    answers: { 200: { description: 'It can', schema: status } },
  },
  {
    method: 'get',
    path: '/metrics',
    summary: 'Counts, times and queue depths, for Prometheus',
    tag: 'Status',
    action: 'see_metrics',
    answers: { 200: { description: 'The metrics', schema: z.string(), contentType: 'text/plain' } },
  },
  {
    method: 'get',
    path: '/openapi.json',
    summary: 'This description',
    tag: 'Status',
    action: 'open',
    answers: { 200: { description: 'OpenAPI 3.1' } },
  },
];
