import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { isAllowedAddress } from './addresses.ts';
import { RefusedAddressError } from './outbound-errors.ts';

/** Restrictions on outgoing connections, and the time that one may take to open. */
export interface ConnectorOptions {
  /** Covers name look-up, TCP and TLS together. */
  readonly connectMs: number;
  /** Allows loopback addresses, `http:` and any port; for tests and local simulators. */
  readonly allowLoopback: boolean;
  /** Allows any address. Only for a client of one server that its user chose, never for calls to providers. */
  readonly anywhere?: boolean | undefined;
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
 * changes nothing. One forbidden address among several makes the name forbidden. An address written in a URL is never
 * looked up, so it is checked here. The peer address of the open connection is checked as well.
 */
export function guardedConnector(options: ConnectorOptions): buildConnector.connector {
  const { connectMs, allowLoopback, maxCachedSessions } = options;
  if (options.anywhere === true) {
    return buildConnector({ allowH2: false, rejectUnauthorized: true, minVersion: 'TLSv1.2', timeout: connectMs });
  }
  const connect = buildConnector({
    allowH2: false,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    timeout: connectMs,
    lookup: checkedLookup(options.lookup ?? systemLookup, allowLoopback),
    ...(maxCachedSessions === undefined ? {} : { maxCachedSessions }),
  });
  return (target, callback) => {
    if (!isAllowedTarget(target, allowLoopback)) {
      queueMicrotask(() => callback(new RefusedAddressError(), null));
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

function isAllowedTarget({ protocol, port, hostname }: buildConnector.Options, allowLoopback: boolean): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !isAllowedAddress(host, allowLoopback)) return false;
  return allowLoopback || (protocol === 'https:' && (port === '' || port === '443'));
}

function checkedLookup(lookup: LookupAll, allowLoopback: boolean): LookupFunction {
  return (hostname, options, callback) => {
    const { family } = options;
    lookup(hostname, { all: true, ...(family === undefined ? {} : { family }) }, (error, addresses) => {
      const [first] = error === null ? addresses : [];
      if (first === undefined) return callback(error ?? new RefusedAddressError(), '', 0);
      if (!addresses.every(({ address }) => isAllowedAddress(address, allowLoopback))) {
        return callback(new RefusedAddressError(), '', 0);
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
