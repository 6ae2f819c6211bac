import type { IncomingMessage, ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { mountConnect } from './connect/routes.ts';
import type { ServerContext } from './context.ts';
import { describeServer } from './description.ts';
import { knownError, problemHeaders, problemOf, problemResponse, withStatus } from './problem.ts';
import { isProxied, makeProxy, proxyTemplate } from './proxy/route.ts';
import { mount } from './route.ts';
import { routes } from './routes/index.ts';
import { mountStartPage } from './start-page.ts';
import { mountStatus } from './status-routes.ts';
import { everyPath, noteRefused, noteRoute, noteTemplate, outgoingOf, type Watch } from './telemetry/watch.ts';
import { answerHot, hotTemplate, matchHot } from './tokens/hot-route.ts';
import { mountTokenExchange } from './tokens/token-exchange.ts';

export interface HandlerOptions {
  readonly version: string;
  readonly draining: () => boolean;
  readonly watch: Watch;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Makes the request handler: the hot route first, then the described routes. */
export function makeHandler(context: ServerContext, options: HandlerOptions): Handler {
  const app = makeApp(context, options);
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const proxy = makeProxy(context);
  /** The routes on plain Node: the hot route, and the proxy. */
  const answerHere = (request: IncomingMessage, response: ServerResponse): Promise<void> | undefined | null => {
    const hot = matchHot(request);
    if (hot !== null) {
      noteTemplate(response, hotTemplate);
      return answerHot(context, hot, request, response);
    }
    if (!isProxied(request)) return null;
    noteTemplate(response, proxyTemplate);
    return proxy(request, response);
  };
  return (request, response) => options.watch.over(request, response, () => answer(request, response));
  function answer(request: IncomingMessage, response: ServerResponse): void {
    const refused = refusedOutright(request);
    if (refused !== null) return sendProblem(context, response, refused);
    const refuse = (error: unknown): void => sendProblem(context, response, knownError(context.logger, error));
    try {
      const answered = answerHere(request, response);
      if (answered === null) void listener(request, response);
      else answered?.catch(refuse);
    } catch (error) {
      refuse(error);
    }
  }
}

function makeApp(context: ServerContext, options: HandlerOptions): Hono {
  const app = new Hono({ strict: true });
  app.use(everyPath, noteRoute);
  const described = { version: options.version, publicUrl: context.publicUrl };
  const description = describeServer(described);
  mountStartPage(app, described);
  mountStatus(app, context, { draining: options.draining, description });
  mountTokenExchange(app, context);
  mountConnect(app, context);
  mount(app, context, routes);
  app.notFound((request) => notFound(app, request.req.path, request.req.method));
  app.onError((error, request) => {
    const known = knownError(context.logger, error);
    noteRefused(outgoingOf(request), known.code);
    return problemResponse(known);
  });
  return app;
}

/** A path that exists for other methods is a 405, which names them. */
function notFound(app: Hono, path: string, method: string): Response {
  const allowed = ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'].filter(
    (other) => other !== method && app.router.match(other, path)[0].some(([[, route]]) => route.path !== everyPath),
  );
  if (allowed.length === 0) {
    const action = 'Check method and path: GET /openapi.json describes every route.';
    return problemResponse(new GrantryError('not_found', 'There is no such route.', { action }));
  }
  const response = problemResponse(new GrantryError('invalid_request', `This route does not support ${method}.`), 405);
  response.headers.set('allow', allowed.join(', '));
  return response;
}

/** Refuses requests that are too large or name no path, before any route sees them. */
function refusedOutright(request: IncomingMessage): GrantryError | null {
  const refusal = (message: string, status: number): GrantryError =>
    withStatus(new GrantryError('invalid_request', message), status);
  const url = request.url ?? '';
  const isCallback = url.startsWith('/oauth/callback/');
  const urlCharsMax = isCallback ? limits.callbackCharsMax : limits.requestUrlCharsMax;
  if (url.length > urlCharsMax) return refusal(`The URL is longer than ${urlCharsMax} characters.`, 414);
  if (request.rawHeaders.length > limits.requestHeadersMax * 2) {
    return refusal(`The request has more than ${limits.requestHeadersMax} headers.`, 431);
  }
  const line = isCallback ? 0 : url.length;
  if (request.rawHeaders.reduce((bytes, text) => bytes + text.length + 2, line) > limits.requestHeaderBytesMax) {
    return refusal(`The headers are longer than ${limits.requestHeaderBytesMax} bytes.`, 431);
  }
  // A proxy's absolute form, or the asterisk of OPTIONS: this server is neither.
  return url.startsWith('/') ? null : refusal('The request must name a path of this server.', 400);
}

function sendProblem(context: ServerContext, response: ServerResponse, error: GrantryError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  noteRefused(response, error.code);
  const problem = problemOf(error);
  const body = JSON.stringify(problem);
  giveUpReading(context, response);
  response.writeHead(problem.status, { ...problemHeaders(problem), 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/** Lets a refused client send on for a moment, so that it reads the answer. The rest of its body is dropped. */
function giveUpReading({ world }: ServerContext, response: ServerResponse): void {
  const { req: request } = response;
  if (request.complete) return;
  response.once('finish', () => {
    const { socket } = request;
    const ended = new AbortController();
    request.resume().once('end', () => ended.abort(new Error('all of it came')));
    world.sleep(limits.requestLeftoverMs, ended.signal, { background: true }).then(
      () => socket.destroy(),
      () => {},
    );
  });
}
