import { GrantryError } from '../base/errors.ts';
import type { ProviderDefinition } from './definition.ts';

/** Metadata of a grant: a JSON object, never a secret. */
export type Metadata = Readonly<Record<string, unknown>>;

/** Aliases of data centres, accepted from persons and from files. */
export const dcAliases: ReadonlyMap<string, string> = new Map([
  ['com', 'us'],
  ['com.au', 'au'],
  ['com.cn', 'cn'],
]);

/** Returns the provider's data centres, the default one first; empty when it has none. */
export function dcNames(definition: ProviderDefinition): string[] {
  return Object.keys(definition.dataCenters ?? {});
}

/**
 * Resolves the name that a person or a file gives to a data centre: `EU`, `com.au`, `us`.
 *
 * @throws {GrantryError} `invalid_request`, with the valid names, for any other name.
 */
export function resolveDc(definition: ProviderDefinition, name: string): string {
  const wanted = name.trim().toLowerCase();
  const names = dcNames(definition);
  if (names.includes(wanted)) return wanted;
  const alias = dcAliases.get(wanted);
  if (alias !== undefined && names.includes(alias)) return alias;
  const shown = /^[\x21-\x7e]{1,32}$/.test(name) ? `"${name}"` : 'that name';
  throw new GrantryError(
    'invalid_request',
    names.length === 0
      ? `${definition.id} has no data centres, so ${shown} cannot be one.`
      : `${definition.id} has no data centre ${shown}; there are ${names.join(', ')}.`,
  );
}

/**
 * Returns the data centre that a callback names; `null` when it names none.
 *
 * Both parameters pass through the user's browser, and they select the host that gets the client secret. So they are
 * only compared with the definition's own list as text, never parsed. They must agree with each other.
 *
 * @throws {GrantryError} `authorization_failed` when a parameter is repeated, is not in the list, or contradicts the
 * other.
 */
export function dcOfCallback(definition: ProviderDefinition, parameters: URLSearchParams): string | null {
  const location = single(parameters, definition.callback?.dataCenter);
  const server = single(parameters, definition.callback?.accountsServer);
  const centers = Object.entries(definition.dataCenters ?? {});
  const byLocation = location === null ? null : centers.find(([dc]) => dc === aliasOf(location))?.[0];
  const byServer = server === null ? null : centers.find(([, hosts]) => hosts['accounts'] === server)?.[0];
  if (byLocation === undefined || byServer === undefined) {
    throw authorizationFailed(`The callback names a data centre that ${definition.id} does not have.`);
  }
  if (byLocation !== null && byServer !== null && byLocation !== byServer) {
    throw authorizationFailed('The callback names two different data centres.');
  }
  return byServer ?? byLocation;
}

/**
 * Tells whether a client of one data centre is a stranger in another, to which a browser would lead it: one of the two has
 * registrations of its own. Code and secret of such a client are not sent there.
 *
 * @param secretsOf the data centres for which the app has a secret of their own
 */
export function isStrangerIn(
  { separateDataCenters = [] }: ProviderDefinition,
  { home, named, secretsOf }: { home: string | null; named: string | null; secretsOf: readonly string[] },
): boolean {
  if (named === null || named === home || secretsOf.includes(named)) return false;
  return separateDataCenters.includes(named) || (home !== null && separateDataCenters.includes(home));
}

/**
 * Returns the data centre that has `apiDomain` among its hosts, its API host first; `null` for none or more than one.
 */
export function dcOfApiDomain(definition: ProviderDefinition, apiDomain: unknown): string | null {
  const origin = originOf(apiDomain);
  if (origin === null) return null;
  const centers = Object.entries(definition.dataCenters ?? {});
  const byApi = centers.filter(([, hosts]) => originOf(hosts['api']) === origin);
  const found =
    byApi.length > 0
      ? byApi
      : centers.filter(([, hosts]) => Object.values(hosts).some((host) => originOf(host) === origin));
  return found.length === 1 ? (found[0]?.[0] ?? null) : null;
}

/** A host of another data centre, and the one that has its place in the grant's own. */
export interface ForeignHost {
  readonly dc: string;
  readonly own: string | null;
}

/**
 * Finds the data centre of a URL that is not the grant's; `null` for a URL in the grant's own, or in none.
 *
 * @param dc The grant's data centre.
 */
export function foreignHost(definition: ProviderDefinition, dc: string, url: string): ForeignHost | null {
  const { origin } = new URL(url);
  const own = definition.dataCenters?.[dc] ?? {};
  if (Object.values(own).some((host) => originOf(host) === origin)) return null;
  for (const [other, hosts] of Object.entries(definition.dataCenters ?? {})) {
    const place = Object.entries(hosts).find(([, host]) => originOf(host) === origin)?.[0];
    if (place !== undefined) return { dc: other, own: originOf(own[place]) };
  }
  return null;
}

/** Tells whether a grant's metadata names its data centre. Otherwise it is only assumed. */
export function isDcNamed(definition: ProviderDefinition, metadata: Metadata): boolean {
  return typeof metadata['dc'] === 'string' || dcOfApiDomain(definition, metadata['api_domain']) !== null;
}

/**
 * Writes what metadata says about the data centre as one text, without a look at the definition: a name, or the URL of an
 * API host; `null` if it says nothing. {@link metadataOfPlace} reads it.
 */
export function placeNamedIn(metadata: Metadata): string | null {
  const { dc } = metadata;
  return typeof dc === 'string' && dc !== '' ? dc : originOf(metadata['api_domain']);
}

/** The metadata of a text that {@link placeNamedIn} wrote. No name of a data centre holds a scheme. */
export function metadataOfPlace(place: string | null): Metadata {
  if (place === null || place === '') return {};
  return place.includes('://') ? { api_domain: place } : { dc: place };
}

/**
 * Returns the name of the data centre that metadata names, by itself or by its API host; `null` if it names none. `dc` may
 * also be a text of {@link placeNamedIn}. A name that the provider no longer has stays as it is.
 */
export function dcNamedIn(definition: ProviderDefinition, metadata: Metadata): string | null {
  const { dc, api_domain } = metadataOfPlace(placeNamedIn(metadata));
  if (typeof dc !== 'string') return dcOfApiDomain(definition, api_domain);
  const name = dc.trim().toLowerCase();
  return dcNames(definition).includes(name) ? name : aliasOf(name);
}

/**
 * Returns a grant's data centre; `null` when the provider has none.
 *
 * The first of these counts: `metadata.dc`, the data centre of `metadata.api_domain`, the app's, the provider's
 * default.
 *
 * @throws {GrantryError} `invalid_request` when the metadata or the app names an unknown data centre.
 */
export function grantDc(grant: {
  definition: ProviderDefinition;
  metadata: Metadata;
  app: { readonly dc: string | null } | null;
}): string | null {
  const { definition, metadata, app } = grant;
  const names = dcNames(definition);
  if (names.length === 0) return null;
  const named = metadata['dc'];
  if (typeof named === 'string' && named !== '') return resolveDc(definition, named);
  const byApiDomain = dcOfApiDomain(definition, metadata['api_domain']);
  if (byApiDomain !== null) return byApiDomain;
  if (app !== null && app.dc !== null) return resolveDc(definition, app.dc);
  return names[0] ?? null;
}

function aliasOf(location: string): string {
  return dcAliases.get(location) ?? location;
}

function single(parameters: URLSearchParams, name: string | undefined): string | null {
  if (name === undefined) return null;
  const values = parameters.getAll(name);
  if (values.length > 1) throw authorizationFailed('The callback repeats the parameter that names the data centre.');
  return values[0] ?? null;
}

function authorizationFailed(message: string): GrantryError {
  return new GrantryError('authorization_failed', message);
}

/** Stored rows contain the host with and without a scheme, and with a trailing slash. */
function originOf(value: unknown): string | null {
  if (typeof value !== 'string' || value === '') return null;
  const text = value.includes('://') ? value : `https://${value}`;
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  return url.username === '' && url.password === '' && url.pathname === '/' && url.search === '' ? url.origin : null;
}
