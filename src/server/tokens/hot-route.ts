import type { IncomingMessage, ServerResponse } from 'node:http';
import { actingAs } from '../../base/acting.ts';
import { parse } from '../../schemas/parse.ts';
import { actingFor } from '../acting.ts';
import type { ServerContext } from '../context.ts';
import { onceEach } from '../limits/body.ts';
import { assertMayFor, type Principal, seenBy } from '../principal.ts';
import { tokenQuery } from '../schemas.ts';
import { noteCaller } from '../telemetry/watch.ts';
import { heldBody, tokenBody } from './token-answer.ts';

/** The path as the API's description has it. */
export const hotTemplate = '/v1/tenants/{tenant}/grants/{provider}/token';

const hotPath = /^\/v1\/tenants\/([A-Za-z0-9._@:-]+)\/grants\/([a-z0-9_-]+)\/token(?:\?(.*))?$/;

/** A request for a token whose URL holds no escapes; any other takes the described route. */
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
 * Answers `GET …/token` on plain Node: every API call of every program waits for this route.
 *
 * It answers exactly as the described route does: the same check of the key, the same hand-out, the same bytes. When the key
 * and the token are in memory, it answers synchronously and returns undefined.
 *
 * @throws {GrantryError} synchronously or through the promise
 */
export function answerHot(
  context: ServerContext,
  hot: HotRequest,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> | undefined {
  const known = context.access.authenticate(authorizationOf(request));
  if (!(known instanceof Promise)) return answerKnown(context, hot, known, response);
  return known.then((principal) => answerKnown(context, hot, principal, response));
}

function answerKnown(
  context: ServerContext,
  hot: HotRequest,
  principal: Principal,
  response: ServerResponse,
): Promise<void> | undefined {
  const { tenant, search } = hot;
  noteCaller(response, { key: principal.id, tenant });
  assertMayFor(principal, 'read_token', hot);
  if (context.traffic.isPressed) context.traffic.assertFair(tenant);
  const acting = actingFor(principal, response);
  if (search !== undefined) {
    return refusing(
      principal,
      actingAs(acting, () => answerAsked(context, hot, search, response)),
    );
  }
  const body = heldBody(context, hot, acting);
  if (body !== undefined) return send(response, body);
  return refusing(
    principal,
    actingAs(acting, () => answerLater(context, hot, response)),
  );
}

async function answerLater(
  context: ServerContext,
  { tenant, provider }: HotRequest,
  response: ServerResponse,
): Promise<void> {
  send(response, await tokenBody(context, { tenant, provider }, undefined));
}

/** Lets an answer fail as the caller may see it. */
async function refusing(principal: Principal, answer: Promise<void>): Promise<void> {
  try {
    await answer;
  } catch (error) {
    throw seenBy(principal, error);
  }
}

async function answerAsked(
  context: ServerContext,
  { tenant, provider }: HotRequest,
  search: string,
  response: ServerResponse,
): Promise<void> {
  const query = parse(tokenQuery, { ...onceEach(new URLSearchParams(search), 'query parameter') }, 'query');
  send(response, await tokenBody(context, { tenant, provider, account: query.account }, query.min_validity));
}

function send(response: ServerResponse, body: string): undefined {
  const length = String(Buffer.byteLength(body));
  response.writeHead(200, ['content-type', 'application/json', 'cache-control', 'no-store', 'content-length', length]);
  response.end(body);
}

/** Reads the first Authorization header, without building the object of all headers. */
function authorizationOf({ rawHeaders }: IncomingMessage): string | undefined {
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === 13 && name.toLowerCase() === 'authorization') return rawHeaders[at + 1];
  }
  return undefined;
}
