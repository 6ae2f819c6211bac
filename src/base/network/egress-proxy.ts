import { invalidRequest } from '../errors.ts';
import { Secret } from '../secret.ts';

/** An HTTP proxy through which all requests to providers go. */
export interface EgressProxy {
  /** Scheme, host and port: the part that messages may show. */
  readonly origin: string;
  /** The value of `Proxy-Authorization`; null for a proxy without a password. */
  readonly authorization: Secret | null;
  /** Tells whether a host is reached directly; an IPv6 address has no brackets. */
  readonly bypasses: (host: string, port: string) => boolean;
}

/**
 * Reads the address of a proxy, `http://USER:PASSWORD@HOST:PORT`, and the hosts that are reached directly. Without a scheme
 * it is `http`.
 *
 * @param name names the setting in errors, which never repeat the value: it may hold a password
 * @throws {GrantryError} `invalid_request`
 */
export function parseEgressProxy(text: string, noProxy: string, name: string): EgressProxy {
  const written = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(written) ? new URL(written) : null;
  const isProxy = url !== null && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === '';
  const user = isProxy ? decoded(url.username) : null;
  const password = isProxy ? decoded(url.password) : null;
  if (!isProxy || user === null || password === null) {
    throw invalidRequest(`${name} is not the address of an HTTP proxy.`, {
      action: 'Write it as http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with percent-encoded signs.',
    });
  }
  const login = Buffer.from(`${user}:${password}`).toString('base64');
  return {
    origin: url.origin,
    authorization: user === '' && password === '' ? null : new Secret(`Basic ${login}`),
    bypasses: bypassOf(noProxy),
  };
}

/**
 * Chooses the proxy of a program: the one that is given, or for `env` the one that the variables of other programs name, in
 * either case.
 *
 * @throws {GrantryError} `invalid_request`
 */
export function chooseEgressProxy(
  given: string | undefined,
  noProxy: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): EgressProxy | null {
  if (given === undefined) return null;
  if (given !== 'env') return parseEgressProxy(given, noProxy ?? '', 'GRANTRY_EGRESS_PROXY');
  const known = environment['https_proxy'] || environment['HTTPS_PROXY'] || '';
  const direct = noProxy ?? (environment['no_proxy'] || environment['NO_PROXY'] || '');
  return known === '' ? null : parseEgressProxy(known, direct, 'HTTPS_PROXY');
}

/** Reads a list as `NO_PROXY` has it: names with all names below them, addresses, each with or without a port, or `*`. */
function bypassOf(list: string): EgressProxy['bypasses'] {
  const entries = list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map(readEntry);
  return (host, port) =>
    entries.some((entry) => (entry.port === null || entry.port === port) && covers(entry.host, host.toLowerCase()));
}

function readEntry(entry: string): { host: string; port: string | null } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? [];
  // An IPv6 address without brackets has colons and no port.
  const host = bracketed ?? plain ?? entry;
  return { host: host.replace(/^\*?\./, ''), port: port ?? null };
}

function covers(entry: string, host: string): boolean {
  if (entry === '*' || entry === host) return true;
  // An address has no names below it.
  return !/^[\d.]+$|:/.test(host) && host.replace(/\.$/, '').endsWith(`.${entry}`);
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
