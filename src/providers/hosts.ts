import { GrantryError, invalidRequest } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { ProviderDefinition } from './definition.ts';
import { baseHostName, environmentHosts } from './environment.ts';
import { expand, type Place } from './expand.ts';

/**
 * Tells whether the URL is on one of the provider's hosts, the only ones that may receive its access tokens.
 *
 * An entry means exactly that origin. `https://*.example.com` means every host with one or more labels before
 * `.example.com`, by https, on port 443.
 */
export function isProviderHost(definition: ProviderDefinition, url: string | URL): boolean {
  const parsed = typeof url === 'string' ? parseUrl(url) : url;
  if (parsed === null || parsed.username !== '' || parsed.password !== '') return false;
  const { origins, wild } = hostsOf(definition);
  return origins.has(parsed.origin) || wild.some((host) => matches(host, parsed));
}

/**
 * Returns the origin of a host in a token answer or callback. The host must be one of the provider's API or data centre
 * hosts; otherwise the result is `null`.
 */
export function apiOrigin(definition: ProviderDefinition, value: unknown): string | null {
  const parsed = typeof value === 'string' ? parseUrl(value) : null;
  if (parsed === null || parsed.pathname !== '/' || parsed.search !== '' || parsed.hash !== '') return null;
  if (parsed.username !== '' || parsed.password !== '') return null;
  const known = Object.values(definition.dataCenters ?? {}).flatMap((hosts) => Object.values(hosts));
  const found = isProviderHost(definition, parsed) || known.some((host) => parseUrl(host)?.origin === parsed.origin);
  return found ? parsed.origin : null;
}

/**
 * Returns the base of this grant's API calls: an origin, perhaps with a path, without a trailing slash.
 *
 * The first of these counts: the host of the grant's environment, `metadata.api_domain` when it is one of the provider's
 * hosts, `api.base`, the data centre's `api`, the first host. For a product without environments, the `api_domain` of a grant
 * that names one does not count: it may be the environment's.
 *
 * @throws {GrantryError} `provider_misconfigured` when none of them is one of the provider's hosts; `invalid_request` for an
 * environment that the provider does not have
 */
export function apiBase(definition: ProviderDefinition, place: Place): string {
  const environment = environmentHosts(definition, place.metadata);
  const inEnvironment = environment?.[baseHostName(definition)];
  if (inEnvironment !== undefined) return environmentBase(definition, inEnvironment, place);
  const apiDomain = place.metadata['api_domain'];
  const isElsewhere = environment !== null && Object.keys(environment).length === 0;
  if (typeof apiDomain === 'string' && !isElsewhere) {
    const parsed = parseUrl(apiDomain);
    const isUsable = parsed !== null && parsed.pathname === '/' && isProviderHost(definition, parsed);
    if (isUsable && !isSharedGateway(definition, parsed.origin)) return parsed.origin;
  }
  const written = definition.api.base ?? dcApi(definition, place.dc) ?? definition.api.hosts[0] ?? '';
  const base = parseUrl(expand(definition, written, place));
  if (base !== null && isProviderHost(definition, base)) return base.origin + base.pathname.replace(/\/+$/, '');
  throw new GrantryError(
    'provider_misconfigured',
    `No API host of ${definition.id} is known for this grant: metadata.api_domain is missing or not one of them.`,
  );
}

/** The base of calls in an environment: its host, and the path that follows the reference in `api.base`. */
function environmentBase(definition: ProviderDefinition, host: string, place: Place): string {
  const rest = (definition.api.base ?? '').replace(/^\{[^}]+\}/, '');
  const base = parseUrl(expand(definition, host, place).replace(/\/+$/, '') + (rest.startsWith('/') ? rest : ''));
  if (base !== null && isProviderHost(definition, base)) return base.origin + base.pathname.replace(/\/+$/, '');
  throw new GrantryError(
    'provider_misconfigured',
    `An environment's host of ${definition.id} is not in its api.hosts.`,
  );
}

/**
 * Tells whether a host is the gateway that several products share, while this product's calls go to a host of its own. Zoho
 * names the gateway in every token answer.
 */
function isSharedGateway({ api, dataCenters }: ProviderDefinition, origin: string): boolean {
  const own = /^\{dc\.(\w+)\}$/.exec(api.base ?? '')?.[1];
  if (own === undefined || own === 'api') return false;
  return Object.values(dataCenters ?? {}).some((hosts) => hosts['api'] === origin);
}

/**
 * Returns the origin of the provider's host with that name (`www.zohoapis.eu`; with its port unless it is 443).
 *
 * @throws {GrantryError} `invalid_request` when it is not one of the provider's hosts.
 */
export function hostOrigin(definition: ProviderDefinition, name: string): string {
  if (/^[A-Za-z0-9.:[\]-]{1,300}$/.test(name)) {
    for (const scheme of ['https', 'http']) {
      const url = parseUrl(`${scheme}://${name}`);
      if (url !== null && url.pathname === '/' && isProviderHost(definition, url)) return url.origin;
    }
  }
  throw invalidRequest(`The host does not belong to ${definition.id}.`);
}

export interface ApiUrlOptions extends Place {
  /** Name of the provider's host to call instead of the default; only for paths. */
  readonly host?: string | undefined;
  /** Allows hosts by `http:`; for tests and local simulators. */
  readonly allowLoopback?: boolean | undefined;
}

/**
 * Builds the full URL of an API call and checks that it is on one of the provider's hosts.
 *
 * `pathOrUrl` is an absolute URL, or a path that starts with one slash and is appended to {@link apiBase} and
 * `api.basePath`.
 *
 * @throws {GrantryError} `invalid_request` for any other text, and for a URL that leaves the base path or names another
 * host.
 */
export function resolveApiUrl(definition: ProviderDefinition, pathOrUrl: string, options: ApiUrlOptions): string {
  checkText(pathOrUrl);
  const isPath = pathOrUrl.startsWith('/');
  const base = options.host === undefined ? apiBase(definition, options) : hostOrigin(definition, options.host);
  const prefix = base + definition.api.basePath.replace(/\/+$/, '');
  const url = parseUrl(isPath ? prefix + pathOrUrl : pathOrUrl);
  if (url !== null && isPath && !staysBelow(prefix, url)) throw invalidRequest('The path leads outside the API.');
  assertProviderUrl(definition, url, options.allowLoopback);
  url.hash = '';
  // The URL is sent as text: the next program that parses it must find the same host.
  const again = parseUrl(url.href);
  if (again === null || again.origin !== url.origin)
    throw invalidRequest('The URL is ambiguous: parsers read it differently.');
  return url.href;
}

/**
 * Refuses a call that the provider's definition shows to be wrong, before anything is known about the grant.
 *
 * @throws {GrantryError} `invalid_request` as {@link resolveApiUrl} does
 */
export function assertCallable(
  definition: ProviderDefinition,
  pathOrUrl: string,
  { host, allowLoopback }: Pick<ApiUrlOptions, 'host' | 'allowLoopback'>,
): void {
  checkText(pathOrUrl);
  if (host !== undefined) hostOrigin(definition, host);
  if (!pathOrUrl.startsWith('/')) assertProviderUrl(definition, parseUrl(pathOrUrl), allowLoopback);
}

/** Tells whether a host is known for this grant's calls. */
export function hasApiBase(definition: ProviderDefinition, place: Place): boolean {
  try {
    return apiBase(definition, place) !== '';
  } catch (error) {
    if (error instanceof GrantryError) return false;
    throw error;
  }
}

/**
 * Refuses text that URL parsers repair silently and differently; it is never an honest path. The product of a call is found by
 * the path as it was given, so parsers must leave it as it is.
 */
function checkText(text: string): void {
  if (typeof text !== 'string') throw invalidRequest('The path or URL is missing or not a string.');
  if (text.length === 0 || text.length > limits.urlCharsMax * 4) throw invalidRequest('The URL is empty or too long.');
  if (/[\p{Cc} \\]/u.test(text)) throw invalidRequest('The URL has a space, a backslash or a control character.');
  if (!text.startsWith('/') && !/^https?:\/\/[^/]/i.test(text)) {
    throw invalidRequest('A path must start with a slash, and a URL with https://.');
  }
  if (text.startsWith('//')) throw invalidRequest('The path must start with only one slash.');
  if (/(?:^|\/|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/;]|%2f|%5c|%3b)/i.test(text.replace(/[?#].*$/s, ''))) {
    throw invalidRequest('The path must not contain a "." or ".." between its slashes.');
  }
}

function assertProviderUrl(
  definition: ProviderDefinition,
  url: URL | null,
  allowLoopback: boolean | undefined,
): asserts url is URL {
  if (url === null) throw invalidRequest('The URL is not valid.');
  if (!isProviderHost(definition, url)) throw invalidRequest(`The URL is not on one of ${definition.id}'s hosts.`);
  if (url.protocol !== 'https:' && allowLoopback !== true) throw invalidRequest('The URL must be https.');
}

function staysBelow(prefix: string, url: URL): boolean {
  const base = parseUrl(`${prefix}/`);
  return base !== null && base.origin === url.origin && url.pathname.startsWith(base.pathname);
}

function dcApi(definition: ProviderDefinition, dc: string | null): string | undefined {
  return dc === null ? undefined : definition.dataCenters?.[dc]?.['api'];
}

const known = new WeakMap<readonly string[], { origins: ReadonlySet<string>; wild: readonly string[] }>();

/** The hosts of a definition, read once: a grant for all of Zoho has hundreds. */
function hostsOf({ api: { hosts } }: ProviderDefinition): { origins: ReadonlySet<string>; wild: readonly string[] } {
  const before = known.get(hosts);
  if (before !== undefined) return before;
  const exact = hosts.filter((host) => wildcardSuffix(host) === null);
  const origins = new Set(exact.flatMap((host) => parseUrl(host)?.origin ?? []));
  const made = { origins, wild: hosts.filter((host) => wildcardSuffix(host) !== null) };
  known.set(hosts, made);
  return made;
}

function matches(host: string, url: URL): boolean {
  const suffix = wildcardSuffix(host);
  if (suffix === null) return false;
  if (url.protocol !== 'https:' || url.port !== '' || !url.hostname.endsWith(suffix)) return false;
  const labels = url.hostname.slice(0, -suffix.length);
  return /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(labels);
}

/** Returns `.example.com` for `https://*.example.com`, else `null`. The part behind the star has two labels or more. */
export function wildcardSuffix(host: string): string | null {
  return /^https:\/\/\*((?:\.[a-z0-9]+(?:-+[a-z0-9]+)*){2,})\/?$/.exec(host)?.[1] ?? null;
}

function parseUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  return url.protocol === 'https:' || url.protocol === 'http:' ? url : null;
}
