import { LRUCache } from 'lru-cache';
import { GrantryError } from '../base/errors.ts';
import { checkKey, type GrantKey } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { apiHeaders, organizationOf } from '../providers/expand.ts';
import { resolveApiUrl } from '../providers/hosts.ts';
import { type ApiAnswer, bodyMatters, isInvalidToken } from '../providers/invalid-token.ts';
import type { VaultContext } from './context.ts';
import { getGrant } from './grants.ts';
import type { HandOut } from './hand-out.ts';
import { memoryKey } from './memory.ts';
import { noSuchGrant } from './refusals.ts';
import type { AccessToken, Grant, VaultRequest } from './types.ts';
import { validityRules } from './validity.ts';

/** Headers that the caller may not set: the first two are ours, the rest belong to one connection (RFC 9110 7.6.1). */
const refusedHeaders = [
  'authorization',
  'cookie',
  'host',
  'connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
];

/** When a vault last replaced a grant's token because an API had refused it, by `World.monotonic`. */
const replacements = new WeakMap<HandOut, LRUCache<string, number>>();
const replacementsMax = 10_000;

/**
 * Calls the provider's API with the grant's access token put in.
 *
 * When the API says that the token is no good, in whatever form this product says so, the token is replaced once and the
 * call is made once more if its body can be sent again. Redirects are returned, never followed: a token goes to the
 * provider's own hosts alone.
 *
 * @throws {GrantryError} `invalid_request` for a URL on another host, `provider_unavailable` when no answer comes, and
 * whatever `getAccessToken` throws
 */
export async function callApi(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  pathOrUrl: string,
  request: VaultRequest = {},
): Promise<Response> {
  const call = await prepareCall(context, key, pathOrUrl, request);
  const token = await handOut.get(key);
  const first = await send(context, call, token);
  const seen = await peek(call.definition, first);
  if (!isInvalidToken(call.definition, seen.answer)) return plain(seen.response);
  const fresh = await replaced(context, handOut, key, { token, definition: call.definition });
  // A stream was read by the first call. Who gets the refusal may send the call again: the token is fresh by then.
  if (fresh === undefined || call.body instanceof ReadableStream) return plain(seen.response);
  await seen.response.body?.cancel();
  return plain(await send(context, call, fresh));
}

/** The response as the platform's own class: the HTTP client brings a twin of it that `instanceof` does not know. */
function plain(response: Response): Response {
  if (response instanceof Response) return response;
  const { body, status, statusText, headers }: Response = response;
  return new Response(body, { status, statusText, headers: new Headers([...headers]) });
}

/** Calls the API once with a given token and says what it makes of it; nothing is refreshed. */
export async function askApi(
  context: VaultContext,
  key: GrantKey,
  pathOrUrl: string,
  options: { method: string; token: { accessToken: string } },
): Promise<{ definition: ProviderDefinition; answer: ApiAnswer }> {
  const call = await prepareCall(context, key, pathOrUrl, { method: options.method });
  const { answer, response } = await peek(call.definition, await send(context, call, options.token));
  await response.body?.cancel();
  return { definition: call.definition, answer };
}

interface PreparedCall {
  definition: ProviderDefinition;
  url: string;
  method: string;
  headers: Headers;
  body: VaultRequest['body'];
  signal: AbortSignal | undefined;
}

async function prepareCall(
  context: VaultContext,
  key: GrantKey,
  pathOrUrl: string,
  request: VaultRequest,
): Promise<PreparedCall> {
  const checked = checkKey(key);
  const grant = await getGrant(context, checked);
  if (grant === null || grant.state === 'disconnected') throw noSuchGrant(checked);
  const definition = await context.providers.require(checked.provider);
  const place = { dc: grant.dc, metadata: grant.metadata };
  const url = new URL(resolveApiUrl(definition, pathOrUrl, { ...place, allowLoopback: context.allowLoopback }));
  const headers = checkHeaders(request.headers);
  for (const [name, value] of Object.entries(apiHeaders(definition, place))) headers.set(name, value);
  addOrganization(definition, grant, url, headers);
  return {
    definition,
    url: url.href,
    method: checkMethod(request.method),
    headers,
    body: request.body,
    signal: request.signal,
  };
}

/** What the caller names itself stays: some accounts have several organisations. */
function addOrganization(definition: ProviderDefinition, grant: Grant, url: URL, headers: Headers): void {
  const organization = organizationOf(definition, grant.metadata);
  if (organization === null) return;
  const { name, value } = organization;
  if (organization.in === 'query') {
    if (!url.searchParams.has(name)) url.searchParams.set(name, value);
  } else if (!headers.has(name)) headers.set(name, value);
}

async function send(
  context: VaultContext,
  call: PreparedCall,
  token: Pick<AccessToken, 'accessToken'>,
): Promise<Response> {
  const headers = new Headers(call.headers);
  headers.set('authorization', `${call.definition.accessToken.scheme} ${token.accessToken}`);
  try {
    return await context.world.fetch(call.url, {
      method: call.method,
      headers,
      body: call.body ?? null,
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
  } catch (error) {
    if (call.signal?.aborted === true) throw error;
    throw new GrantryError('provider_unavailable', "The provider's API did not answer.", {
      cause: error,
      retryAfterMs: context.times.retryBackOffMs,
    });
  }
}

/**
 * A new token, or undefined when none can be had now: then the API's own answer says most. An API that refuses every token
 * must not use up what the provider grants, so a grant's token is replaced for its sake once in a while alone.
 */
async function replaced(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  refused: { token: AccessToken; definition: ProviderDefinition },
): Promise<AccessToken | undefined> {
  const done = replacements.get(handOut) ?? new LRUCache<string, number>({ max: replacementsMax });
  replacements.set(handOut, done);
  const name = memoryKey(key);
  const { justRefreshedMs } = validityRules(refused.definition, context.times);
  const now = context.world.monotonic();
  const lately = now - (done.get(name) ?? Number.NEGATIVE_INFINITY) < justRefreshedMs;
  try {
    if (lately) {
      // Another call of the same moment may have had it replaced.
      const current = await handOut.get(key);
      return current.generation > refused.token.generation ? current : undefined;
    }
    const fresh = await handOut.reject(key, refused.token.generation);
    done.set(name, now);
    return fresh;
  } catch (error) {
    if (!(error instanceof GrantryError)) throw error;
    // The grant is over: that is what the caller must know, not that one call was refused.
    if (error.code === 'reauthorization_required') throw error;
    context.logger.warn('a refused token could not be replaced', { provider: key.provider, code: error.code });
    return undefined;
  }
}

/**
 * Looks at an answer without taking it from the caller. The body is read only where this provider's rules need it, up to a
 * limit, and handed on whole.
 */
async function peek(
  definition: ProviderDefinition,
  response: Response,
): Promise<{ answer: ApiAnswer; response: Response }> {
  const { status } = response;
  const answer: ApiAnswer = { status, wwwAuthenticate: response.headers.get('www-authenticate') };
  const isJson = /\bjson\b/i.test(response.headers.get('content-type') ?? '');
  if (!bodyMatters(definition, status) || !isJson || response.body === null) return { answer, response };
  const { head, rest } = await readHead(response.body);
  const body = parseJson(head);
  const whole = new Response(rest, { status, statusText: response.statusText, headers: response.headers });
  return { answer: body === undefined ? answer : { ...answer, body }, response: whole };
}

/** Reads up to a limit, and gives back a stream of all of it. */
async function readHead(
  stream: ReadableStream<Uint8Array>,
): Promise<{ head: Buffer; rest: ReadableStream<Uint8Array> }> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let done = false;
  while (!done && bytes < limits.apiPeekBytesMax) {
    const read = await reader.read();
    done = read.done;
    if (read.value !== undefined) {
      chunks.push(read.value);
      bytes += read.value.length;
    }
  }
  const head = Buffer.concat(chunks);
  const rest = new ReadableStream<Uint8Array>({
    start: (controller) => {
      if (head.length > 0) controller.enqueue(head);
      if (done) controller.close();
    },
    pull: async (controller) => {
      if (done) return;
      const read = await reader.read();
      if (read.done) controller.close();
      else controller.enqueue(read.value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return { head, rest };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // Cut at the limit, or not JSON after all: then it is no error envelope either.
    return undefined;
  }
}

function checkMethod(method = 'GET'): string {
  const upper = typeof method === 'string' ? method.toUpperCase() : '';
  if (['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].includes(upper)) return upper;
  throw new GrantryError('invalid_request', 'The method must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.');
}

function checkHeaders(input: VaultRequest['headers']): Headers {
  let headers: Headers;
  try {
    headers = new Headers(input);
  } catch (error) {
    throw new GrantryError('invalid_request', 'A header has an invalid name or value.', { cause: error });
  }
  const refused = refusedHeaders.find((name) => headers.has(name));
  if (refused !== undefined) {
    throw new GrantryError('invalid_request', `The header ${refused} is set by Grantry, or not sent at all.`);
  }
  return headers;
}
