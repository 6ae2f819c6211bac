import type { ProxiedAnswer } from '../../vault/api/proxied-call.ts';

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

/** Headers that identify the caller or its route. The provider learns only of the grant. */
const identity = [
  'authorization',
  'cookie',
  'cookie2',
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'fastly-client-ip',
  'origin',
  'referer',
];

/** Headers that act on the origin of an answer. On our origin they would let a provider control our pages and callers. */
const originWide = [
  'set-cookie',
  'set-cookie2',
  'alt-svc',
  'strict-transport-security',
  'public-key-pins',
  'clear-site-data',
  'service-worker-allowed',
  'content-security-policy',
  'content-security-policy-report-only',
  'report-to',
  'reporting-endpoints',
  'nel',
  'origin-agent-cluster',
  'grantry-generation',
  'grantry-reason',
];

const refusedOut = new Set([...perConnection, ...identity]);
const refusedBack = new Set([...perConnection.filter((name) => name !== 'content-length'), ...originWide]);
const refusedOutStarts = /^(?:proxy-|x-forwarded-|sec-|grantry-)/;
/** The last ones are instructions to a reverse proxy in front of this server. */
const refusedBackStarts = /^(?:proxy-|access-control-|x-accel-|x-sendfile|x-lighttpd-send-file|x-reproxy-)/;

/** Selects the headers of a caller that the provider gets: names in lower case, alternating with values. */
export function requestHeaders(raw: readonly string[]): string[] {
  return kept(raw, refusedOut, refusedOutStarts);
}

/**
 * Selects the headers of a provider that the caller gets, in the form that `writeHead` takes.
 *
 * An answer that a browser shows is sandboxed: it must not act on the origin of the connect pages.
 */
export function responseHeaders({
  headers: raw,
  generation,
  reason,
}: Pick<ProxiedAnswer, 'headers' | 'generation' | 'reason'>): string[] {
  const headers = kept(raw, refusedBack, refusedBackStarts);
  headers.push('grantry-generation', String(generation));
  if (reason !== undefined) headers.push('grantry-reason', reason);
  headers.push('content-security-policy', "sandbox; default-src 'none'", 'x-content-type-options', 'nosniff');
  return headers;
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
