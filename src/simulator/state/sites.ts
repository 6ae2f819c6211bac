import { type NewDataCenter, type ZohoDataCenter, zohoDataCenters } from './data-centers.ts';
import type { Environment } from './organizations.ts';
import type { OAuthProfile } from './profiles.ts';

/** One server: one of Zoho's data centres with its API gateway and products, or a whole provider of another kind. */
export interface Site {
  /** `zoho`, or the id of an {@link OAuthProfile}. */
  readonly profile: string;
  /** The data centre; `null` for a provider without data centres. */
  readonly dc: string | null;
  readonly zoho: ZohoDataCenter | null;
  readonly oauth: OAuthProfile | null;
  /** Address of the server, such as `http://127.0.0.1:4100`; the real one until it listens. */
  origin: string;
  /** Addresses of Zoho's sandbox and developer hosts, once they listen on ports of their own. */
  readonly environments: Map<Environment, string>;
  /** Its real hosts; `fetch` answers requests to them directly. */
  readonly realHosts: readonly string[];
}

/** Servers of one simulator, found by host. */
export class Sites {
  readonly #sites: Site[] = [];
  readonly #byHost = new Map<string, Site>();

  add(site: Site): void {
    this.#sites.push(site);
    for (const host of site.realHosts) this.#byHost.set(host, site);
    this.#byHost.set(new URL(site.origin).host, site);
  }

  /** Moves a server to the address where it listens. */
  listen(site: Site, origin: string): void {
    site.origin = origin;
    const { host, port } = new URL(origin);
    this.#byHost.set(host, site);
    this.#byHost.set(`localhost:${port}`, site);
  }

  /** Gives the hosts of one environment an address of their own. */
  listenFor(site: Site, environment: Environment, origin: string): void {
    site.environments.set(environment, origin);
    const { host, port } = new URL(origin);
    this.#byHost.set(host, site);
    this.#byHost.set(`localhost:${port}`, site);
  }

  list(): readonly Site[] {
    return this.#sites;
  }

  byHost(host: string): Site | undefined {
    return this.#byHost.get(host);
  }

  find(profile: string, dc: string | null): Site | undefined {
    return this.#sites.find((site) => site.profile === profile && site.dc === dc);
  }
}

/** Returns the address of a site's Zoho accounts server. */
export function accountsOf(site: Site): string {
  return site.zoho !== null && isReal(site) ? site.zoho.accounts : site.origin;
}

/** Returns the address of a site's API gateway, of one environment. */
export function apiOf(site: Site, environment: Environment = 'production'): string {
  if (site.zoho === null || !isReal(site)) return site.environments.get(environment) ?? site.origin;
  return environment === 'production' ? site.zoho.api : (site.zoho.hosts[environment] ?? site.zoho.api);
}

/** Returns the environment that an address serves; `null` where one address serves them all. */
export function environmentAt(site: Site, { hostname, port, protocol }: URL): Environment | null {
  if (/zoho/i.test(hostname)) {
    const label = hostname.split('.')[0];
    if (label === 'sandbox' || label === 'developer') return label;
    // Files of all environments go to one host.
    return label === 'content' || label === 'upload' || label === 'files' ? null : 'production';
  }
  for (const [environment, origin] of site.environments) {
    if (new URL(origin).port === port && protocol === 'http:') return environment;
  }
  return site.environments.size === 0 ? null : 'production';
}

/**
 * Creates the server of a Zoho data centre at its real addresses; opens no socket.
 * @throws {RangeError} when the data centre is unknown
 */
export function zohoSite(center: string | NewDataCenter): Site {
  const dc = typeof center === 'string' ? center : center.dc;
  const zoho = typeof center === 'string' ? zohoDataCenters[center] : { ...center, hosts: {} };
  if (zoho === undefined) {
    throw new RangeError(`Unknown Zoho data centre: known are ${Object.keys(zohoDataCenters).join(', ')}.`);
  }
  return {
    profile: 'zoho',
    dc,
    zoho,
    oauth: null,
    origin: zoho.accounts,
    environments: new Map(),
    realHosts: [zoho.accounts, ...Object.values(zoho.hosts), zoho.api].map((url) => new URL(url).host),
  };
}

/** Creates the server of another provider at its own addresses. */
export function oauthSite(profile: OAuthProfile): Site {
  return {
    profile: profile.id,
    dc: null,
    zoho: null,
    oauth: profile,
    origin: profile.origin,
    environments: new Map(),
    realHosts: profile.hosts.map((url) => new URL(url).host),
  };
}

function isReal(site: Site): boolean {
  return site.origin === site.zoho?.accounts;
}
