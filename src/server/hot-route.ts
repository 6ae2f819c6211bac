import type { IncomingMessage, ServerResponse } from 'node:http';
import { assertMayFor, type Principal } from './access.ts';
import { onceEach } from './body.ts';
import type { ServerContext } from './context.ts';
import { parse } from './route.ts';
import { tokenQuery } from './schemas.ts';
import { tokenBody } from './token-answer.ts';
import { noteCaller } from './watch.ts';

/** As it stands in the API's description. */
export const hotTemplate = '/v1/tenants/{tenant}/grants/{provider}/token';

const hotPath = /^\/v1\/tenants\/([A-Za-z0-9._@:-]+)\/grants\/([a-z0-9_-]+)\/token(?:\?(.*))?$/;

/** A request for a token that needs no further look at its URL; anything less plain takes the described route. */
export interface HotRequest {
  readonly tenant: string;
  readonly provider: string;
  readonly search: string | undefined;
}

export function matchHot(request: IncomingMessage): HotRequest | null {
  if (request.method !== 'GET') return null;
  const found = hotPath.exec(request.url ?? '');
  if (found === null) return null;
  const [, tenant = '', provider = '', search] = found;
  return { tenant, provider, search };
}

/**
 * `GET …/token` on plain Node: the one route that every API call of every program waits for.
 *
 * It is the described route's twin: the same check of the key, the same hand-out, the same bytes.
 */
export async function answerHot(
  context: ServerContext,
  hot: HotRequest,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const known = context.access.authenticate(request.headers.authorization);
  const principal: Principal = known instanceof Promise ? await known : known;
  const { tenant, provider, search } = hot;
  noteCaller(response, { key: principal.id, tenant });
  assertMayFor(principal, 'read_token', hot);
  if (context.traffic.isPressed) context.traffic.assertFair(tenant);
  const query =
    search === undefined
      ? undefined
      : parse(tokenQuery, { ...onceEach(new URLSearchParams(search), 'query parameter') }, 'query');
  const body = await tokenBody(context, { tenant, provider, account: query?.account }, query?.min_validity);
  response.writeHead(200, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
