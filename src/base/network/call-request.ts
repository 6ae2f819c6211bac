import { invalidRequest } from '../errors.ts';
import type { World } from '../world.ts';
import { type CallBody, type ReadyBody, readyBody } from './call-body.ts';

/** The parts of a call by `Vault.fetch`, as `fetch` takes them; each may be left out. Redirects are returned, never followed. */
export interface CallInit {
  method?: string | undefined;
  headers?: Record<string, string> | Headers | readonly (readonly [string, string])[] | undefined;
  body?: CallBody | null | undefined;
  signal?: AbortSignal | null | undefined;
}

/** A path or URL, or a whole `Request`. */
export type CallTarget = string | URL | Request;

/** A call that is ready to be sent. */
export interface ReadyCall {
  readonly pathOrUrl: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: ReadyBody;
  readonly signal: AbortSignal | undefined;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Reads a call as `fetch` does: a member of `init` replaces the one of a `Request`.
 *
 * @throws {GrantryError} `invalid_request` for what cannot be sent
 */
export function readCall(target: CallTarget, init: CallInit, world: Pick<World, 'randomBytes'>): ReadyCall {
  const request = requestOf(target);
  const method = checkMethod(init.method ?? request?.method ?? 'GET');
  const given = init.body === undefined ? unread(request) : init.body;
  if ((method === 'GET' || method === 'HEAD') && given !== null && given !== undefined) {
    throw invalidRequest(`A ${method} has no body.`, { action: 'Leave the body out, or use another method.' });
  }
  const body = readyBody(given, world);
  return {
    pathOrUrl: request?.url ?? (target instanceof URL ? target.href : checkText(target)),
    method,
    headers: headersOf(init.headers ?? request?.headers, body),
    body,
    signal: init.signal ?? request?.signal,
  };
}

/** Recognises the `Request` of another copy of the HTTP client, too. */
function requestOf(target: unknown): Request | undefined {
  if (target instanceof Request) return target;
  const isLike =
    typeof target === 'object' && target !== null && 'url' in target && 'headers' in target && 'method' in target;
  // A Request of another copy has these members, and no check of ours can tell more.
  return isLike ? (target as Request) : undefined;
}

function unread(request: Request | undefined): unknown {
  if (request?.bodyUsed === true) throw invalidRequest('The body of the Request was read already.');
  return request?.body;
}

function checkText(target: unknown): string {
  if (typeof target === 'string') return target;
  throw invalidRequest('The first argument must be a path, a URL or a Request.');
}

function checkMethod(method: unknown): string {
  const upper = typeof method === 'string' ? method.toUpperCase() : '';
  if (methods.includes(upper)) return upper;
  throw invalidRequest('The method must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.');
}

function headersOf(input: CallInit['headers'], body: ReadyBody): Headers {
  let headers: Headers;
  try {
    headers = new Headers(isList(input) ? input.map(([name, value]) => [name, value]) : input);
  } catch (error) {
    throw invalidRequest('A header has an invalid name or value.', { cause: error });
  }
  if (body.contentType?.startsWith('multipart/') === true && headers.has('content-type')) {
    throw invalidRequest('A content-type header cannot be set for FormData: its boundary would be missing.', {
      action: 'Leave the header out.',
    });
  }
  if (body.contentType !== null && !headers.has('content-type')) headers.set('content-type', body.contentType);
  if (body.contentLength !== null) headers.set('content-length', String(body.contentLength));
  return headers;
}

function isList(input: CallInit['headers']): input is readonly (readonly [string, string])[] {
  return Array.isArray(input);
}
