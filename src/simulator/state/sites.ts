import { type NewDataCenter, type ZohoDataCenter, zohoDataCenters } from './data-centers.ts';
import type { OAuthProfile } from './profiles.ts';

/** One server: a data centre of Zoho with its API gateway and products, or a whole provider of another kind. */
export interface Site {
  /** `zoho`, or the id of an {@link OAuthProfile}. */
  readonly profile: string;
  /** `null` where the provider has no data centres. */
  readonly dc: string | null;
  readonly zoho: ZohoDataCenter | null;
  readonly oauth: OAuthProfile | null;
  /** Where it is reached, such as `http://127.0.0.1:4100`. Known once it listens. */
  origin: string;
  /** Its hosts in the real world; requests to them are answered when they are handed in directly. */
  readonly realHosts: readonly string[];
}

/** The servers of one simulator, found by host. */
export class Sites {
  readonly #sites: Site[] = [];
  readonly #byHost = new Map<string, Site>();

  add(site: Site): void {
    this.#sites.push(site);
    for (const host of site.realHosts) this.#byHost.set(host, site);
    this.#byHost.set(new URL(site.origin).host, site);
  }

  /** Moves a server to the address on which it now listens. */
  listen(site: Site, origin: string): void {
    site.origin = origin;
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

/** The address of Zoho's accounts server of a site, as an answer would name it. */
export function accountsOf(site: Site): string {
  return site.zoho !== null && isReal(site) ? site.zoho.accounts : site.origin;
}

/** The address of a site's API gateway. */
export function apiOf(site: Site): string {
  return site.zoho !== null && isReal(site) ? site.zoho.api : site.origin;
}

/** A Zoho data centre as a server at its real addresses: no socket is opened for it. @throws {RangeError} */
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
    realHosts: [zoho.accounts, ...Object.values(zoho.hosts), zoho.api].map((url) => new URL(url).host),
  };
}

/** A provider of another kind as a server at its own addresses. */
export function oauthSite(profile: OAuthProfile): Site {
  return {
    profile: profile.id,
    dc: null,
    zoho: null,
    oauth: profile,
    origin: profile.origin,
    realHosts: profile.hosts.map((url) => new URL(url).host),
  };
}

function isReal(site: Site): boolean {
  return site.origin === site.zoho?.accounts;
}
