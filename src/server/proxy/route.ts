import type { IncomingMessage, ServerResponse } from 'node:http';
import { actingAs } from '../../base/acting.ts';
import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { proxyCall } from '../../vault/api/proxied-call.ts';
import { listKeyOrigins } from '../../vault/api-keys.ts';
import { internalsOf } from '../../vault/internals.ts';
import { assertAllowed } from '../../vault/key/call-rules.ts';
import { actingFor } from '../acting.ts';
import type { ServerContext } from '../context.ts';
import { assertMayFor, seenBy } from '../principal.ts';
import { withStatus } from '../problem.ts';
import { noteCaller } from '../telemetry/watch.ts';
import { isPreflight, Preflights, pageHeaders } from './cors.ts';
import { requestHeaders } from './headers.ts';
import { relay } from './relay.ts';
import { takeBody } from './request-body.ts';
import { proxyMethods } from './shapes.ts';
import { CallWatch } from './watch.ts';

const proxyPath = /^\/v1\/proxy\/([^/?#]+)\/([^/?#]+)(\/[^?#]*)?(\?[^#]*)?$/;

/** The path as the API's description has it. */
export const proxyTemplate = '/v1/proxy/{tenant}/{provider}/{path…}';

const methods = proxyMethods.map((method) => method.toUpperCase());

export function isProxied(request: IncomingMessage): boolean {
  return request.url?.startsWith('/v1/proxy/') === true;
}

/** Reads the parts of a URL; path and query stay as they were sent. @throws {GrantryError} `invalid_request` */
function readPath(url: string): { tenant: string; provider: string; path: string } {
  const found = proxyPath.exec(url);
  if (found === null)
    throw new GrantryError('invalid_request', 'The path must have the form /v1/proxy/TENANT/PROVIDER/PATH.');
  const [, tenant = '', provider = '', path = '/', query = ''] = found;
  return { tenant: decoded(tenant), provider: decoded(provider), path: path + query };
}

/** Decodes a name once. The rest of the path belongs to the provider and is never decoded here. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new GrantryError('invalid_request', 'The path has invalid percent-encoding.');
  }
}

type Proxy = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Answers `ANY /v1/proxy/{tenant}/{provider}/{path…}` with the provider's API, called with the token. */
export function makeProxy(context: ServerContext): Proxy {
  const watch = new CallWatch(context.world, context.limits);
  const preflights = new Preflights(context.world, () => listKeyOrigins(internalsOf(context.vault()).open()));
  return async (request, response) => {
    if (isPreflight(request)) return preflights.answer(request, response);
    const principal = await context.access.authenticate(request.headers.authorization);
    const proxied = readPath(request.url ?? '');
    const key = keyOf(proxied, request);
    noteCaller(response, { key: principal.id, tenant: key.tenant });
    assertMayFor(principal, 'use_proxy', key);
    const ofPage = pageHeaders(principal, request);
    // A page may read problems, too.
    for (let at = 0; at < ofPage.length; at += 2) response.setHeader(ofPage[at] ?? '', ofPage[at + 1] ?? '');
    const method = methodOf(request, response);
    const host = headerOf(request, 'grantry-host');
    const headers = requestHeaders(request.rawHeaders);
    if (principal.calls !== null) assertAllowed(principal.calls, { method, path: proxied.path, host, headers });
    const leaveTenant = context.traffic.enter(key.tenant);
    const call = new AbortController();
    const abort = (reason: GrantryError): void => {
      call.abort(reason);
      if (response.headersSent) response.destroy();
    };
    response.once('close', () => {
      if (!response.writableFinished) call.abort(new GrantryError('invalid_request', 'The caller disconnected.'));
    });
    const watched = watch.watch(abort);
    let leaveProvider: (() => void) | undefined;
    try {
      leaveProvider = context.traffic.enterProvider(key.provider);
      const body = await takeBody(request, { world: context.world, watched, abort });
      if (body.declaredLength !== undefined) headers.push('content-length', body.declaredLength);
      const { handOut, open } = internalsOf(context.vault());
      const sent = {
        path: proxied.path,
        host,
        method,
        headers,
        body: () => body.send(),
        canRepeat: () => body.canRepeat(),
        signal: call.signal,
      };
      const answer = await actingAs(actingFor(principal, response), () => proxyCall(open(), handOut, key, sent));
      await relay(answer, response, watched, ofPage);
    } catch (error) {
      throw seenBy(principal, error);
    } finally {
      watched.end();
      leaveTenant();
      leaveProvider?.();
    }
  };
}

function keyOf({ tenant, provider }: GrantKey, request: IncomingMessage): CheckedKey {
  return checkKey({ tenant, provider, account: headerOf(request, 'grantry-account') });
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join() : value;
}

function methodOf(request: IncomingMessage, response: ServerResponse): string {
  const method = methods.find((known) => known === request.method);
  if (method !== undefined) return method;
  response.setHeader('allow', methods.join(', '));
  throw withStatus(new GrantryError('invalid_request', 'The proxy does not support this method.'), 405);
}
