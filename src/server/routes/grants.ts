import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { grantItem, healthItem, recoverItem } from '../../vault/json.ts';
import type { Grant, TokensInput } from '../../vault/types.ts';
import { assertMayFor, type Principal } from '../access.ts';
import { defineRoute, type Route } from '../route.ts';
import {
  grantPageSchema,
  grantSchema,
  healthSchema,
  nameSchema,
  providerIdSchema,
  recoverSchema,
  stateSchema,
  storeTokensSchema,
} from '../schemas.ts';

const params = z.object({ tenant: nameSchema, provider: providerIdSchema });
const query = z.strictObject({ account: nameSchema.optional() });
const path = '/v1/tenants/{tenant}/grants/{provider}';
const tag = 'Grants';

const limitText = z
  .string()
  .regex(/^\d{1,4}$/)
  .transform(Number)
  .pipe(z.number().min(1).max(limits.pageItemsMax));

const listQuery = z.strictObject({
  tenant: nameSchema.optional(),
  provider: providerIdSchema.optional(),
  state: stateSchema.optional(),
  updated_since: z.iso.datetime({ offset: true }).optional(),
  cursor: z.string().max(1_024).optional(),
  limit: limitText.optional(),
});

export const grantRoutes: readonly Route[] = [
  defineRoute(
    {
      method: 'get',
      path: '/v1/grants',
      summary: 'List grants, page by page',
      tag,
      action: 'see_grants',
      query: listQuery,
      answers: { 200: { description: 'One page', schema: grantPageSchema } },
    },
    async ({ context, principal, query: wanted }) => {
      const page = await context.vault().grants.list({
        ...scopeOf(principal, wanted),
        state: wanted.state,
        updatedSince: wanted.updated_since === undefined ? undefined : new Date(wanted.updated_since),
        cursor: wanted.cursor,
        limit: wanted.limit,
      });
      return { status: 200, body: { items: page.items.map(grantItem), next_cursor: page.next } };
    },
  ),
  defineRoute(
    {
      method: 'get',
      path,
      summary: 'Show one grant, without its secrets',
      tag,
      action: 'see_grants',
      params,
      query,
      answers: { 200: { description: 'The grant', schema: grantSchema } },
    },
    async ({ context, params: { tenant, provider }, query: { account } }) => {
      const grant = await context.vault().grants.get({ tenant, provider, account });
      if (grant === null) throw new GrantryError('grant_not_found', `${tenant} has no grant at ${provider}.`);
      return { status: 200, body: grantItem(grant) };
    },
  ),
  defineRoute(
    {
      method: 'put',
      path,
      summary: 'Store tokens that were obtained elsewhere',
      tag,
      action: 'operate',
      params,
      query,
      body: storeTokensSchema,
      answers: {
        200: { description: 'An existing grant got these tokens', schema: grantSchema },
        201: { description: 'A grant was made', schema: grantSchema },
      },
    },
    async ({ context, params: { tenant, provider }, query: { account }, body }) => {
      const key = { tenant, provider, account };
      const before = await context.vault().grants.get(key);
      const { grant } = await context.vault().storeTokens(key, tokensInput(body));
      return { status: isNew(before) ? 201 : 200, body: grantItem(grant) };
    },
  ),
  defineRoute(
    {
      method: 'delete',
      path,
      summary: 'Disconnect: local use ends at once, then the grant is revoked at the provider and shredded',
      tag,
      action: 'operate',
      params,
      query,
      answers: { 204: { description: 'Local use has ended; Grantry-Revocation says what became of the provider' } },
    },
    async ({ context, params: { tenant, provider }, query: { account } }) => {
      const { revocation } = await context.vault().disconnect({ tenant, provider, account });
      return { status: 204, headers: { 'grantry-revocation': revocation } };
    },
  ),
  defineRoute(
    {
      method: 'post',
      path: `${path}/health`,
      summary: 'Prove a grant with a real call to the provider',
      tag,
      action: 'operate',
      params,
      query,
      answers: { 200: { description: 'What the call showed', schema: healthSchema } },
    },
    async ({ context, params: { tenant, provider }, query: { account } }) => {
      const report = await context.vault().health({ tenant, provider, account });
      return { status: 200, body: healthItem(report) };
    },
  ),
  defineRoute(
    {
      method: 'post',
      path: `${path}/recover`,
      summary: 'Try a condemned grant again with every token that was kept',
      tag,
      action: 'operate',
      params,
      query,
      answers: { 200: { description: 'What became of it', schema: recoverSchema } },
    },
    async ({ context, params: { tenant, provider }, query: { account } }) => {
      const report = await context.vault().recover({ tenant, provider, account });
      return { status: 200, body: recoverItem(report) };
    },
  ),
];

/** A PUT body in the library's words. */
export function tokensInput(body: z.infer<typeof storeTokensSchema>): TokensInput {
  return {
    app: body.app,
    refreshToken: body.refresh_token,
    accessToken: body.access_token,
    expiresIn: body.expires_in,
    scopes: body.scope?.split(' ').filter((scope) => scope !== ''),
    metadata: body.metadata,
  };
}

/** A tombstone is not a grant that somebody replaces. */
export function isNew(before: Grant | null): boolean {
  return before === null || before.state === 'disconnected';
}

/** What a key that names tenants or providers may list: those alone; asking for another one is refused. */
function scopeOf(
  principal: Principal,
  { tenant, provider }: { tenant?: string | undefined; provider?: string | undefined },
) {
  if (tenant !== undefined && provider !== undefined) assertMayFor(principal, 'see_grants', { tenant, provider });
  if (tenant !== undefined && principal.tenants?.has(tenant) === false) {
    throw new GrantryError('forbidden', 'This API key does not act for that tenant.');
  }
  if (provider !== undefined && principal.providers?.has(provider) === false) {
    throw new GrantryError('forbidden', 'This API key does not act at that provider.');
  }
  return {
    tenant,
    provider,
    tenants: principal.tenants === null ? undefined : [...principal.tenants],
    providers: principal.providers === null ? undefined : [...principal.providers],
  };
}
