import { type ApiResponse, GrantryError, invalidRequest } from '../../base/errors.ts';
import { jsonIn } from '../../base/exact-json.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { readBounded } from '../../base/network/bounded.ts';
import { type CallTarget, type ReadyCall, readCall } from '../../base/network/call-request.ts';
import { brokenOff, platformResponse, untilAborted } from '../../base/network/platform-response.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type ApiAnswer, bodyMatters, isInvalidToken, isScopeMissing } from '../../providers/invalid-token.ts';
import { forCall } from '../../providers/products.ts';
import type { VaultContext } from '../context.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import type { HeldToken } from '../hand-out/token-cache.ts';
import type { VaultRequest } from '../types.ts';
import { unreached } from '../unreached.ts';
import { ownHeaders } from './headers.ts';
import { type CallOutcome, callWithTokenRetry, rejectedBecause } from './retry.ts';
import { type CallAddress, type PlacedCall, placeCall } from './target.ts';
import { noteUse } from './uses.ts';

const peer = "The provider's API";

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
 * The signal ends the wait for a token as well; a refresh that was sent goes on. Its reason is thrown as it is.
 *
 * @throws {GrantryError} `invalid_request` for a URL on another host and for a body that cannot be sent, `provider_unavailable` when no answer arrives, and
 * every error of `getAccessToken`
 */
export async function callApi(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  target: CallTarget,
  request: VaultRequest = {},
): Promise<Response> {
  const { answer, keptBecause, isTokenGood } = await callApiTold(context, handOut, key, target, request);
  if (keptBecause !== undefined) throw rejectedBecause(keptBecause, await readRejection(answer));
  if (isTokenGood === true) answer.headers.set('grantry-reason', 'token_accepted');
  return answer;
}

/** Reads the API's answer for the error that takes its place. */
async function readRejection(answer: Response): Promise<ApiResponse> {
  const { bytes } = await readBounded(answer.body, limits.apiPeekBytesMax);
  return { status: answer.status, data: jsonIn(bytes.toString('utf8')) ?? bytes.toString('utf8') };
}

/** Like `callApi`, for a caller that wants to know why a rejected token was not replaced. */
export async function callApiTold(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  target: CallTarget,
  request: VaultRequest,
  { withoutOrganization }: Pick<CallAddress, 'withoutOrganization'> = {},
): Promise<CallOutcome<Response>> {
  const checked = checkKey(key);
  const call = checkCall(readCall(target, request, context.world));
  call.signal?.throwIfAborted();
  const provider = await context.providers.require(checked.provider, { orKept: true });
  const definition = forCall(provider, call.pathOrUrl);
  const made = { method: call.method, url: '', isScopeMissing: false };
  const outcome = await untilAborted(
    call.signal,
    callWithTokenRetry<Response>(
      {
        context,
        handOut,
        key: checked,
        definition,
        pathOrUrl: call.pathOrUrl,
        given: (name) => call.headers.get(name),
        withoutOrganization,
      },
      {
        send: (placed) => {
          made.url = placed.url;
          return send(context, placed, call);
        },
        inspect: async (response) => {
          const peeked = await peek(definition, response);
          const isRefused = isInvalidToken(definition, peeked.answer);
          made.isScopeMissing = !isRefused && isScopeMissing(definition, peeked.answer);
          return { isRefused, answer: peeked.response };
        },
        canRepeat: () => call.body.canRepeat,
        drop: async (response) => response.body?.cancel(),
      },
    ),
  );
  noteUse(context, checked, made);
  return { ...outcome, answer: platformResponse(outcome.answer, peer, call.signal) };
}

/** Calls the API once with the given token, without any refresh, and returns its answer. */
export async function askApi(address: CallAddress, token: HeldToken, method: string): Promise<ApiAnswer> {
  const response = await send(
    address.context,
    await placeCall(address, token),
    readCall('/', { method }, address.context.world),
  );
  const peeked = await peek(address.definition, response, { always: true });
  await peeked.response.body?.cancel();
  return peeked.answer;
}

async function send(context: VaultContext, placed: PlacedCall, call: ReadyCall): Promise<Response> {
  const headers = new Headers(call.headers);
  for (const [name, value] of ownHeaders(placed, (own) => call.headers.get(own))) headers.set(name, value);
  try {
    return await context.world.fetch(placed.url, {
      method: call.method,
      headers,
      body: call.body.send(),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
  } catch (error) {
    if (call.signal?.aborted === true) throw call.signal.reason;
    const failure = call.body.failure();
    if (failure instanceof GrantryError) throw failure;
    if (failure !== undefined) throw invalidRequest('The body failed while it was sent.', { cause: failure });
    throw unreachable(context, error);
  }
}

/** Returns the error for a call that got no answer. */
export function unreachable(context: VaultContext, error: unknown): GrantryError {
  return unreached(error, "The provider's API did not answer.", context.times.retryBackOffMs);
}

/**
 * Inspects an answer and returns it unconsumed. The body is read only if this provider's rules or the caller need it, and
 * only up to a limit.
 */
async function peek(
  definition: ProviderDefinition,
  response: Response,
  { always = false }: { always?: boolean } = {},
): Promise<{ answer: ApiAnswer; response: Response }> {
  const { status } = response;
  const answer: ApiAnswer = { status, wwwAuthenticate: response.headers.get('www-authenticate') };
  const isJson = /\bjson\b/i.test(response.headers.get('content-type') ?? '');
  const isRead = always || bodyMatters(definition, status);
  if (!isRead || !isJson || response.body === null) return { answer, response };
  const { head, rest } = await readHead(response.body).catch((error: unknown) => {
    throw brokenOff(peer, error);
  });
  // Truncated at the limit, or not JSON: either way it is not an error envelope.
  const body = jsonIn(head.toString('utf8'));
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

/** Refuses headers that Grantry or the connection sets. @throws {GrantryError} `invalid_request` */
function checkCall(call: ReadyCall): ReadyCall {
  const refused = refusedHeaders.find((name) => call.headers.has(name));
  if (refused !== undefined) throw invalidRequest(`The header ${refused} cannot be set by the caller.`);
  return call;
}
