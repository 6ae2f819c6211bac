import { GrantryError } from '../../base/errors.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { RefusedAddressError } from '../../base/outbound-errors.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type ApiAnswer, bodyMatters, isInvalidToken } from '../../providers/invalid-token.ts';
import type { VaultContext } from '../context.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import type { AccessToken, VaultRequest } from '../types.ts';
import { callWithTokenRetry } from './retry.ts';
import { type ApiTarget, callUrl, readTarget, targetAndToken } from './target.ts';

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
  const checked = checkKey(key);
  const rough = checkRequest(request);
  let url = '';
  const { target, token } = await targetAndToken(context, handOut, checked, (found) => {
    url = callUrl(context, found, pathOrUrl);
  });
  const call = { ...rough, url };
  const { definition } = target;
  const { answer } = await callWithTokenRetry<Response>(
    { context, handOut, key: checked },
    { token, definition },
    {
      send: (current) => send(context, target, call, current),
      look: async (response) => {
        const seen = await peek(definition, response);
        return { isRefused: isInvalidToken(definition, seen.answer), answer: seen.response };
      },
      // A stream was read by the first call.
      canRepeat: () => !(call.body instanceof ReadableStream),
      drop: async (response) => response.body?.cancel(),
    },
  );
  return plain(answer);
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
  const target = await readTarget(context, checkKey(key));
  const { definition } = target;
  const call = { ...checkRequest({ method: options.method }), url: callUrl(context, target, pathOrUrl) };
  const { answer, response } = await peek(definition, await send(context, target, call, options.token));
  await response.body?.cancel();
  return { definition, answer };
}

interface PreparedCall {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: VaultRequest['body'];
  readonly signal: AbortSignal | undefined;
}

function checkRequest(request: VaultRequest): Omit<PreparedCall, 'url'> {
  const { body, signal } = request;
  return { method: checkMethod(request.method), headers: checkHeaders(request.headers), body, signal };
}

async function send(
  context: VaultContext,
  { definition, headers: own, organization }: ApiTarget,
  call: PreparedCall,
  token: Pick<AccessToken, 'accessToken'>,
): Promise<Response> {
  const headers = new Headers(call.headers);
  for (const [name, value] of Object.entries(own)) headers.set(name, value);
  if (organization?.in === 'header' && !headers.has(organization.name)) {
    headers.set(organization.name, organization.value);
  }
  headers.set('authorization', `${definition.accessToken.scheme} ${token.accessToken}`);
  try {
    return await context.world.fetch(call.url, {
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

/** What a call that brought no answer is to its caller. */
export function unreachable(context: VaultContext, error: unknown): GrantryError {
  if (error instanceof RefusedAddressError) {
    return new GrantryError('provider_misconfigured', "The provider's host leads to an address that is not public.", {
      action: 'Mend the definition of the provider, or the name it uses. No grant is harmed.',
      cause: error,
    });
  }
  return new GrantryError('provider_unavailable', "The provider's API did not answer.", {
    cause: error,
    retryAfterMs: context.times.retryBackOffMs,
  });
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
