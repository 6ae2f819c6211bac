import { BlockList, isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { GrantryError } from '../base/errors.ts';
import { isPublicName } from '../base/network/addresses.ts';
import type { ProviderDefinition } from './definition.ts';
import { referencesIn } from './expand.ts';
import { isProviderHost, wildcardSuffix } from './hosts.ts';
import { originsOf } from './products.ts';

/**
 * Checks every URL of a definition, and that every `{dc.NAME}` in it refers to an existing host.
 *
 * Tokens and client secrets are sent to these URLs. They must be https on port 443, with a public host, and without
 * user name, query or fragment. `allowLoopback` lifts the first two, for tests and local simulators.
 *
 * @throws {GrantryError} `invalid_request`; the message names the member of the definition.
 */
export function checkOrigins(definition: ProviderDefinition, options: { allowLoopback?: boolean } = {}): void {
  const allowLoopback = options.allowLoopback === true;
  const { endpoints = {}, dataCenters = {}, api } = definition;
  checkUrl('issuer', definition.issuer, allowLoopback);
  for (const [dc, hosts] of Object.entries(dataCenters)) {
    for (const [name, host] of Object.entries(hosts)) checkUrl(`dataCenters.${dc}.${name}`, host, allowLoopback);
  }
  for (const [name, template] of Object.entries(endpoints)) {
    if (template === undefined) continue;
    const place = `endpoints.${name}`;
    if (referencesIn(template).some((found) => found.kind === 'metadata')) {
      throw problem(
        place,
        "may refer to {dc.NAME} only: the client secret goes there, so no grant's metadata may move it",
      );
    }
    checkTemplate(definition, place, template, allowLoopback);
  }
  const { request, browser } = definition.scopeEnhancement ?? {};
  for (const [name, template] of Object.entries({ request: request?.url, browser: browser?.url })) {
    const place = `scopeEnhancement.${name}.url`;
    if (referencesIn(template ?? '').some((found) => found.kind === 'metadata')) {
      throw problem(place, 'may refer to {dc.NAME} only: a refresh token or its deputy goes there');
    }
    checkTemplate(definition, place, template, allowLoopback);
  }
  for (const [index, host] of api.hosts.entries()) {
    if (wildcardSuffix(host) === null) checkOrigin(`api.hosts.${index}`, host, allowLoopback);
  }
  checkTemplate(definition, 'api.base', api.base, allowLoopback);
  checkProducts(definition);
  for (const [environment, hosts] of Object.entries(definition.environments ?? {})) {
    for (const [name, host] of Object.entries(hosts)) {
      checkTemplate(definition, `environments.${environment}.${name}`, host, allowLoopback);
    }
  }
  for (const [index, call] of (api.owner ?? []).entries()) {
    if (call.path.startsWith('/')) continue;
    const place = `api.owner.${index}.path`;
    if (!/^\{dc\.\w+\}\//.test(call.path)) throw problem(place, 'must be a path, or start with {dc.NAME}');
    checkTemplate(definition, place, call.path, allowLoopback);
  }
  if (api.health !== undefined && !api.health.path.startsWith('/')) {
    checkTemplate(definition, 'api.health.path', api.health.path, allowLoopback);
  }
  if (
    !/^$|^\/[^\\?#\s]*$/.test(api.basePath) ||
    api.basePath.startsWith('//') ||
    /(^|\/)\.\.?(\/|$)/.test(api.basePath)
  ) {
    throw problem('api.basePath', 'must be empty or a plain path that starts with one slash');
  }
}

/** Checks that each host of each product is one of `api.hosts`: a product never widens where a token goes. */
function checkProducts(definition: ProviderDefinition): void {
  for (const [index, { hosts }] of (definition.products ?? []).entries()) {
    for (const [at, template] of hosts.entries()) {
      const place = `products.${index}.hosts.${at}`;
      const origins = originsOf(definition, template);
      if (origins.length === 0) throw problem(place, 'must be an origin, or {dc.NAME} of a data centre');
      const other = origins.find((origin) => !isProviderHost(definition, origin) || new URL(origin).pathname !== '/');
      if (other !== undefined) throw problem(place, 'must be one of api.hosts');
    }
  }
}

/**
 * Tells whether `other` only differs in its origins and in missing data centres: a simulator may replace a built-in
 * provider this way.
 */
export function differsInOriginsOnly(original: ProviderDefinition, other: ProviderDefinition): boolean {
  const dcs = Object.keys(other.dataCenters ?? {});
  return isDeepStrictEqual(withoutOrigins(original, dcs), withoutOrigins(other, dcs));
}

function withoutOrigins(definition: ProviderDefinition, dcs: readonly string[]): unknown {
  const { dataCenters, ...rest } = definition;
  const centers = dcs.map((dc) => [dc, dataCenters?.[dc] ?? null]);
  // A host must be a bare origin.
  const plain = { ...rest, centers, hasCenters: dataCenters !== undefined, api: { ...rest.api, hosts: null } };
  const text = JSON.stringify(plain, (_, value: unknown) =>
    typeof value === 'string' ? value.replace(/^https?:\/\/[^/?#]*/, 'https://host') : value,
  );
  const value: unknown = JSON.parse(text);
  return value;
}

function checkTemplate(
  definition: ProviderDefinition,
  place: string,
  template: string | undefined,
  allowLoopback: boolean,
): void {
  if (template === undefined) return;
  const centers = Object.entries(definition.dataCenters ?? {});
  const references = referencesIn(template);
  for (const { kind, name } of references) {
    if (kind !== 'dc') continue;
    if (centers.length === 0) throw problem(place, `refers to {dc.${name}}, but there are no dataCenters`);
    const without = centers.find(([, hosts]) => !Object.hasOwn(hosts, name));
    if (without !== undefined) throw problem(place, `refers to {dc.${name}}, which data centre ${without[0]} lacks`);
  }
  // A template may start with a reference. Its origin then comes from the data centres, checked above, or from
  // metadata, checked against api.hosts at each call.
  if (/^\{(dc|metadata)\./.test(template)) {
    if (!/^\{[^}]+\}(\/[^\\\s]*)?$/.test(template))
      throw problem(place, 'must continue with a path after the reference');
    return;
  }
  checkUrl(place, template.replace(/\{[^}]*\}/g, 'x'), allowLoopback, true);
}

function checkOrigin(place: string, text: string, allowLoopback: boolean): void {
  checkUrl(place, text, allowLoopback);
  const url = new URL(text);
  if (url.pathname !== '/') throw problem(place, 'must be an origin: scheme and host, without a path');
}

function checkUrl(place: string, text: string | undefined, allowLoopback: boolean, queryAllowed = false): void {
  if (text === undefined) return;
  if (/[\p{Cc} \\]/u.test(text) || text.includes('*') || !URL.canParse(text)) {
    throw problem(place, 'is not a valid URL');
  }
  const url = new URL(text);
  if (url.protocol !== 'https:' && !(allowLoopback && url.protocol === 'http:')) throw problem(place, 'must be https');
  if (url.username !== '' || url.password !== '') throw problem(place, 'must not have a user name or password');
  if (url.hash !== '' || (url.search !== '' && !queryAllowed))
    throw problem(place, 'must not have a query or fragment');
  if (!allowLoopback && url.port !== '') throw problem(place, 'must use port 443');
  if (!allowLoopback && !isPublicHost(url.hostname)) {
    throw problem(place, 'must not be a loopback or private host');
  }
}

let privateNets: BlockList | undefined;

/** Refuses hosts whose name already refers to the machine or its network. */
function isPublicHost(hostname: string): boolean {
  const host = hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  const family = isIP(host);
  if (family === 0) return isPublicName(host);
  privateNets ??= makePrivateNets();
  return !privateNets.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

function makePrivateNets(): BlockList {
  const nets = new BlockList();
  const v4 = ['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'];
  v4.push('192.0.0.0/24', '192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/3');
  // Includes the ranges that carry an IPv4 address inside: mapped, translated and 6to4.
  const v6 = [
    '::/96',
    '::ffff:0:0/96',
    '64:ff9b::/96',
    '64:ff9b:1::/48',
    '2002::/16',
    'fc00::/7',
    'fe80::/10',
    'ff00::/8',
  ];
  for (const [family, ranges] of [['ipv4', v4] as const, ['ipv6', v6] as const]) {
    for (const range of ranges) {
      const [address = '', bits] = range.split('/');
      nets.addSubnet(address, Number(bits), family);
    }
  }
  return nets;
}

function problem(place: string, what: string): GrantryError {
  return new GrantryError('invalid_request', `The provider definition's ${place} ${what}.`);
}
