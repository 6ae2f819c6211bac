import { z } from 'zod';
import { statusSchema } from '../../schemas/reports.ts';
import { exchangedSchema, exchangeSchema } from '../../schemas/token.ts';
import type { DescribedRoute } from '../openapi.ts';

const status = { method: 'get', tag: 'Status', action: 'open' } as const;
const connect = { method: 'get', tag: 'Connect', action: 'open' } as const;

/** Routes that are served beside the others, for the description. */
export const openRoutes: readonly DescribedRoute[] = [
  {
    method: 'post',
    path: '/oauth2/token',
    summary: 'Exchange an API key for a token',
    description: 'Token exchange (RFC 8693), for tools that only speak OAuth. Errors have the form of RFC 6749.',
    tag: 'Tokens',
    action: 'open',
    ownBody: { contentType: 'application/x-www-form-urlencoded', schema: exchangeSchema },
    answers: { 200: { description: 'The token.', schema: exchangedSchema } },
  },
  {
    ...connect,
    path: '/connect/{token}',
    summary: 'Open a connect link',
    description: 'Shows the page of a connect link. Opening it starts nothing; its button posts to the same address.',
    params: z.object({ token: z.string().meta({ description: 'The secret part of the link.' }) }),
    answers: { 200: { description: 'The page. A refused link gets a page with another status.' } },
  },
  {
    ...connect,
    path: '/oauth/callback/{context}',
    summary: 'Receive a provider’s answer',
    description: 'The address to which providers send browsers back: one per app.',
    params: z.object({ context: z.string().meta({ description: 'The part that tells the apps apart.' }) }),
    answers: {
      303: { description: 'To `return_to` with `session` and either `code` or `error`, or to a page with the result.' },
      400: { description: 'A page that says what to do: the callback was refused.' },
    },
  },
  {
    ...status,
    path: '/livez',
    summary: 'Liveness',
    description: 'Answers while the process runs. It calls no other system.',
    answers: { 200: { description: 'The process runs.', schema: statusSchema } },
  },
  {
    ...status,
    path: '/readyz',
    summary: 'Readiness',
    description: 'Succeeds while the database and the root key are available and there is no quarantine.',
    answers: { 200: { description: 'The server is ready.', schema: statusSchema } },
  },
  {
    ...status,
    path: '/metrics',
    summary: 'Metrics',
    description: 'Counters, durations and queue depths, for Prometheus.',
    action: 'see_metrics',
    answers: { 200: { description: 'The metrics.', schema: z.string(), contentType: 'text/plain' } },
  },
  {
    ...status,
    path: '/openapi.json',
    summary: 'This description',
    description: 'Describes this API.',
    answers: { 200: { description: 'An OpenAPI 3.1 document.', schema: z.record(z.string(), z.unknown()) } },
  },
];
