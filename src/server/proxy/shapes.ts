import { z } from 'zod';
import type { RouteShape } from '../route.ts';
import { nameSchema, providerIdSchema } from '../schemas.ts';
import { proxyMethods } from './methods.ts';

const params = z.object({ tenant: nameSchema, provider: providerIdSchema, path: z.string() });

const headers = z.object({
  'Grantry-Account': nameSchema.optional().describe('Which of the tenant’s accounts; default when left out'),
  'Grantry-Host': z.string().optional().describe('One of the provider’s hosts, instead of the usual one'),
});

/** The proxy in the API's description, once for each method; HEAD goes without saying where GET is. */
const described = proxyMethods.filter((method) => method !== 'head');

export const proxyShapes: readonly RouteShape[] = described.map((method) => ({
  method,
  path: '/v1/proxy/{tenant}/{provider}/{path…}',
  summary: 'Call the provider’s API with the token put in; bodies are streamed both ways',
  tag: 'Proxy',
  action: 'use_proxy',
  params,
  headers,
  answers: {
    200: { description: 'The provider’s own answer, with its own status; Grantry-Generation says which token it saw' },
  },
}));
