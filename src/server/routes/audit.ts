import { z } from 'zod';
import { limits } from '../../base/limits.ts';
import { auditCheckpointSchema, auditPageSchema, auditProofSchema } from '../../schemas/audit.ts';
import { historyPageSchema } from '../../schemas/history.ts';
import { toJson } from '../../schemas/json.ts';
import { pageToJson } from '../../schemas/page.ts';
import { accountField, providerField, tenantField, time } from '../../schemas/thing.ts';
import { defineRoute, type Route } from '../route.ts';
import { accountQuery, grantParams, pageQuery } from '../schemas.ts';

const listQuery = pageQuery.extend({
  tenant: tenantField.optional(),
  provider: providerField.optional(),
  account: accountField.optional(),
  action: z
    .string()
    .max(limits.urlCharsMax)
    .regex(/^[a-z_.]+(?:,[a-z_.]+)*$/)
    .transform((text) => text.split(','))
    .optional()
    .meta({ description: 'Only these actions, separated by commas.', examples: ['token.handed_out'] }),
  actor: z
    .string()
    .regex(/^[\x20-\x7e]{1,256}$/)
    .optional()
    .meta({ description: 'Only what this actor did: the id of an API key, say.' }),
  since: time.optional().meta({ description: 'Only entries of this time or later.' }),
  until: time.optional().meta({ description: 'Only entries before this time.' }),
  order: z.enum(['asc', 'desc']).optional().meta({ description: '`asc`: the oldest entry first; else the newest.' }),
});

const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number)
  .meta({ type: 'integer', examples: [4711] });

export const auditRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    path: '/v1/audit',
    tag: 'Audit',
    summary: 'List entries of the audit log',
    description: 'Lists who did what, to which grant, and how it ended, page by page.',
    action: 'see_audit',
    query: listQuery,
    answers: { 200: { description: 'One page of entries.', schema: auditPageSchema } },
    run: async ({ context, query }) => ({ status: 200, body: pageToJson(await context.vault().audit.list(query)) }),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/tenants/{tenant}/grants/{provider}/history',
    tag: 'Audit',
    summary: "Tell a grant's life",
    description:
      'Tells the changes of a grant with their actors, its refreshes, and who had its tokens in which minute, the newest ' +
      'first.',
    action: 'see_audit',
    params: grantParams,
    query: accountQuery.extend(pageQuery.shape),
    answers: { 200: { description: 'One page of it.', schema: historyPageSchema } },
    run: async ({ context, params: { tenant, provider }, query: { account, ...page } }) => {
      const history = await context.vault().history({ tenant, provider, account }, page);
      return { status: 200, body: pageToJson(history) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/audit/checkpoint',
    tag: 'Audit',
    summary: 'Sign the audit log',
    description:
      'Signs the log as it is now. Keep checkpoints out of the reach of those who can write the database: they prove ' +
      'later changes.',
    action: 'see_audit',
    answers: { 200: { description: 'The checkpoint.', schema: auditCheckpointSchema } },
    run: async ({ context }) => ({ status: 200, body: toJson(await context.vault().audit.checkpoint()) }),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/audit/entries/{seq}/proof',
    tag: 'Audit',
    summary: 'Prove one entry of the audit log',
    description: 'Proves that an entry is in the log, without showing another one (RFC 6962 section 2.1.1).',
    action: 'see_audit',
    params: z.object({ seq: wholeNumber }),
    answers: { 200: { description: 'The proof.', schema: auditProofSchema } },
    run: async ({ context, params }) => ({ status: 200, body: toJson(await context.vault().audit.prove(params.seq)) }),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/audit/export',
    tag: 'Audit',
    summary: 'Copy the audit log',
    description:
      'Copies the whole log as lines of JSON, which `grantry audit verify FILE` checks with public keys only.',
    action: 'see_audit',
    answers: {
      200: { description: 'The log.', schema: z.record(z.string(), z.unknown()), contentType: 'application/x-ndjson' },
    },
    run: async ({ context }) => {
      const lines = context.vault().audit.export()[Symbol.asyncIterator]();
      // The first line is read before the answer begins, so that a failure is a problem and not a cut answer.
      const first = await lines.next();
      return new Response(streamOf(first, lines), {
        headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
      });
    },
  }),
];

/** Lines that are sent together. */
const linesAtOnce = 256;

function streamOf(first: IteratorResult<string>, lines: AsyncIterator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next: IteratorResult<string> | undefined = first;
  return new ReadableStream({
    pull: async (controller) => {
      const texts: string[] = [];
      while (texts.length < linesAtOnce) {
        const { done, value } = next ?? (await lines.next());
        next = undefined;
        if (done === true) break;
        texts.push(`${value}\n`);
      }
      if (texts.length > 0) controller.enqueue(encoder.encode(texts.join('')));
      if (texts.length < linesAtOnce) controller.close();
    },
    cancel: async () => {
      await lines.return?.();
    },
  });
}
