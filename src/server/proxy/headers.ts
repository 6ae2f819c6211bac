/** Headers of one connection (RFC 9110 section 7.6.1), and those that are written anew for the next one. */
const perConnection = [
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
  'host',
  'content-length',
];

/** Headers that identify a caller, its credentials or the route. They pass in neither direction. */
const identity = [
  'authorization',
  'cookie',
  'cookie2',
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'client-ip',
  'x-cluster-client-ip',
  'x-envoy-external-address',
  'x-original-forwarded-for',
  'x-azure-clientip',
  'true-client-ip',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'fastly-client-ip',
];

/** Headers of a caller's page. The provider learns only of the grant. */
const ofPage = ['origin', 'referer'];

/** Headers that act on the origin of an answer. On our origin they would let a provider control our pages and callers. */
const originWide = [
  'set-cookie',
  'set-cookie2',
  'alt-svc',
  'accept-ch',
  'strict-transport-security',
  'public-key-pins',
  'clear-site-data',
  'service-worker-allowed',
  'content-security-policy',
  'content-security-policy-report-only',
  'x-content-type-options',
  'report-to',
  'reporting-endpoints',
  'nel',
  'origin-agent-cluster',
  'refresh',
  'speculation-rules',
  'no-vary-search',
  'use-as-dictionary',
  'grantry-generation',
];

const refusedOut = new Set([...perConnection, ...identity, ...ofPage]);
const refusedBack = new Set([...perConnection.filter((name) => name !== 'content-length'), ...identity, ...originWide]);
const refusedOutStarts = /^(?:proxy-|x-forwarded-|sec-|grantry-)/;
const refusedBackStarts = /^(?:proxy-|access-control-|x-forwarded-)/;

/**
 * Orders to a reverse proxy, an accelerator or a delivery network in front of this server: to serve a file, to go to another
 * address, to keep an answer, or to put pieces together.
 */
const frontOrders =
  /^(?:x-accel|x-send-?file|x-lighttpd-|x-reproxy-|x-litespeed-|x-lsadc-|x-varnish|x-fastcgi-|x-esi|x-do-esi|surrogate-|edge-|xkey$|x-ttl$|x-cache-ttl$)|cdn-cache-control$|cache-tags?$|^x-.*cache-control$/;

/** Selects the headers of a caller that the provider gets: names in lower case, alternating with values. */
export function requestHeaders(raw: readonly string[]): string[] {
  return kept(raw, refusedOut, refusedOutStarts);
}

/**
 * Selects the headers of a provider that the caller gets, in the form that `writeHead` takes.
 *
 * An answer that a browser shows is sandboxed: it must not act on the origin of the connect pages. No shared cache may keep
 * an answer: it would give one tenant's data to another caller, who needs no key for it.
 */
export function responseHeaders(status: number, raw: readonly string[], generation: number): string[] {
  const orders: string[] = [];
  const headers: string[] = [];
  const passed = kept(raw, refusedBack, refusedBackStarts);
  for (let at = 0; at < passed.length; at += 2) {
    const [name = '', value = ''] = [passed[at], passed[at + 1]];
    if (name === 'cache-control') orders.push(value);
    // RFC 9110 section 8.6 allows no length in a 204.
    else if (!frontOrders.test(name) && !(status === 204 && name === 'content-length')) headers.push(name, value);
  }
  headers.push('cache-control', privateCaching(orders));
  headers.push('grantry-generation', String(generation));
  headers.push('content-security-policy', "sandbox; default-src 'none'", 'x-content-type-options', 'nosniff');
  return headers;
}

/** Directives for a caller's own cache. All others are dropped: `public` and `s-maxage` let shared caches keep an answer. */
const ownCaching =
  /^(?:no-store|no-cache|no-transform|must-revalidate|immutable|(?:max-age|stale-while-revalidate|stale-if-error)=\d{1,10})$/;

function privateCaching(orders: readonly string[]): string {
  const directives = new Set(['private']);
  for (const part of orders.join(',').split(',')) {
    const directive = part.trim().toLowerCase();
    // With names of headers it forbids less than without.
    if (directive.startsWith('no-cache=')) directives.add('no-cache');
    if (ownCaching.test(directive)) directives.add(directive);
  }
  return [...directives].join(', ');
}

function kept(raw: readonly string[], refused: ReadonlySet<string>, refusedStarts: RegExp): string[] {
  const named = namedByConnection(raw);
  const headers: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase();
    if (refused.has(name) || refusedStarts.test(name) || named?.has(name) === true) continue;
    headers.push(name, raw[at + 1] ?? '');
  }
  return headers;
}

/** Reads the names of the headers that `Connection` declares as belonging to one connection. */
function namedByConnection(raw: readonly string[]): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined;
  for (let at = 0; at < raw.length; at += 2) {
    const value = raw[at + 1] ?? '';
    if (raw[at]?.toLowerCase() !== 'connection' || value === 'keep-alive' || value === 'close') continue;
    named ??= new Set();
    for (const name of value.split(',')) named.add(name.trim().toLowerCase());
  }
  return named;
}
