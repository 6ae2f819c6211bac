/** Belong to one connection (RFC 9110 section 7.6.1), or are written anew for the next one. */
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

/** Say who calls, or through whom. The provider hears of the grant and of nobody else. */
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

/** Speak for the provider's own origin. On ours they would let its answers decide over our pages and callers. */
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
];

const refusedOut = new Set([...perConnection, ...identity]);
const refusedBack = new Set([...perConnection.filter((name) => name !== 'content-length'), ...originWide]);
const refusedOutStarts = /^(?:proxy-|x-forwarded-|sec-|grantry-)/;
/** The last ones are orders to a reverse proxy that may stand in front of this server. */
const refusedBackStarts = /^(?:proxy-|access-control-|x-accel-|x-sendfile|x-lighttpd-send-file|x-reproxy-)/;

/** What of a caller's headers goes on to the provider: names in lower case and values in turn. */
export function requestHeaders(raw: readonly string[]): string[] {
  return kept(raw, refusedOut, refusedOutStarts);
}

/**
 * What of a provider's headers goes back to the caller, as `writeHead` takes it.
 *
 * An answer that a browser would show must not act on the origin that connect pages live on: it is sandboxed.
 */
export function responseHeaders(raw: readonly string[], generation: number): string[] {
  const headers = kept(raw, refusedBack, refusedBackStarts);
  headers.push('grantry-generation', String(generation));
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

/** Headers that `Connection` names belong to it as well. */
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
