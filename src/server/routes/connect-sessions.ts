import { z } from 'zod';
import {
  type ConnectSession,
  completionSchema,
  connectSessionInputSchema,
  connectSessionPageSchema,
  connectSessionSchema,
  newConnectSessionSchema,
} from '../../schemas/connect-session.ts';
import { grantSchema } from '../../schemas/grant.ts';
import { toJson } from '../../schemas/json.ts';
import { pageToJson } from '../../schemas/page.ts';
import { nameField, tenantField } from '../../schemas/thing.ts';
import { completeConnectSessionOf } from '../../vault/connect/completion.ts';
import type { Prove } from '../../vault/connect/enhanced.ts';
import {
  createConnectSession,
  getConnectSession,
  listConnectSessionsOf,
  noSuchSession,
} from '../../vault/connect/sessions.ts';
import { internalsOf } from '../../vault/internals.ts';
import { type ServerContext, vaultContext } from '../context.ts';
import { assertMayFor, mayDo, maySee, type Principal } from '../principal.ts';
import { defineRoute, type Route } from '../route.ts';
import { pageQuery } from '../schemas.ts';
import { scopeOf } from '../scope.ts';

const every = { path: '/v1/connect-sessions', tag: 'Connect', action: 'connect' } as const;
const params = z.object({ id: nameField.meta({ description: "The session's id." }) });
const one = { ...every, path: '/v1/connect-sessions/{id}', params } as const;

/** A session that the key may know of; any other is as good as none. @throws {GrantryError} `not_found` */
async function sessionFor(context: ServerContext, principal: Principal, id: string): Promise<ConnectSession> {
  const session = await getConnectSession(vaultContext(context), id);
  if (!maySee(principal, session)) throw noSuchSession();
  return session;
}

export const connectSessionRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    ...every,
    summary: 'Make a connect link',
    description: "Makes a link with which a tenant's user connects the tenant to a provider in a browser.",
    body: connectSessionInputSchema,
    answers: { 201: { description: 'The link. No later answer shows it.', schema: newConnectSessionSchema } },
    run: async ({ context, principal, body }) => {
      assertMayFor(principal, 'connect', body);
      const made = await createConnectSession(vaultContext(context), context.publicUrl, body);
      const { warning, warnings, ...link } = made;
      // It names grants of other tenants.
      const told = warning === undefined || !mayDo(principal.role, 'operate') ? link : { ...link, warning };
      return { status: 201, body: { ...toJson(told), warnings: warnings.map((each) => toJson(each)) } };
    },
  }),
  defineRoute({
    method: 'get',
    ...every,
    summary: 'List connect sessions',
    description:
      'Lists connect sessions, newest first. A key that names tenants or providers sees only theirs. A session is kept for ' +
      'a day after its end.',
    query: pageQuery.extend({ tenant: tenantField.optional() }),
    answers: { 200: { description: 'One page of sessions.', schema: connectSessionPageSchema } },
    run: async ({ context, principal, query }) => {
      const scope = scopeOf(principal, 'connect', query);
      const page = await listConnectSessionsOf(vaultContext(context), { ...query, ...scope });
      return { status: 200, body: pageToJson(page) };
    },
  }),
  defineRoute({
    method: 'get',
    ...one,
    summary: 'Show one connect session',
    description: 'Shows the state of one connect session.',
    answers: { 200: { description: 'The session.', schema: connectSessionSchema } },
    run: async ({ context, principal, params: { id } }) => {
      const session = await sessionFor(context, principal, id);
      return { status: 200, body: toJson(session) };
    },
  }),
  defineRoute({
    method: 'post',
    ...one,
    path: '/v1/connect-sessions/{id}/complete',
    summary: 'Complete a connect session',
    description:
      'Confirms who came back. Only then is the grant stored. A wrong user ends the session and revokes its tokens.',
    body: completionSchema,
    answers: { 200: { description: 'The grant.', schema: grantSchema } },
    run: async ({ context, principal, params: { id }, body }) => {
      await sessionFor(context, principal, id);
      const { handOut } = internalsOf(context.vault());
      const prove: Prove = (key, generation) => handOut.prove(key, generation);
      const grant = await completeConnectSessionOf(vaultContext(context), id, body, prove);
      internalsOf(context.vault()).forget(grant);
      return { status: 200, body: toJson(grant) };
    },
  }),
];
