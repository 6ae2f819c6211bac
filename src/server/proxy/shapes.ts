import { z } from 'zod';
import { accountField } from '../../schemas/thing.ts';
import type { RouteShape } from '../route.ts';
import { grantParams } from '../schemas.ts';

/** The methods that the proxy passes on. */
export const proxyMethods = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'] as const;

const params = grantParams.extend({
  path: z
    .string()
    .meta({ description: 'The path of the API, as the provider documents it.', examples: ['crm/v8/org'] }),
});

const headers = z.object({
  'Grantry-Account': accountField.optional(),
  'Grantry-Host': z
    .string()
    .optional()
    .meta({ description: 'One of the provider’s hosts, instead of the usual one.', examples: ['desk.zoho.eu'] }),
});

/** The proxy in the API's description, once for each method. GET implies HEAD. */
const described = proxyMethods.filter((method) => method !== 'head');

export const proxyShapes: readonly RouteShape[] = described.map((method) => ({
  method,
  path: '/v1/proxy/{tenant}/{provider}/{path…}',
  summary: 'Call the provider’s API',
  description:
    'Calls the provider’s API with the access token added. Bodies are streamed in both directions. When the API rejects ' +
    'the token, it is refreshed once, and the call is repeated if its body can be. A key with `methods` or `paths` makes ' +
    'only calls that these allow.',
  tag: 'Proxy',
  action: 'use_proxy',
  params,
  headers,
  answers: {
    200: {
      description: 'The provider’s own answer, with its own status.',
      headers: { 'Grantry-Generation': 'The generation of the token that the API saw.' },
    },
  },
}));
