import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { isAllowedAddress } from './addresses.ts';
import { RefusedAddressError } from './outbound-errors.ts';

/** Where connections may go, and how long one may take to stand. */
export interface ConnectorOptions {
  /** Name look-up, TCP and TLS together. */
  readonly connectMs: number;
  /** For tests and local simulators: loopback addresses, `http:`, and any port. */
  readonly allowLoopback: boolean;
  /** Whatever its caller names: for a client that speaks to one server, which somebody chose, and to no provider. */
  readonly anywhere?: boolean | undefined;
  /** Looks names up; the system's resolver when left out. */
  readonly lookup?: LookupAll | undefined;
  /** TLS sessions kept for the next connection. */
  readonly maxCachedSessions?: number | undefined;
}

/** A resolver that returns all addresses of a name, as `dns.lookup` does. */
export type LookupAll = (
  hostname: string,
  options: { all: true; family?: number | 'IPv4' | 'IPv6' },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Makes connections to public addresses alone.
 *
 * The look-up that is checked is the one that is connected to, so that a name which answers differently the next time
 * changes nothing; one bad address among several spoils the name. Addresses written out in a URL are never looked up, and
 * are checked here; so is what the connection stands to in the end.
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
