import type { Hono, Context as HonoContext } from 'hono';
import { z } from 'zod';
import { GrantryError } from '../base/errors.ts';
import { checkName, checkProviderId } from '../base/ids.ts';
import { type Action, assertMay, assertMayFor, type Principal } from './access.ts';
import type { ServerContext } from './context.ts';
import { onceEach, readJson } from './limits/body.ts';
import { noteCaller, outgoingOf } from './telemetry/watch.ts';

type Fields = z.ZodObject;

/** What a handler is called with: everything was checked. */
export interface RouteInput<Params extends Fields, Query extends Fields, Body extends z.ZodType> {
  readonly context: ServerContext;
  readonly principal: Principal;
  readonly params: z.infer<Params>;
  readonly query: z.infer<Query>;
  readonly body: z.infer<Body>;
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
}

export interface RouteShape {
  readonly method: 'get' | 'put' | 'post' | 'delete' | 'patch' | 'head' | 'options';
  /** With `{names}`; tenant and provider among them are what the key is checked for. */
  readonly path: string;
  readonly summary: string;
  readonly tag: string;
  readonly action: Action;
  readonly params?: Fields | undefined;
  readonly query?: Fields | undefined;
  readonly body?: z.ZodType | undefined;
  /** Headers that the route reads; for the description alone. */
  readonly headers?: Fields | undefined;
  /** A body that the handler reads itself, as it arrives. */
  readonly streamed?: { readonly contentType: string; readonly schema: z.ZodType };
  readonly answers: Readonly<Record<number, AnswerShape>>;
}

/** A route whose input types are no longer of interest. */
export interface Route extends RouteShape {
  readonly handle: (context: ServerContext, principal: Principal, request: HonoContext) => Promise<Answer | Response>;
}

const nothing = z.strictObject({});

/**
 * Describes a route once, for the server and for its description: who may call it, what it takes, what it answers.
 *
 * The key is checked before anything else of the request is read, and everything is parsed before the handler runs.
 */
export function defineRoute<
  Params extends Fields = typeof nothing,
  Query extends Fields = typeof nothing,
  Body extends z.ZodType = z.ZodUndefined,
>(
  shape: RouteShape & { params?: Params; query?: Query; body?: Body },
  run: (input: RouteInput<Params, Query, Body>) => Promise<Answer | Response>,
): Route {
  return {
    ...shape,
    handle: async (context, principal, request) => {
      const raw = request.req.param();
      // The defaults stand for shapes that were left out, which is what their type parameters then are.
      const params = parse(shape.params ?? (nothing as unknown as Params), raw, 'path');
      const search = onceEach(new URL(request.req.url).searchParams, 'query parameter');
      const query = parse(shape.query ?? (nothing as unknown as Query), { ...search }, 'query');
      const given = shape.body === undefined ? undefined : await readJson(request.req.raw, context.world);
      // As above: without a body's shape the body is undefined.
      const body = shape.body === undefined ? (undefined as z.infer<Body>) : parse(shape.body, given, 'body');
      return run({ context, principal, params, query, body, request: request.req.raw });
    },
  };
}

/** Puts routes into the application. */
export function mount(app: Hono, context: ServerContext, routes: readonly Route[]): void {
  for (const route of routes) {
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    app.on(route.method, path, async (request) => {
      const principal = await context.access.authenticate(request.req.header('authorization'));
      noteCaller(outgoingOf(request), { key: principal.id, tenant: request.req.param('tenant') });
      // Before it counts: nobody uses up the share of a tenant for whom the key does not act.
      authorize(principal, route.action, request.req.param());
      const leave = admit(context.traffic, route.action, request.req.param('tenant') ?? `key ${principal.id}`);
      try {
        const response = responseOf(await route.handle(context, principal, request));
        if (route.streamed !== undefined && response.body !== null) return whenRead(response, response.body, leave);
        leave();
        return response;
      } catch (error) {
        leave();
        throw error;
      }
    });
  }
}

/** Reads of tokens pass freely while the server is well: programs wait for them. */
function admit(traffic: ServerContext['traffic'], action: Action, tenant: string): () => void {
  if (action !== 'read_token') return traffic.enter(tenant);
  if (traffic.isPressed) traffic.assertFair(tenant);
  return () => {};
}

/** A request whose answer is still being made is under way until the last of it was taken, or nobody wants it. */
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

/** Parses a value from outside and says where it is wrong, never what was there: it may be a secret. */
export function parse<Shape extends z.ZodType>(shape: Shape, value: unknown, where: string): z.infer<Shape> {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const place = issue === undefined || issue.path.length === 0 ? where : `${where} at ${issue.path.join('.')}`;
  throw new GrantryError('invalid_request', `The ${place} is not valid: ${describeIssue(issue)}.`);
}

function describeIssue(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return 'it does not have the right form';
  if (issue.code === 'unrecognized_keys') {
    // A mistyped member is a few words. Anything else may be a value that slipped into the wrong place.
    const names = issue.keys.filter((key) => key.length <= 40 && /^[a-z]+(?:_[a-z]+)*$/.test(key));
    return names.length === 0 ? 'it has members nobody knows' : `nobody knows ${names.join(', ')}`;
  }
  if (issue.code === 'invalid_type') return `it must be ${issue.expected}`;
  if (issue.code === 'invalid_value') return `it must be one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_big') return `it is larger than ${String(issue.maximum)}`;
  if (issue.code === 'too_small') return `it is smaller than ${String(issue.minimum)}`;
  return 'it does not have the right form';
}

function authorize(principal: Principal, action: Action, params: Record<string, string | undefined>): void {
  const { tenant, provider } = params;
  if (tenant === undefined || provider === undefined) return assertMay(principal, action);
  assertMayFor(principal, action, { tenant: checkName('tenant', tenant), provider: checkProviderId(provider) });
}
