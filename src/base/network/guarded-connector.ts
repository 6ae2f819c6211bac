import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { buildConnector } from 'undici';
import { isAllowedAddress, isPublicName } from './addresses.ts';
import type { EgressProxy } from './egress-proxy.ts';
import { RefusedAddressError } from './outbound-errors.ts';
import { openTunnel } from './tunnel.ts';

/** Restrictions on outgoing connections, and the time that one may take to open. */
export interface ConnectorOptions {
  /** Covers name look-up, TCP and TLS together. */
  readonly connectMs: number;
  /** Allows loopback addresses, `http:` and any port; for tests and local simulators. */
  readonly allowLoopback: boolean;
  /** Allows any address. Only for a client of one server that its user chose, never for calls to providers. */
  readonly anywhere?: boolean | undefined;
  /** Opens the way to every host that it does not bypass. */
  readonly proxy?: EgressProxy | undefined;
  /** Looks names up; defaults to the system's resolver. */
  readonly lookup?: LookupAll | undefined;
  /** Number of TLS sessions kept for later connections. */
  readonly maxCachedSessions?: number | undefined;
}

/** Returns all addresses of a name, as `dns.lookup` does. */
export type LookupAll = (
  hostname: string,
  options: { all: true; family?: number | 'IPv4' | 'IPv6' },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Creates a connector that only connects to public addresses.
 *
 * The connector connects to the very addresses that it checked, so a name that resolves differently the next time
 * changes nothing. Of several addresses it uses only the allowed ones. An address written in a URL is never looked up, so
 * it is checked here. The peer address of the open connection is checked as well.
 *
 * Behind an egress proxy only the proxy knows the addresses. The rules then apply to names and to written addresses.
 */
export function guardedConnector(options: ConnectorOptions): buildConnector.connector {
  const { connectMs, allowLoopback, maxCachedSessions, proxy } = options;
  const tlsRules = { allowH2: false, rejectUnauthorized: true, minVersion: 'TLSv1.2', timeout: connectMs } as const;
  if (options.anywhere === true) return buildConnector(tlsRules);
  const sessions = maxCachedSessions === undefined ? {} : { maxCachedSessions };
  const lookup = checkedLookup(options.lookup ?? systemLookup, allowLoopback);
  const connect = buildConnector({ ...tlsRules, ...sessions, lookup });
  const upgrade = buildConnector({ ...tlsRules, ...sessions });
  return (target, callback) => {
    const isProxied = proxy?.bypasses(bareHost(target), portOf(target)) === false;
    if (!isAllowedTarget(target, { allowLoopback, isProxied })) {
      queueMicrotask(() => callback(new RefusedAddressError(), null));
      return;
    }
    if (isProxied) {
      void connectThrough(proxy, target, { connectMs, upgrade, callback });
      return;
    }
    connect(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      if (isAllowedAddress(socket.remoteAddress ?? '', allowLoopback)) return callback(null, socket);
      socket.destroy();
      callback(new RefusedAddressError(), null);
    });
  };
}

async function connectThrough(
  proxy: EgressProxy,
  target: buildConnector.Options,
  {
    connectMs,
    upgrade,
    callback,
  }: { connectMs: number; upgrade: buildConnector.connector; callback: buildConnector.Callback },
): Promise<void> {
  let socket: Socket;
  try {
    socket = await openTunnel(proxy, `${target.hostname}:${portOf(target)}`, connectMs);
  } catch (error) {
    callback(error instanceof Error ? error : new RefusedAddressError(), null);
    return;
  }
  // TLS is between this process and the host: the proxy sees ciphertext.
  if (target.protocol === 'https:') upgrade({ ...target, httpSocket: socket }, callback);
  else callback(null, socket);
}

function isAllowedTarget(
  target: buildConnector.Options,
  { allowLoopback, isProxied }: { allowLoopback: boolean; isProxied: boolean },
): boolean {
  const host = bareHost(target);
  if (isIP(host) !== 0 && !isAllowedAddress(host, allowLoopback)) return false;
  if (allowLoopback) return true;
  if (isProxied && isIP(host) === 0 && !isPublicName(host)) return false;
  return target.protocol === 'https:' && portOf(target) === '443';
}

function bareHost({ hostname }: buildConnector.Options): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function portOf({ protocol, port }: buildConnector.Options): string {
  if (port !== '') return port;
  return protocol === 'https:' ? '443' : '80';
}

function checkedLookup(lookup: LookupAll, allowLoopback: boolean): LookupFunction {
  return (hostname, options, callback) => {
    const { family } = options;
    lookup(hostname, { all: true, ...(family === undefined ? {} : { family }) }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const allowed = addresses.filter(({ address }) => isAllowedAddress(address, allowLoopback));
      const [first] = allowed;
      if (first === undefined) return callback(new RefusedAddressError(), '', 0);
      if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}
