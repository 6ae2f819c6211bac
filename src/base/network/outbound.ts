import { Agent, Client, Dispatcher, fetch, Request } from 'undici';
import { systemCodeOf } from '../system-error.ts';
import type { WorldRequest } from '../world.ts';
import type { ExchangeAnswer, RawExchangeRequest } from './exchange.ts';
import { type ConnectorOptions, guardedConnector } from './guarded-connector.ts';
import { noteStart } from './kept-connections.ts';
import { EgressProxyError, LostConnectionError, NotSentError, RefusedAddressError } from './outbound-errors.ts';

/**
 * Sends one HTTP request over the machine's network: the system world's `fetch`.
 *
 * Redirects are returned, never followed. Proxies named in the environment are ignored; `options.proxy` is the only one
 * that is used. Certificates are always checked. With `beforeSend` the request gets its own connection (see {@link
 * WorldRequest.beforeSend}), which is closed after the answer. Unless `allowLoopback` is set, connections only go to
 * public addresses, by https on port 443.
 *
 * No request is sent twice, with one exception: a GET or HEAD that met the end of a kept connection goes out once more, on
 * a connection of its own.
 *
 * @throws {NotSentError} when no byte of the request was written: bad URL or header, name look-up, refusal, TLS,
 * connect time-out, an abort before the first byte. An error of `beforeSend` becomes its `cause`; a NotSentError passes
 * unchanged.
 * @throws the signal's reason when aborted later, and `LostConnectionError` for all else: the peer may have acted.
 */
export async function send(url: string, init: WorldRequest, options: ConnectorOptions): Promise<Response> {
  const request = buildRequest(url, init);
  const { beforeSend, signal } = init;
  const over = (connection: Dispatcher) => fetchOver(new WatchedDispatcher(connection, beforeSend), request, signal);
  if (beforeSend !== undefined) return onOwnConnection(url, options, over);
  return onKeptConnection(url, { options, canRepeat: isRepeatable(init) }, over);
}

async function fetchOver(
  watched: WatchedDispatcher,
  request: Request,
  signal: AbortSignal | undefined,
): Promise<Response> {
  try {
    return await fetch(request, { dispatcher: watched });
  } catch (error) {
    if (watched.answeredWith === 421 || watched.answeredWith === 407) {
      // undici's fetch would send the request again after these two statuses. Grantry never does, so it returns the
      // bare status.
      return new Response(null, { status: watched.answeredWith });
    }
    throw failureOf(error, watched, signal);
  }
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
  return onKeptConnection(url, { options, canRepeat: isRepeatable(request) }, (connection) =>
    requestOver(new WatchedDispatcher(connection, undefined), target, request),
  );
}

async function requestOver(
  watched: WatchedDispatcher,
  target: URL,
  request: RawExchangeRequest,
): Promise<ExchangeAnswer> {
  const { method, headers, body, signal } = request;
  try {
    const answer = await watched.request({
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
    throw failureOf(error, watched, signal);
  }
}

/** Tells whether a second request after an unanswered first one is harmless (RFC 9110 section 9.2.2). */
function isRepeatable({ method, body }: { readonly method: string; readonly body?: unknown }): boolean {
  return (method === 'GET' || method === 'HEAD') && (body === undefined || body === null);
}

async function onKeptConnection<Answer>(
  url: string,
  { options, canRepeat }: { options: ConnectorOptions; canRepeat: boolean },
  run: (connection: Dispatcher) => Promise<Answer>,
): Promise<Answer> {
  try {
    return await run(poolFor(options));
  } catch (error) {
    if (!canRepeat || !(error instanceof LostConnectionError) || !error.wasIdle) throw error;
    // Another kept connection may have ended, too.
    return onOwnConnection(url, options, run);
  }
}

async function onOwnConnection<Answer>(
  url: string,
  options: ConnectorOptions,
  run: (connection: Dispatcher) => Promise<Answer>,
): Promise<Answer> {
  const connect = guardedConnector({ ...options, maxCachedSessions: 0 });
  const connection = new Client(new URL(url).origin, { allowH2: false, connect });
  try {
    return await run(connection);
  } finally {
    // `close` resolves once the answer's body was read or cancelled; until then the body keeps the connection open.
    void connection.close().catch(() => {});
  }
}

const pools = new WeakMap<object, Map<string, Agent>>();
const direct = {};

/** Returns the connections that are kept between requests; the vaults of a process share those without a proxy. */
function poolFor(options: ConnectorOptions): Agent {
  const known = pools.get(options.proxy ?? direct) ?? new Map<string, Agent>();
  pools.set(options.proxy ?? direct, known);
  // A caller that may reach loopback has its own connections: no other caller may get one of them.
  const name = `${options.connectMs} ${options.allowLoopback} ${options.anywhere === true}`;
  // Only tests pass their own look-up; they make few requests with many look-ups, so those agents are not kept.
  const kept = options.lookup === undefined ? known.get(name) : undefined;
  if (kept !== undefined) return kept;
  const agent = new Agent({ allowH2: false, connect: guardedConnector(options) });
  if (options.lookup === undefined) known.set(name, agent);
  return agent;
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
  /** True if the connection had carried an earlier request. */
  isKept = false;
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
        noteStart((isKept) => {
          this.isKept = isKept;
        });
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
  if (cause instanceof RefusedAddressError || cause instanceof EgressProxyError) return cause;
  if (!watched.started) return new NotSentError(`no connection (${systemCodeOf(cause) ?? 'no code'})`, { cause });
  // Parse errors carry the peer's bytes, so only the code of a later failure is passed on.
  if (signal?.aborted === true) return signal.reason;
  const code = systemCodeOf(cause);
  const wasIdle = watched.isKept && watched.answeredWith === null && closedCodes.has(code);
  return new LostConnectionError(code, wasIdle);
}

/** The codes of a connection that the peer has closed. */
const closedCodes: ReadonlySet<string | null> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** Unwraps fetch's own "fetch failed". */
function connectionError(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}
