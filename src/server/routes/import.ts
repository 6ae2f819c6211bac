import { z } from 'zod';
import { errorCodes, GrantryError, isGrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { ServerContext } from '../context.ts';
import { parseJson } from '../limits/body.ts';
import { type Line, linesOf } from '../limits/lines.ts';
import { defineRoute, parse, type Route } from '../route.ts';
import { nameSchema, providerIdSchema, storeTokensSchema } from '../schemas.ts';
import { isNew, tokensInput } from './grants.ts';

const lineSchema = storeTokensSchema
  .extend({ tenant: nameSchema, provider: providerIdSchema, account: nameSchema.optional() })
  .meta({ id: 'ImportLine' });

export const resultSchema = z
  .object({
    line: z.int(),
    tenant: z.string().optional(),
    provider: z.string().optional(),
    account: z.string().optional(),
    status: z.int().describe('201 stored, 200 replaced, else as the error has it'),
    shared_with: z.array(z.string()).optional().describe('Other grants that hold the same refresh token'),
    code: z.string().optional(),
    detail: z.string().optional(),
    action: z.string().optional(),
  })
  .meta({ id: 'ImportResult' });

/** What became of one line. */
export type ImportResult = z.infer<typeof resultSchema>;

export const importRoutes: readonly Route[] = [
  defineRoute(
    {
      method: 'post',
      path: '/v1/import',
      summary: 'Store many grants: NDJSON, each line a PUT body with tenant, provider and account; a result per line',
      tag: 'Grants',
      action: 'operate',
      streamed: { contentType: 'application/x-ndjson', schema: lineSchema },
      answers: {
        200: {
          description: 'One result per line, in the order in which they were stored; a bad line stops no other',
          schema: resultSchema,
          contentType: 'application/x-ndjson',
        },
      },
    },
    async ({ context, request }) => {
      const type = request.headers.get('content-type') ?? '';
      if (!/^application\/(?:x-)?(?:ndjson|jsonl)\b/i.test(type)) {
        throw new GrantryError('invalid_request', 'The body must be NDJSON (application/x-ndjson).');
      }
      // Asked for now, so that a sealed vault is one error and not one per line.
      context.vault();
      const results = importLines(
        context,
        linesOf(request.body, limits.importLineBytesMax, { idleMs: limits.importIdleMs, world: context.world }),
      );
      return new Response(streamOf(results), {
        headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
      });
    },
  ),
];

/** Stores a few lines at once, and reads no further than that: a slow database slows the sender. */
export async function* importLines(
  context: Pick<ServerContext, 'vault'>,
  lines: AsyncGenerator<Line>,
): AsyncGenerator<ImportResult> {
  const running = new Set<Promise<ImportResult>>();
  const next = async (): Promise<ImportResult> => {
    const tagged = [...running].map(async (promise) => ({ promise, result: await promise }));
    const { promise, result } = await Promise.race(tagged);
    running.delete(promise);
    return result;
  };
  try {
    for await (const line of lines) {
      running.add(importLine(context, line));
      if (running.size >= limits.importConcurrency) yield await next();
    }
  } catch (error) {
    while (running.size > 0) yield await next();
    yield failure(0, error);
  }
  while (running.size > 0) yield await next();
}

async function importLine(context: Pick<ServerContext, 'vault'>, line: Line): Promise<ImportResult> {
  try {
    if ('tooLong' in line) {
      throw new GrantryError('payload_too_large', `The line is longer than ${limits.importLineBytesMax} bytes.`);
    }
    const { tenant, provider, account = 'default', ...body } = parse(lineSchema, parseJson(line.text), 'line');
    const key = { tenant, provider, account };
    try {
      const before = await context.vault().grants.get(key);
      const { sharedWith } = await context.vault().storeTokens(key, tokensInput(body));
      const shared = sharedWith.map((other) => `${other.tenant}/${other.provider}/${other.account ?? 'default'}`);
      const status = isNew(before) ? 201 : 200;
      return { line: line.number, ...key, status, ...(shared.length === 0 ? {} : { shared_with: shared }) };
    } catch (error) {
      return { ...failure(line.number, error), ...key };
    }
  } catch (error) {
    return failure(line.number, error);
  }
}

function failure(line: number, thrown: unknown): ImportResult {
  const error = isGrantryError(thrown) ? thrown : new GrantryError('internal', 'The line could not be stored.');
  const { code, message, action } = error;
  return { line, status: errorCodes[code].status, code, detail: message, action };
}

function streamOf(results: AsyncGenerator<ImportResult>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await results.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
    },
    cancel: async () => {
      await results.return(undefined);
    },
  });
}
