import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { actionOverHttp } from '../../schemas/actions.ts';
import { budgetAnswerSchema } from '../../schemas/budget.ts';
import {
  grantPageSchema,
  grantSchema,
  grantState,
  grantUpdateSchema,
  storedGrantSchema,
  tokensInputSchema,
} from '../../schemas/grant.ts';
import { toJson, writeKey } from '../../schemas/json.ts';
import { organizationsSchema } from '../../schemas/organizations.ts';
import { pageToJson } from '../../schemas/page.ts';
import { healthSchema, recoverySchema } from '../../schemas/reports.ts';
import { providerField, tenantField, time } from '../../schemas/thing.ts';
import { missingGrant } from '../../vault/grant/missing.ts';
import { internalsOf } from '../../vault/internals.ts';
import type { ServerContext } from '../context.ts';
import { maySee } from '../principal.ts';
import { defineRoute, type Route } from '../route.ts';
import { accountQuery, grantParams, pageQuery } from '../schemas.ts';
import { scopeOf } from '../scope.ts';

const path = '/v1/tenants/{tenant}/grants/{provider}';
const ofGrant = { path, tag: 'Grants', action: 'operate', params: grantParams, query: accountQuery } as const;

/** A list of names in a query, separated by commas; an empty one names none. */
const names = (field: z.ZodType<string, string>, description: string) =>
  z
    .string()
    .max(limits.requestUrlCharsMax)
    .transform((text) => (text === '' ? [] : text.split(',')))
    .pipe(z.array(field))
    .optional()
    .meta({ description });

const listQuery = pageQuery.extend({
  tenant: tenantField.optional(),
  tenants: names(tenantField, 'Only grants of these tenants, separated by commas; none when empty.'),
  provider: providerField.optional(),
  providers: names(providerField, 'Only grants at these providers, separated by commas; none when empty.'),
  state: grantState.optional(),
  updated_since: time.optional().meta({ description: 'Only grants that changed at or after this time.' }),
});

export const grantRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    path: '/v1/grants',
    tag: 'Grants',
    summary: 'List grants',
    description: 'Lists grants page by page. A key that names tenants or providers sees only their grants.',
    action: 'see_grants',
    query: listQuery,
    answers: { 200: { description: 'One page of grants.', schema: grantPageSchema } },
    run: async ({ context, principal, query: wanted }) => {
      const { updated_since: updatedSince, ...rest } = wanted;
      const page = await context
        .vault()
        .grants.list({ ...rest, ...scopeOf(principal, 'see_grants', wanted), updatedSince });
      return { status: 200, body: pageToJson(page) };
    },
  }),
  defineRoute({
    method: 'get',
    ...ofGrant,
    summary: 'Show one grant',
    description: 'Shows one grant without its secrets.',
    action: 'see_grants',
    answers: { 200: { description: 'The grant.', schema: grantSchema } },
    run: async ({ context, params: { tenant, provider }, query: { account } }) => {
      const grant = await context.vault().grants.get({ tenant, provider, account });
      if (grant === null) throw await noGrant(context, checkKey({ tenant, provider, account }));
      return { status: 200, body: toJson(grant) };
    },
  }),
  defineRoute({
    method: 'put',
    ...ofGrant,
    summary: 'Store tokens',
    description:
      'Stores tokens that were obtained elsewhere, in a new grant or in place of the tokens of an old one. A refresh ' +
      'token that the grant has had before changes nothing.',
    body: tokensInputSchema,
    answers: {
      200: { description: 'A grant existed; `result` tells what became of it.', schema: storedGrantSchema },
      201: { description: 'A grant was made.', schema: storedGrantSchema },
    },
    run: async ({ context, principal, params: { tenant, provider }, query: { account }, body }) => {
      const key = { tenant, provider, account };
      const { grant, sharedWith, result, differs } = await context.vault().storeTokens(key, body);
      const seen = sharedWith.filter((other) => maySee(principal, other)).map(writeKey);
      const stored = { ...toJson(grant), shared_with: seen, result, differs };
      return { status: result === 'imported' ? 201 : 200, body: stored };
    },
  }),
  defineRoute({
    method: 'patch',
    ...ofGrant,
    summary: 'Change the metadata of a grant',
    description: 'Sets members of the metadata, and removes those that are `null`. All other members stay.',
    body: grantUpdateSchema,
    answers: { 200: { description: 'The changed grant.', schema: grantSchema } },
    run: async ({ context, params: { tenant, provider }, query: { account }, body }) => {
      const grant = await context.vault().updateMetadata({ tenant, provider, account }, body.metadata);
      return { status: 200, body: toJson(grant) };
    },
  }),
  defineRoute({
    method: 'delete',
    ...ofGrant,
    summary: 'Disconnect a grant',
    description:
      'Ends local use at once, then revokes the grant at the provider and shreds its tokens. A token is not revoked ' +
      'while that would end another grant. With `revoke=false` the tokens stay alive at the provider, where another ' +
      'program may hold them.',
    query: accountQuery.extend({
      revoke: z
        .enum(['true', 'false'])
        .optional()
        .meta({ description: '`false` leaves the tokens alive at the provider.', examples: ['false'] }),
    }),
    answers: {
      204: {
        description: 'Local use has ended.',
        headers: {
          'Grantry-Revocation':
            '`revoked`; `queued` when the provider did not answer; `shared` when it would have ended another grant too; ' +
            '`not_supported`; `nothing` to revoke; or `skipped`.',
          'Grantry-Shared-With':
            'With `shared`: the other grants, as far as the key may see them, each as TENANT/PROVIDER/ACCOUNT, separated by commas.',
        },
      },
    },
    run: async ({ context, principal, params: { tenant, provider }, query: { account, revoke } }) => {
      const key = { tenant, provider, account };
      const ended = await context.vault().disconnect(key, { revoke: revoke !== 'false' });
      const headers = { 'grantry-revocation': ended.revocation };
      const seen = (ended.sharedWith ?? []).filter((other) => maySee(principal, other));
      if (seen.length === 0) return { status: 204, headers };
      return { status: 204, headers: { ...headers, 'grantry-shared-with': seen.map(writeKey).join(', ') } };
    },
  }),
  defineRoute({
    method: 'post',
    ...ofGrant,
    path: `${path}/health`,
    summary: 'Check a grant',
    description:
      'Proves a grant with a real call to the provider; with `refresh=true` after a real refresh, if the limits of the ' +
      'provider allow one. Where calls carry an organisation, another one than `org_id` is unhealthy.',
    query: accountQuery.extend({
      refresh: z
        .enum(['true', 'false'])
        .optional()
        .meta({ description: '`true` refreshes the grant first.', examples: ['true'] }),
    }),
    answers: { 200: { description: 'The result of the call.', schema: healthSchema } },
    run: async ({ context, params: { tenant, provider }, query: { account, refresh } }) => {
      const report = await context.vault().health({ tenant, provider, account }, { refresh: refresh === 'true' });
      const told = report.status === 'unhealthy' ? { ...report, action: actionOverHttp(report.action) } : report;
      return { status: 200, body: toJson(told) };
    },
  }),
  defineRoute({
    method: 'get',
    ...ofGrant,
    path: `${path}/budget`,
    summary: 'Show the token budget of a grant',
    description:
      'Shows how many token requests the provider has left for the refresh token of a grant, and when the next one is free.',
    action: 'see_grants',
    answers: { 200: { description: 'The budget.', schema: budgetAnswerSchema } },
    run: async ({ context, params: { tenant, provider }, query: { account } }) => {
      const budget = await context.vault().budget({ tenant, provider, account });
      return { status: 200, body: { budget: budget === null ? null : toJson(budget) } };
    },
  }),
  defineRoute({
    method: 'get',
    ...ofGrant,
    path: `${path}/organizations`,
    summary: 'List the organisations of a grant',
    description:
      'Asks the provider which organisations the user of a grant has. One of several is chosen by its id, as `org_id` in ' +
      'the metadata.',
    answers: { 200: { description: 'The organisations.', schema: organizationsSchema } },
    run: async ({ context, principal, params: { tenant, provider }, query: { account } }) => {
      const found = await context.vault().organizations({ tenant, provider, account });
      const seen = found.sharedWith.filter((other) => maySee(principal, other)).map(writeKey);
      return { status: 200, body: { ...toJson(found), shared_with: seen } };
    },
  }),
  defineRoute({
    method: 'post',
    ...ofGrant,
    path: `${path}/recover`,
    summary: 'Recover a grant',
    description: 'Tries a condemned grant again with every token that was kept.',
    answers: { 200: { description: 'The result of the recovery.', schema: recoverySchema } },
    run: async ({ context, params: { tenant, provider }, query: { account } }) => {
      const report = await context.vault().recover({ tenant, provider, account });
      return { status: 200, body: toJson(report) };
    },
  }),
];

/** The error of a grant that is shown: `grant_not_found` even if there is no such provider. */
async function noGrant(context: ServerContext, key: CheckedKey): Promise<GrantryError> {
  const error = await missingGrant(internalsOf(context.vault()).open(), key);
  if (error.code === 'grant_not_found') return error;
  const { message, action, reason } = error;
  return new GrantryError('grant_not_found', message, { action, reason });
}
