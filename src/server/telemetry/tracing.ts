import type { IncomingMessage, ServerResponse } from 'node:http';
import type * as Api from '@opentelemetry/api';
import type { SpanFacts, SpanName, Tracer } from '../../base/tracer.ts';

/** The facts of a request that logs and metrics may use: neither its path, nor its query, nor its headers. */
export interface RequestNote {
  readonly method: string;
  readonly startedAt: number;
  /** The template of the route, such as `/v1/apps/{app}`; `none` for a path without a route. */
  route: string;
  /** The API key's id, once it was checked. */
  key: string | null;
  tenant: string | null;
  /** The code of the error, if the request was refused because of who sent it, or for whom. */
  refused: string | null;
}

/** A tracer that also has spans for the requests of a server. */
export interface RequestTracer extends Tracer {
  /** Answers a request inside its span, which ends when the answer was sent. */
  request(request: IncomingMessage, response: ServerResponse, note: RequestNote, answer: () => void): void;
}

/**
 * Finds the OpenTelemetry SDK of this process, if one was registered before the server starts, for example by
 * `node --import ./telemetry.js`. Returns undefined without one.
 */
export async function findTracer(version: string): Promise<RequestTracer | undefined> {
  let api: typeof Api;
  try {
    api = await import('@opentelemetry/api');
  } catch {
    return undefined;
  }
  const provider = api.trace.getTracerProvider();
  // Without an SDK the proxy has no delegate.
  if (provider instanceof api.ProxyTracerProvider && provider.getDelegateTracer('grantry') === undefined) {
    return undefined;
  }
  return new OpenTelemetry(api, api.trace.getTracer('grantry', version));
}

class OpenTelemetry implements RequestTracer {
  readonly #api: typeof Api;
  readonly #tracer: Api.Tracer;

  constructor(api: typeof Api, tracer: Api.Tracer) {
    this.#api = api;
    this.#tracer = tracer;
  }

  span<T>(name: SpanName, facts: SpanFacts, run: (span: { set(facts: SpanFacts): void }) => Promise<T>): Promise<T> {
    const kind = name === 'grantry.provider_request' ? this.#api.SpanKind.CLIENT : this.#api.SpanKind.INTERNAL;
    return this.#tracer.startActiveSpan(name, { kind, attributes: allowed(facts) }, async (span) => {
      try {
        return await run({ set: (more) => void span.setAttributes(allowed(more)) });
      } catch (error) {
        // Never recordException: a message or a stack may hold a secret.
        span.setStatus({ code: this.#api.SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    });
  }

  request(request: IncomingMessage, response: ServerResponse, note: RequestNote, answer: () => void): void {
    const { context, propagation, trace, SpanKind, SpanStatusCode } = this.#api;
    const caller = propagation.extract(context.active(), request.headers);
    const attributes = { 'http.request.method': note.method };
    const span = this.#tracer.startSpan(note.method, { kind: SpanKind.SERVER, attributes }, caller);
    response.on('close', () => {
      const status = response.statusCode;
      span.updateName(`${note.method} ${note.route}`);
      span.setAttributes({ 'http.route': note.route, 'http.response.status_code': status });
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
    context.with(trace.setSpan(caller, span), answer);
  }
}

const names = [
  'grantry.provider',
  'grantry.dc',
  'grantry.outcome',
  'http.response.status_code',
  'error.type',
] as const satisfies readonly (keyof SpanFacts)[];

/** Selects the facts by name, so that no other leaves the process. */
function allowed(facts: SpanFacts): Api.Attributes {
  const found: Api.Attributes = {};
  for (const name of names) {
    const value = facts[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}
