import { Agent, Client, Dispatcher, fetch, Request } from 'undici';
import { systemCodeOf } from '../system-error.ts';
import type { WorldRequest } from '../world.ts';
import type { ExchangeAnswer, RawExchangeRequest } from './exchange.ts';
import { type ConnectorOptions, guardedConnector } from './guarded-connector.ts';
import { NotSentError, RefusedAddressError } from './outbound-errors.ts';

/**
 * Sends one HTTP request over the machine's network: the system world's `fetch`.
 *
 * Redirects are returned, never followed. No request is sent twice. Proxies named in the environment are ignored.
 * Certificates are always checked. With `beforeSend` the request gets its own connection (see {@link
 * WorldRequest.beforeSend}), which is closed after the answer. Unless `allowLoopback` is set, connections only go to
 * public addresses, by https on port 443.
 *
 * @throws {NotSentError} when no byte of the request was written: bad URL or header, name look-up, refusal, TLS,
 * connect time-out, an abort before the first byte. An error of `beforeSend` becomes its `cause`; a NotSentError passes
 * unchanged.
 * @throws the signal's reason when aborted later, and `LostConnectionError` for all else: the peer may have acted.
 */
export async function send(url: string, init: WorldRequest, options: ConnectorOptions): Promise<Response> {
  const request = buildRequest(url, init);
  const ownConnection = init.beforeSend !== undefined;
  const connection = ownConnection ? connectOnce(new URL(url).origin, options) : poolFor(options);
  const watched = new WatchedDispatcher(connection, init.beforeSend);
  try {
    return await fetch(request, { dispatcher: watched });
  } catch (error) {
    if (watched.answeredWith === 421 || watched.answeredWith === 407) {
      // undici's fetch would send the request again after these two statuses. Grantry never does, so it returns the
      // bare status.
      return new Response(null, { status: watched.answeredWith });
    }
    throw failureOf(error, watched, init.signal);
  } finally {
    // `close` resolves once the answer's body was read or cancelled; until then the body keeps the connection open.
    if (ownConnection) void connection.close().catch(() => {});
  }
}

/** A connection failed after the first byte of the request was written: the peer may have acted on it. */
export class LostConnectionError extends Error {
  override readonly name = 'LostConnectionError';
  /** Code of the system or of the HTTP client, such as `ECONNRESET`. */
  readonly code: string | null;

  constructor(code: string | null) {
    super(`the connection failed after the request was sent (${code ?? 'no code'})`);
    this.code = code;
  }
}

const pools = new Map<string, Agent>();

/** Returns the connections that are kept between requests; the whole process shares them. */
function poolFor(options: ConnectorOptions): Agent {
  // A caller that may reach loopback has its own connections: no other caller may get one of them.
  const name = `${options.connectMs} ${options.allowLoopback} ${options.anywhere === true}`;
  // Only tests pass their own look-up; they make few requests with many look-ups, so those agents are not kept.
  const known = options.lookup === undefined ? pools.get(name) : undefined;
  if (known !== undefined) return known;
  const agent = new Agent({ allowH2: false, connect: guardedConnector(options) });
  if (options.lookup === undefined) pools.set(name, agent);
  return agent;
}

/** Creates a client for one request: it resumes no session and keeps no connection. */
function connectOnce(origin: string, options: ConnectorOptions): Client {
  return new Client(origin, { allowH2: false, connect: guardedConnector({ ...options, maxCachedSessions: 0 }) });
}

/**
 * Sends one request unchanged and returns the bytes of the answer as they come; otherwise like {@link send}.
 *
 * There is no time limit: the caller ends the request through its signal.
 */
export async function sendRaw(
  url: string,
  request: RawExchangeRequest,
  options: ConnectorOptions,
): Promise<ExchangeAnswer> {
  const target = readUrl(url);
  const { method, headers, body, signal } = request;
  try {
    const answer = await poolFor(options).request({
      origin: target.origin,
      path: target.pathname + target.search,
      method,
      headers,
      body,
      signal,
      headersTimeout: 0,
      bodyTimeout: 0,
      responseHeaders: 'raw',
    });
    // A raw answer has its headers as a list of names and values; undici's type declares the usual record.
    return { status: answer.statusCode, headers: answer.headers as unknown as string[], body: answer.body };
  } catch (error) {
    if (error instanceof RefusedAddressError) throw error;
    if (signal.aborted) throw signal.reason;
    // The client's message may quote a header or the peer's bytes, so only its code is passed on.
    throw new LostConnectionError(systemCodeOf(error));
  }
}

/**
 * Forwards one request and records whether its first byte was about to be written; fetch does not report this.
 *
 * The client calls `onRequestStart` in the same turn, immediately before it writes the header.
 */
class WatchedDispatcher extends Dispatcher {
  readonly #inner: Dispatcher;
  readonly #beforeSend: (() => void) | undefined;
  started = false;
  answeredWith: number | null = null;
  /** The error that `beforeSend` threw. */
  refusal: { readonly error: unknown } | null = null;
  #dispatched = false;

  constructor(inner: Dispatcher, beforeSend: (() => void) | undefined) {
    super();
    this.#inner = inner;
    this.#beforeSend = beforeSend;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (this.#dispatched) throw new Error('a request is never sent twice');
    this.#dispatched = true;
    return this.#inner.dispatch(options, this.#watch(handler));
  }

  #watch(handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
    return {
      onRequestStart: (controller, context) => {
        handler.onRequestStart?.(controller, context);
        if (controller.aborted) return;
        this.#askBeforeSend();
        this.started = true;
      },
      onRequestUpgrade: (controller, status, headers, socket) =>
        handler.onRequestUpgrade?.(controller, status, headers, socket),
      onResponseStarted: () => handler.onResponseStarted?.(),
      onResponseStart: (controller, status, headers, message) => {
        this.answeredWith = status;
        handler.onResponseStart?.(controller, status, headers, message);
      },
      onResponseData: (controller, chunk) => handler.onResponseData?.(controller, chunk),
      onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
      onResponseError: (controller, error) => handler.onResponseError?.(controller, error),
      onBodySent: (chunk) => handler.onBodySent?.(chunk),
      onRequestSent: () => handler.onRequestSent?.(),
    };
  }

  #askBeforeSend(): void {
    try {
      this.#beforeSend?.();
    } catch (error) {
      this.refusal = { error };
      throw new Error('stopped before sending', { cause: error });
    }
  }
}

function buildRequest(url: string, init: WorldRequest): Request {
  readUrl(url);
  try {
    const options: ConstructorParameters<typeof Request>[1] = {
      method: init.method,
      headers: [...new Headers(init.headers)],
      redirect: 'manual',
      body: init.body ?? null,
    };
    if (init.signal !== undefined) options.signal = init.signal;
    if (init.body instanceof ReadableStream) options.duplex = 'half';
    return new Request(url, options);
  } catch {
    // The client's message quotes the header or the URL, which may hold a secret, so it is dropped.
    throw new NotSentError('the URL, the method or a header is not valid');
  }
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url;
  throw new NotSentError('the URL is not an http or https URL');
}

function failureOf(error: unknown, watched: WatchedDispatcher, signal: AbortSignal | undefined): unknown {
  if (watched.refusal !== null) {
    const refusal = watched.refusal.error;
    return refusal instanceof NotSentError
      ? refusal
      : new NotSentError('stopped before the first byte', { cause: refusal });
  }
  const cause = signal?.aborted === true ? signal.reason : connectionError(error);
  if (cause instanceof RefusedAddressError) return cause;
  if (!watched.started) return new NotSentError(`no connection (${systemCodeOf(cause) ?? 'no code'})`, { cause });
  // Parse errors carry the peer's bytes, so only the code of a later failure is passed on.
  return signal?.aborted === true ? signal.reason : new LostConnectionError(systemCodeOf(cause));
}

/** Unwraps fetch's own "fetch failed". */
function connectionError(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}
