import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { connect, Socket } from 'node:net';
import { systemCodeOf } from '../system-error.ts';
import type { EgressProxy } from './egress-proxy.ts';
import { EgressProxyError } from './outbound-errors.ts';

/**
 * Opens a connection to a host through an HTTP proxy, by CONNECT (RFC 9110 section 9.3.6). The proxy looks the name up.
 *
 * @param target host and port, an IPv6 address in brackets
 * @throws {EgressProxyError} when the proxy cannot be reached, refuses, or does not answer in time. The host has got no byte
 */
export function openTunnel(proxy: EgressProxy, target: string, connectMs: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const { send, place } = placeOf(proxy);
  const headers = { host: target, connection: 'keep-alive', ...loginOf(proxy) };
  // Without an agent: the environment must not name another proxy before this one.
  const request = send({ ...place, method: 'CONNECT', path: target, agent: false, headers });
  const timeOut = AbortSignal.timeout(connectMs);
  const end = (): void => void request.destroy(Object.assign(new Error('too late'), { code: 'ETIMEDOUT' }));
  timeOut.addEventListener('abort', end);
  // An open tunnel outlives the time-out.
  const answered = (): void => timeOut.removeEventListener('abort', end);
  request.once('error', (error) => {
    answered();
    reject(new EgressProxyError(proxy.origin, { code: systemCodeOf(error) }));
  });
  request.once('connect', ({ statusCode = 0 }, socket, head) => {
    answered();
    // The host speaks second, so bytes that come with the answer are the proxy's.
    const isOpen = statusCode >= 200 && statusCode < 300 && head.length === 0;
    if (isOpen && socket instanceof Socket) return resolve(socket);
    socket.destroy();
    reject(new EgressProxyError(proxy.origin, { status: statusCode }));
  });
  request.end();
  return promise;
}

/** Opens a connection to a proxy and closes it. @throws {EgressProxyError} when none opens in time */
export async function reachProxy(proxy: EgressProxy, connectMs: number): Promise<void> {
  const { place } = placeOf(proxy);
  const socket = connect(place);
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) });
  } catch (error) {
    const code = error instanceof Error && error.name === 'AbortError' ? 'ETIMEDOUT' : systemCodeOf(error);
    throw new EgressProxyError(proxy.origin, { code });
  } finally {
    socket.destroy();
  }
}

function placeOf({ origin }: EgressProxy) {
  const { protocol, hostname, port } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (protocol === 'http:') return { send: http.request, place: { host, port: port === '' ? 80 : Number(port) } };
  return {
    send: https.request,
    place: { host, port: port === '' ? 443 : Number(port), minVersion: 'TLSv1.2' as const },
  };
}

function loginOf({ authorization }: EgressProxy): Record<string, string> {
  return authorization === null ? {} : { 'proxy-authorization': authorization.reveal() };
}
