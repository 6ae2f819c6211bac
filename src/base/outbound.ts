import { Agent, Client, Dispatcher, fetch, Request } from 'undici';
import { NotSentError, type WorldRequest } from './world.ts';

/**
 * Sends one HTTP request over the machine's network: the system world's `fetch`.
 *
 * Redirects are handed back, never followed; nothing is ever sent twice; proxies named in the environment are ignored;
 * certificates are always checked. With `beforeSend` the request gets a connection of its own (see
 * {@link WorldRequest.beforeSend}), which is closed after the answer.
 *
 * @param connectMs How long name look-up, TCP and TLS may take together.
 * @throws {NotSentError} when not one byte of the request was written: bad URL or header, name look-up, refusal, TLS,
 * connect time-out, an abort before the first byte. What `beforeSend` throws is its `cause` (a NotSentError passes as
 * it is).
 * @throws the signal's reason when aborted later, and `LostConnectionError` for all else: the peer may have acted.
 */
export async function send(url: string, init: WorldRequest, connectMs: number): Promise<Response> {
  const request = buildRequest(url, init);
  const alone = init.beforeSend !== undefined;
  const connection = alone ? connectOnce(new URL(url).origin, connectMs) : poolFor(connectMs);
  const watched = new WatchedDispatcher(connection, init.beforeSend);
  try {
    return await fetch(request, { dispatcher: watched });
  } catch (error) {
    if (watched.answeredWith === 421 || watched.answeredWith === 407) {
      // Fetch wants to ask again after these two. We never send twice, so the bare status is the answer.
      return new Response(null, { status: watched.answeredWith });
    }
    throw failureOf(error, watched, init.signal);
  } finally {
    // Resolves when the answer's body has been read or given up; until then it keeps the connection.
    if (alone) void connection.close().catch(() => {});
  }
}

/** The connection failed after the first byte of the request was written: the peer may have acted on it. */
export class LostConnectionError extends Error {
  override readonly name = 'LostConnectionError';
  /** The system's or the HTTP client's code, such as `ECONNRESET`. */
  readonly code: string | null;

  constructor(code: string | null) {
    super(`the connection failed after the request was sent (${code ?? 'no code'})`);
    this.code = code;
  }
}

const connectorOptions = { allowH2: false, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;
const pools = new Map<number, Agent>();

/** Connections kept between requests, shared by the whole process. */
function poolFor(connectMs: number): Agent {
  const known = pools.get(connectMs);
  if (known !== undefined) return known;
  const agent = new Agent({ allowH2: false, connect: { ...connectorOptions, timeout: connectMs } });
  pools.set(connectMs, agent);
  return agent;
}

/** A client for one request: no session is resumed and no connection kept. */
function connectOnce(origin: string, connectMs: number): Client {
  return new Client(origin, {
    allowH2: false,
    connect: { ...connectorOptions, maxCachedSessions: 0, timeout: connectMs },
  });
}

/**
 * Passes one request on and learns what nobody else can tell: whether its first byte was about to be written.
 *
 * The client calls `onRequestStart` in the same turn and immediately before it writes the header.
 */
class WatchedDispatcher extends Dispatcher {
  readonly #inner: Dispatcher;
  readonly #beforeSend: (() => void) | undefined;
  started = false;
  answeredWith: number | null = null;
  /** What `beforeSend` threw. */
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
  const protocol = URL.canParse(url) ? new URL(url).protocol : null;
  if (protocol !== 'https:' && protocol !== 'http:') throw new NotSentError('the URL is not an http or https URL');
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
    // The client's own words quote the header or the URL, and with them perhaps a secret: they stay here.
    throw new NotSentError('the URL, the method or a header is not valid');
  }
}

function failureOf(error: unknown, watched: WatchedDispatcher, signal: AbortSignal | undefined): unknown {
  if (watched.refusal !== null) {
    const refusal = watched.refusal.error;
    return refusal instanceof NotSentError
      ? refusal
      : new NotSentError('stopped before the first byte', { cause: refusal });
  }
  const cause = signal?.aborted === true ? signal.reason : connectionError(error);
  if (!watched.started) return new NotSentError(`no connection (${codeOf(cause) ?? 'no code'})`, { cause });
  // Parse errors carry the peer's bytes, so what happened later is told by its code alone.
  return signal?.aborted === true ? signal.reason : new LostConnectionError(codeOf(cause));
}

/** What is inside fetch's own "fetch failed". */
function connectionError(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}

function codeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return null;
}
