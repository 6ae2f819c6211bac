import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context as HonoContext, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import type { Logger } from '../../base/log.ts';
import type { World } from '../../base/world.ts';
import type { Metrics } from './metrics.ts';
import type { RequestNote, RequestTracer } from './tracing.ts';

export interface WatchOptions {
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracer: RequestTracer | undefined;
  /** Told of a request that was refused because of who sent it, or for whom. */
  readonly refused?: ((note: RequestNote, response: ServerResponse) => void) | undefined;
}

const methods = new Set(['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS']);

/** The path at which {@link noteRoute} is mounted. */
export const everyPath = '/*';

const notes = new WeakMap<object, RequestNote>();

/** Watches each request from its head to the end of its answer: counts, metrics, log and spans. */
export class Watch {
  readonly #options: WatchOptions;
  /** Requests whose head was read, and those of them whose answer was not sent completely. */
  accepted = 0;
  unanswered = 0;
  readonly #open = new Set<ServerResponse>();
  #ending = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Answers a request and watches it. */
  over(request: IncomingMessage, response: ServerResponse, answer: () => void): void {
    const { world, tracer } = this.#options;
    const method = request.method ?? '';
    const note: RequestNote = {
      method: methods.has(method) ? method : 'other',
      startedAt: world.monotonic(),
      route: 'none',
      key: null,
      tenant: null,
      refused: null,
    };
    this.accepted += 1;
    this.#open.add(response);
    if (this.#ending) response.shouldKeepAlive = false;
    notes.set(response, note);
    response.on('close', () => this.#end(note, response));
    if (tracer === undefined) answer();
    else tracer.request(request, response, note, answer);
  }

  /** Makes every answer the last one of its connection from now on, also of requests that already wait. */
  endConnections(): void {
    this.#ending = true;
    for (const response of this.#open) if (!response.headersSent) response.shouldKeepAlive = false;
  }

  #end(note: RequestNote, response: ServerResponse): void {
    this.#open.delete(response);
    const { world, metrics, logger } = this.#options;
    const { method, route, tenant, key } = note;
    const whole = response.writableFinished;
    if (!whole) this.unanswered += 1;
    const status = response.statusCode;
    const ms = world.monotonic() - note.startedAt;
    metrics.requestAnswered({ method, route, status, tenant, ms });
    if (note.refused !== null) this.#options.refused?.(note, response);
    logger.debug('answered', { method, route, status, ms: Math.round(ms), key, whole });
  }
}

/** Records the route that served a request. */
export const noteRoute: MiddlewareHandler = async (request, next) => {
  await next();
  noteTemplate(outgoingOf(request), templateOf(routePath(request, -1)));
};

/** Records the route of a request, which its response identifies. */
export function noteTemplate(response: object | undefined, template: string): void {
  const note = response === undefined ? undefined : notes.get(response);
  if (note !== undefined) note.route = template;
}

/** Records the caller of a request and the tenant. */
export function noteCaller(response: object | undefined, caller: { key: string; tenant: string | undefined }): void {
  const note = response === undefined ? undefined : notes.get(response);
  if (note === undefined) return;
  note.key = caller.key;
  note.tenant = caller.tenant ?? null;
}

/** Records that a request is refused because of who sent it, or for whom. */
export function noteRefused(response: object | undefined, code: string): void {
  const note = response === undefined ? undefined : notes.get(response);
  if (note !== undefined && refusals.has(code)) note.refused = code;
}

const refusals: ReadonlySet<string> = new Set(['unauthorized', 'forbidden', 'invalid_client', 'unauthorized_client']);

/** Returns Node's response of a described route. */
export function outgoingOf(request: HonoContext): object | undefined {
  const bindings: unknown = request.env;
  if (typeof bindings !== 'object' || bindings === null) return undefined;
  const outgoing: unknown = Reflect.get(bindings, 'outgoing');
  return typeof outgoing === 'object' && outgoing !== null ? outgoing : undefined;
}

/** Writes `/v1/apps/:app` as the documentation does. A path that only this middleware matched has no route. */
function templateOf(pattern: string): string {
  return pattern === everyPath ? 'none' : pattern.replaceAll(/:(\w+)(?:\{[^}]*\})?/g, '{$1}');
}
