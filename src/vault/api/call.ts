import { type ApiResponse, GrantryError, invalidRequest } from '../../base/errors.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { readBounded } from '../../base/network/bounded.ts';
import { RefusedAddressError } from '../../base/network/outbound-errors.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type ApiAnswer, bodyMatters, isInvalidToken } from '../../providers/invalid-token.ts';
import type { VaultContext } from '../context.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import type { HeldToken } from '../hand-out/token-cache.ts';
import type { VaultRequest } from '../types.ts';
import { type CallOutcome, callWithTokenRetry, rejectedBecause } from './retry.ts';
import { type CallAddress, type PlacedCall, placeCall } from './target.ts';

/** Headers that the caller may not set: Grantry controls the first two, and the others are connection-specific (RFC 9110 7.6.1). */
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

/**
 * Calls the provider's API with the grant's access token.
 *
 * If the API rejects the token, in this product's own way of saying so, the token is replaced once. The call is then
 * repeated once, if its body can be sent again. Redirects are returned, never followed, so that a token goes only to the
 * provider's own hosts.
 *
 * @throws {GrantryError} `invalid_request` for a URL on another host, `provider_unavailable` when no answer arrives, and
 * every error of `getAccessToken`
 */
export async function callApi(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  pathOrUrl: string,
  request: VaultRequest = {},
): Promise<Response> {
  const { answer, keptBecause, isTokenGood } = await callApiTold(context, handOut, key, pathOrUrl, request);
  if (keptBecause !== undefined) throw rejectedBecause(keptBecause, await readRejection(answer));
  return platformResponse(answer, isTokenGood === true ? { 'grantry-reason': 'token_accepted' } : {});
}

/** Reads the API's answer for the error that takes its place. */
async function readRejection(answer: Response): Promise<ApiResponse> {
  const { bytes } = await readBounded(answer.body, limits.apiPeekBytesMax);
  return { status: answer.status, data: parseJson(bytes) ?? bytes.toString('utf8') };
}

/** Like `callApi`, for a caller that wants to know why a rejected token was not replaced. */
export async function callApiTold(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  pathOrUrl: string,
  request: VaultRequest,
): Promise<CallOutcome<Response>> {
  const checked = checkKey(key);
  const call = checkRequest(request);
  const definition = await context.providers.require(checked.provider, { orKept: true });
  return callWithTokenRetry<Response>(
    { context, handOut, key: checked, definition, pathOrUrl },
    {
      send: (placed) => send(context, placed, call),
      inspect: async (response) => {
        const peeked = await peek(definition, response);
        return { isRefused: isInvalidToken(definition, peeked.answer), answer: peeked.response };
      },
      // The first call has consumed a stream.
      canRepeat: () => !(call.body instanceof ReadableStream),
      drop: async (response) => response.body?.cancel(),
    },
  );
}

/** Converts a response of the HTTP client's own class to the platform's class, for callers that use `instanceof`. */
function platformResponse(response: Response, more: Readonly<Record<string, string>>): Response {
  const added = Object.entries(more);
  if (response instanceof Response && added.length === 0) return response;
  const { body, status, statusText, headers }: Response = response;
  return new Response(body, { status, statusText, headers: new Headers([...headers, ...added]) });
}

/** Calls the API once with the given token, without any refresh, and returns its answer. */
export async function askApi(address: CallAddress, token: HeldToken, method: string): Promise<ApiAnswer> {
  const response = await send(address.context, await placeCall(address, token), checkRequest({ method }));
  const peeked = await peek(address.definition, response);
  await peeked.response.body?.cancel();
  return peeked.answer;
}

interface PreparedCall {
  readonly method: string;
  readonly headers: Headers;
  readonly body: VaultRequest['body'];
  readonly signal: AbortSignal | undefined;
}

function checkRequest(request: VaultRequest): PreparedCall {
  const { body, signal } = request;
  return { method: checkMethod(request.method), headers: checkHeaders(request.headers), body, signal };
}

async function send(context: VaultContext, { target, token, url }: PlacedCall, call: PreparedCall): Promise<Response> {
  const { definition, headers: providerHeaders, organization } = target;
  const headers = new Headers(call.headers);
  for (const [name, value] of Object.entries(providerHeaders)) headers.set(name, value);
  if (organization?.in === 'header' && !headers.has(organization.name)) {
    headers.set(organization.name, organization.value);
  }
  headers.set('authorization', `${definition.accessToken.scheme} ${token.accessToken}`);
  try {
    return await context.world.fetch(url, {
      method: call.method,
      headers,
      body: call.body ?? null,
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
  } catch (error) {
    if (call.signal?.aborted === true) throw error;
    throw unreachable(context, error);
  }
}

/** Returns the error for a call that got no answer. */
export function unreachable(context: VaultContext, error: unknown): GrantryError {
  if (error instanceof RefusedAddressError) {
    return new GrantryError(
      'provider_misconfigured',
      "The provider's host resolves to an address that is not public.",
      {
        action: "Correct the host in the provider's definition, or its DNS record. No grant is affected.",
        cause: error,
      },
    );
  }
  return new GrantryError('provider_unavailable', "The provider's API did not answer.", {
    cause: error,
    retryAfterMs: context.times.retryBackOffMs,
  });
}

/**
 * Inspects an answer and returns it unconsumed. The body is read only if this provider's rules need it, and only up to a
 * limit.
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

/** Reads a stream up to a limit; `rest` yields the whole body again. */
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
    // Truncated at the limit, or not JSON: either way it is not an error envelope.
    return undefined;
  }
}

function checkMethod(method = 'GET'): string {
  const upper = typeof method === 'string' ? method.toUpperCase() : '';
  if (['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].includes(upper)) return upper;
  throw invalidRequest('The method must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.');
}

function checkHeaders(input: VaultRequest['headers']): Headers {
  let headers: Headers;
  try {
    headers = new Headers(input);
  } catch (error) {
    throw invalidRequest('A header has an invalid name or value.', { cause: error });
  }
  const refused = refusedHeaders.find((name) => headers.has(name));
  if (refused !== undefined) throw invalidRequest(`The header ${refused} cannot be set by the caller.`);
  return headers;
}
