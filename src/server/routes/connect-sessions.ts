import { z } from 'zod';
import { limits } from '../../base/limits.ts';
import { completeConnectSessionOf } from '../../vault/connect/completion.ts';
import { createConnectSession, getConnectSession, listConnectSessionsOf } from '../../vault/connect/sessions.ts';
import { internalsOf } from '../../vault/internals.ts';
import { connectSessionItem, grantItem } from '../../vault/json.ts';
import { vaultContext } from '../context.ts';
import { defineRoute, type Route } from '../route.ts';
import {
  completeInputSchema,
  connectInputSchema,
  connectSessionSchema,
  grantSchema,
  nameSchema,
  newConnectSchema,
} from '../schemas.ts';

const path = '/v1/connect-sessions';
const params = z.object({ id: nameSchema });
const tag = 'Connect';

const listQuery = z.strictObject({
  tenant: nameSchema.optional(),
  cursor: z.string().max(128).optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .pipe(z.number().min(1).max(limits.pageItemsMax))
    .optional(),
});

export const connectSessionRoutes: readonly Route[] = [
  defineRoute(
    {
      method: 'post',
      path,
      summary: "Make a link with which a tenant's user connects the tenant to a provider",
      tag,
      action: 'operate',
      body: connectInputSchema,
      answers: { 201: { description: 'The link; it is shown this once', schema: newConnectSchema } },
    },
    async ({ context, body }) => {
      const { return_to: returnTo, ...input } = body;
      const made = await createConnectSession(vaultContext(context), context.publicUrl, { ...input, returnTo });
      return { status: 201, body: { id: made.id, url: made.url, expires_at: made.expiresAt.toISOString() } };
    },
  ),
  defineRoute(
    {
      method: 'get',
      path,
      summary: 'List connect sessions, the newest first; they are kept for a day',
      tag,
      action: 'operate',
      query: listQuery,
      answers: {
        200: {
          description: 'One page',
          schema: z.object({ items: z.array(connectSessionSchema), next_cursor: z.string().nullable() }),
        },
      },
    },
    async ({ context, query }) => {
      const page = await listConnectSessionsOf(vaultContext(context), query);
      return { status: 200, body: { items: page.items.map(connectSessionItem), next_cursor: page.next } };
    },
  ),
  defineRoute(
    {
      method: 'get',
      path: `${path}/{id}`,
      summary: 'Show one connect session',
      tag,
      action: 'operate',
      params,
      answers: { 200: { description: 'The session', schema: connectSessionSchema } },
    },
    async ({ context, params: { id } }) => {
      const session = await getConnectSession(vaultContext(context), id);
      return { status: 200, body: connectSessionItem(session) };
    },
  ),
  defineRoute(
    {
      method: 'post',
      path: `${path}/{id}/complete`,
      summary:
        'Confirm who came back: only then is the grant stored. A wrong user ends the session and revokes its tokens',
      tag,
      action: 'operate',
      params,
      body: completeInputSchema,
      answers: { 200: { description: 'The grant', schema: grantSchema } },
    },
    async ({ context, params: { id }, body }) => {
      const given = { completionCode: body.completion_code, user: body.user };
      const grant = await completeConnectSessionOf(vaultContext(context), id, given);
      internalsOf(context.vault()).forget(grant);
      return { status: 200, body: grantItem(grant) };
    },
  ),
];
