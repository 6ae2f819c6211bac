import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { ReadLimit } from '../../base/network/lines.ts';
import type { World } from '../../base/world.ts';
import { actionOverHttp } from '../../schemas/actions.ts';
import { type ImportResult, importLineSchema, importResultSchema } from '../../schemas/import-line.ts';
import { importResultToJson } from '../../schemas/write-json.ts';
import { withTimeout } from '../../vault/deadline.ts';
import { importLines } from '../../vault/import/import.ts';
import { defineRoute, type Route } from '../route.ts';

export const importRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/v1/import',
    summary: 'Store many grants',
    description:
      'Stores one grant per line of NDJSON. The answer has one result per line, in the order in which the lines were ' +
      'stored. A bad line stops no other.',
    tag: 'Grants',
    action: 'operate',
    ownBody: { contentType: 'application/x-ndjson', schema: importLineSchema },
    answers: {
      200: { description: 'One result per line.', schema: importResultSchema, contentType: 'application/x-ndjson' },
    },
    run: async ({ context, request }) => {
      const type = request.headers.get('content-type') ?? '';
      if (!/^application\/(?:x-)?(?:ndjson|jsonl)\b/i.test(type)) {
        throw new GrantryError('invalid_request', 'The body must be NDJSON (application/x-ndjson).');
      }
      // Opened before the first line, so that a sealed vault is one error and not one per line.
      context.vault();
      const results = importLines(() => context.vault(), request.body, limitIdle(context.world));
      return new Response(streamOf(results), {
        headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
      });
    },
  }),
];

function limitIdle(world: World): ReadLimit {
  const late = () => new GrantryError('invalid_request', 'The body took too long to arrive.');
  return (read) => withTimeout(world, read, limits.importIdleMs, late);
}

function overHttp(result: ImportResult): object {
  const { action } = result;
  return importResultToJson(action === undefined ? result : { ...result, action: actionOverHttp(action) });
}

function streamOf(results: AsyncGenerator<ImportResult>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await results.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(`${JSON.stringify(overHttp(value))}\n`));
    },
    cancel: async () => {
      await results.return(undefined);
    },
  });
}
