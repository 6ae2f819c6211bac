import type { Hono, Context as HonoContext } from 'hono';
import { z } from 'zod';
import { actingAs } from '../base/acting.ts';
import { checkName, checkProviderId } from '../base/ids.ts';
import { parse } from '../schemas/parse.ts';
import { actingFor } from './acting.ts';
import type { ServerContext } from './context.ts';
import { onceEach, readJson } from './limits/body.ts';
import { type Action, assertMay, assertMayFor, type Principal, seenBy } from './principal.ts';
import { noteCaller, outgoingOf } from './telemetry/watch.ts';

type Fields = z.ZodObject;

/** The input of a handler; every part is checked. */
export interface RouteInput<Params extends Fields, Query extends Fields, Body extends z.ZodType> {
  readonly context: ServerContext;
  readonly principal: Principal;
  readonly params: z.output<Params>;
  readonly query: z.output<Query>;
  readonly body: z.output<Body>;
  readonly request: Request;
}

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One kind of answer, for the API's description. */
export interface AnswerShape {
  readonly description: string;
  readonly schema?: z.ZodType;
  readonly contentType?: string;
  /** Headers of the answer and their descriptions. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RouteShape {
  readonly method: 'get' | 'put' | 'post' | 'delete' | 'patch' | 'head' | 'options';
  /** With `{names}`. The key must act for the tenant and provider among them. */
  readonly path: string;
  /** A few words. */
  readonly summary: string;
  /** Whole sentences. */
  readonly description: string;
  readonly tag: string;
  readonly action: Action;
  readonly params?: Fields | undefined;
  readonly query?: Fields | undefined;
  readonly body?: z.ZodType | undefined;
  /** Headers that the route reads; only for the description. */
  readonly headers?: Fields | undefined;
  /** A body that the handler reads itself. */
  readonly ownBody?: { readonly contentType: string; readonly schema: z.ZodType };
  readonly answers: Readonly<Record<number, AnswerShape>>;
}

/** A route without the types of its input. */
export interface Route extends RouteShape {
  readonly handle: (context: ServerContext, principal: Principal, request: HonoContext) => Promise<Answer | Response>;
}

const nothing = z.strictObject({});

/**
 * Describes a route once, for the server and for the API's description: its callers, its input and its answers.
 *
 * The key is checked before anything else of the request is read, and everything is parsed before the handler runs.
 */
export function defineRoute<
  Params extends Fields = typeof nothing,
  Query extends Fields = typeof nothing,
  Body extends z.ZodType = z.ZodUndefined,
>(
  shape: RouteShape & {
    readonly params?: Params;
    readonly query?: Query;
    readonly body?: Body;
    readonly run: (input: RouteInput<Params, Query, Body>) => Promise<Answer | Response>;
  },
): Route {
  return {
    ...shape,
    handle: async (context, principal, request) => {
      const raw = request.req.param();
      // A shape that is left out has the default type parameter.
      const params = parse(shape.params ?? (nothing as unknown as Params), raw, 'path');
      const search = onceEach(new URL(request.req.url).searchParams, 'query parameter');
      const query = parse(shape.query ?? (nothing as unknown as Query), { ...search }, 'query');
      const given = shape.body === undefined ? undefined : await readJson(request.req.raw, context.world);
      // As above: without a shape the body is undefined.
      const body = shape.body === undefined ? (undefined as z.output<Body>) : parse(shape.body, given, 'body');
      return shape.run({ context, principal, params, query, body, request: request.req.raw });
    },
  };
}

/** Adds routes to the application. */
export function mount(app: Hono, context: ServerContext, routes: readonly Route[]): void {
  for (const route of routes) {
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    app.on(route.method, path, async (request) => {
      const principal = await context.access.authenticate(request.req.header('authorization'));
      noteCaller(outgoingOf(request), { key: principal.id, tenant: request.req.param('tenant') });
      // Checked before the request counts: a key must not use up the share of a tenant for which it does not act.
      authorize(principal, route.action, request.req.param());
      const leave = admit(context.traffic, route.action, request.req.param('tenant') ?? `key ${principal.id}`);
      try {
        const acting = actingFor(principal, outgoingOf(request));
        const response = responseOf(await actingAs(acting, () => route.handle(context, principal, request)));
        if (route.ownBody !== undefined && response.body !== null) return whenRead(response, response.body, leave);
        leave();
        return response;
      } catch (error) {
        leave();
        throw seenBy(principal, error);
      }
    });
  }
}

/** Reads of tokens pass freely unless the server is overloaded: programs wait for them. */
function admit(traffic: ServerContext['traffic'], action: Action, tenant: string): () => void {
  if (action !== 'read_token') return traffic.enter(tenant);
  if (traffic.isPressed) traffic.assertFair(tenant);
  return () => {};
}

/** A request whose answer is streamed ends when the last of it was read, or when the caller stops reading. */
function whenRead(response: Response, body: ReadableStream<Uint8Array>, leave: () => void): Response {
  const reader = body.getReader();
  const watched = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        leave();
        controller.close();
      } catch (error) {
        leave();
        throw error;
      }
    },
    cancel: async (reason) => {
      leave();
      await reader.cancel(reason);
    },
  });
  return new Response(watched, response);
}

export function responseOf(answer: Answer | Response): Response {
  if (answer instanceof Response) return answer;
  const headers = new Headers({ 'cache-control': 'no-store', ...answer.headers });
  if (answer.body === undefined) return new Response(null, { status: answer.status, headers });
  headers.set('content-type', 'application/json');
  return new Response(JSON.stringify(answer.body), { status: answer.status, headers });
}

function authorize(principal: Principal, action: Action, params: Record<string, string | undefined>): void {
  const { tenant, provider } = params;
  if (tenant === undefined || provider === undefined) return assertMay(principal, action);
  assertMayFor(principal, action, { tenant: checkName('tenant', tenant), provider: checkProviderId(provider) });
}
