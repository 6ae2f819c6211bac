import { builtInProvider, builtInProviderIds } from '../providers/catalogue.ts';
import type { ProviderDefinitionInput } from '../providers/definition.ts';
import type { OAuthProfile } from './state/profiles.ts';
import type { Site, Sites } from './state/sites.ts';

/**
 * Returns the definition of a simulated server, ready for `grantry provider add`.
 *
 * For a built-in provider it is the whole definition with other origins; for any other server it is built from its
 * profile.
 *
 * @throws {RangeError} when no server has that id
 */
export function definitionFor(sites: Sites, providerId: string): ProviderDefinitionInput {
  const known = builtInProvider(providerId);
  const zoho = sites.list().filter((site) => site.zoho !== null);
  if (known !== null && /^zoho(_|$)/.test(providerId) && zoho.length > 0) return localised(sites, known);
  const site = sites.find(providerId, null);
  if (site === undefined || site.oauth === null) {
    throw new RangeError(
      `No simulated server is called ${JSON.stringify(providerId)}; there are: ${definitionIds(sites).join(', ')}.`,
    );
  }
  return known === null ? definitionOf(site, site.oauth) : localised(sites, known);
}

/** Lists the ids that {@link definitionFor} accepts. */
export function definitionIds(sites: Sites): string[] {
  const zoho = sites.list().some((site) => site.zoho !== null)
    ? builtInProviderIds.filter((id) => /^zoho(_|$)/.test(id))
    : [];
  return [...zoho, ...sites.list().flatMap((each) => (each.oauth === null ? [] : [each.profile]))];
}

/**
 * Moves a definition to the simulated addresses, without data centres and hosts that do not run here. No part of the
 * result refers to the real provider. A definition without simulated servers stays unchanged.
 */
export function localised<Definition extends ProviderDefinitionInput>(
  sites: Sites,
  definition: Definition,
): Definition {
  const map = originMap(sites);
  const centers = Object.entries(definition.dataCenters ?? {});
  const running = centers.filter(([, hosts]) => Object.values(hosts).some((host) => map.has(host)));
  const hosts = definition.api.hosts.filter((host) => map.has(host));
  const all = new Map([...running.flatMap(([, ofCenter]) => withoutServer(Object.values(ofCenter), map)), ...map]);
  return rewriteOrigins(
    {
      ...definition,
      ...(running.length === 0 ? {} : { dataCenters: Object.fromEntries(running) }),
      api: { ...definition.api, hosts: hosts.length === 0 ? definition.api.hosts : hosts },
    },
    all,
  );
}

/** Moves hosts of products that have no server here to the server of their data centre, which answers that it has no such API. */
function withoutServer(hosts: readonly string[], map: ReadonlyMap<string, string>): [string, string][] {
  const server = hosts.map((host) => map.get(host)).find((origin) => origin !== undefined);
  return server === undefined ? [] : hosts.map((host) => [host, server]);
}

/** Maps the real address to the simulated address, for every host of every server. */
function originMap(sites: Sites): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (const site of sites.list()) {
    for (const host of site.realHosts) map.set(`https://${host}`, site.origin);
    for (const [environment, origin] of site.environments) {
      const real = site.zoho?.hosts[environment];
      if (real !== undefined) map.set(real, origin);
    }
  }
  return map;
}

/**
 * Replaces the origins in a provider definition: every text that is or begins with a mapped origin moves; the rest
 * stays.
 *
 * @example
 * const definition = { id: 'mine', endpoints: { token: 'https://as.example/token' }, api: { hosts: ['https://as.example'] } };
 * rewriteOrigins(definition, new Map([['https://as.example', 'http://127.0.0.1:4101']]));
 */
export function rewriteOrigins<Definition extends ProviderDefinitionInput>(
  definition: Definition,
  origins: ReadonlyMap<string, string>,
): Definition {
  const moved = rewrite(definition, origins);
  // The rewrite only replaces texts by texts, so the shape is that of the given definition.
  const typed = moved as Definition;
  return { ...typed, api: { ...typed.api, hosts: [...new Set(typed.api.hosts)] } };
}

function rewrite(value: unknown, origins: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') return rewriteText(value, origins);
  if (Array.isArray(value)) return value.map((each) => rewrite(each, origins));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, rewrite(each, origins)]));
}

function rewriteText(text: string, origins: ReadonlyMap<string, string>): string {
  const origin = /^https?:\/\/[^/?#]+/i.exec(text)?.[0];
  const target = origin === undefined ? undefined : origins.get(origin.toLowerCase());
  return origin === undefined || target === undefined ? text : target + text.slice(origin.length);
}

function definitionOf(site: Site, profile: OAuthProfile): ProviderDefinitionInput {
  const { rotation, paths } = profile;
  const names = (extras: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.keys(extras).map((name) => [name, snakeCase(name)]));
  const callback = names(profile.callbackExtras);
  const token = names(profile.tokenExtras);
  return {
    id: profile.id,
    name: profile.name,
    endpoints: {
      authorization: site.origin + paths.authorization,
      token: site.origin + paths.token,
      ...(paths.revocation === null ? {} : { revocation: site.origin + paths.revocation }),
    },
    scopeSeparator: profile.scopeSeparator,
    ...(Object.keys({ ...callback, ...token }).length === 0 ? {} : { capture: { callback, token } }),
    accessToken: { lifetimeSeconds: profile.accessTokenSeconds, scheme: profile.scheme },
    refreshToken: {
      rotation: rotation.kind,
      overlapSeconds: rotation.kind === 'timed_overlap' ? rotation.overlapSeconds : 0,
      reuse: rotation.reuse,
      idleSeconds: profile.idleSeconds,
      absoluteSeconds: profile.absoluteSeconds,
      livePerUserAndClient: profile.livePerUserAndClient,
    },
    api: {
      hosts: [site.origin],
      ...(profile.health === null ? {} : { health: { path: profile.health.path, name: profile.health.name } }),
    },
  };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
