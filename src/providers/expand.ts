import { GrantryError } from '../base/errors.ts';
import type { Metadata } from './data-centre.ts';
import type { ProviderDefinition } from './definition.ts';

/** Values of `{dc.NAME}` and `{metadata.NAME}` for one grant. */
export interface Place {
  /** The data centre; `null` where the provider has none. */
  readonly dc: string | null;
  readonly metadata: Metadata;
}

const reference = /\{(dc|metadata)\.([A-Za-z0-9_.-]{1,128})\}/g;

/** Finds the `{dc.NAME}` and `{metadata.NAME}` references in a template. */
export function referencesIn(template: string): { kind: 'dc' | 'metadata'; name: string }[] {
  return [...template.matchAll(reference)].map((match) => ({
    kind: match[1] === 'dc' ? ('dc' as const) : ('metadata' as const),
    name: match[2] ?? '',
  }));
}

/**
 * Fills the values into a URL template of a definition.
 *
 * A metadata value is percent-encoded, so that it stays one path segment or query value. Only at the very start it is
 * used unchanged, as a whole origin: the caller checks the result against the provider's hosts.
 *
 * @throws {GrantryError} `invalid_request` when the grant has no such value; `provider_misconfigured` when the data
 * centre has none.
 */
export function expand(definition: ProviderDefinition, template: string, place: Place): string {
  return template.replace(reference, (_, kind: string, name: string, offset: number) => {
    if (kind === 'dc') return dcValue(definition, name, place.dc);
    const value = metadataValue(place.metadata, name);
    if (value === null) {
      throw new GrantryError('invalid_request', `${definition.id} needs ${name} in the grant's metadata.`);
    }
    return offset === 0 ? value : encodeURIComponent(value);
  });
}

/**
 * Fills the values into `api.headers` or `api.defaults` of a definition. A header whose metadata is missing is left
 * out: the call that discovers the value must work without it.
 */
export function apiHeaders(
  definition: ProviderDefinition,
  templates: Readonly<Record<string, string>>,
  place: Place,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, template] of Object.entries(templates)) {
    const known = referencesIn(template).every(
      (found) => found.kind === 'dc' || metadataValue(place.metadata, found.name) !== null,
    );
    if (!known) continue;
    const value = template.replace(reference, (_, kind: string, key: string) =>
      kind === 'dc' ? dcValue(definition, key, place.dc) : (metadataValue(place.metadata, key) ?? ''),
    );
    headers[name] = headerValue(definition, name, value);
  }
  return headers;
}

/**
 * Returns the organisation's id (`metadata.org_id`) and its place in this provider's calls; `null` when the provider
 * needs none or the grant has none.
 */
export function organizationOf(
  definition: ProviderDefinition,
  metadata: Metadata,
): { in: 'header' | 'query'; name: string; value: string } | null {
  const wanted = definition.api.organization;
  const value = metadataValue(metadata, 'org_id');
  if (wanted === undefined || value === null) return null;
  return { ...wanted, value: wanted.in === 'header' ? headerValue(definition, wanted.name, value) : value };
}

function dcValue(definition: ProviderDefinition, name: string, dc: string | null): string {
  const centers = definition.dataCenters ?? {};
  const hosts = dc !== null && Object.hasOwn(centers, dc) ? centers[dc] : undefined;
  const value = hosts !== undefined && Object.hasOwn(hosts, name) ? hosts[name] : undefined;
  if (value !== undefined) return value.replace(/\/+$/, '');
  throw new GrantryError(
    'provider_misconfigured',
    dc === null
      ? `${definition.id} refers to the data centre's ${name}, but none is known.`
      : `${definition.id} has no ${name} in its data centre ${dc}.`,
  );
}

function metadataValue(metadata: Metadata, name: string): string | null {
  const value = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  return typeof value === 'string' && value !== '' ? value : null;
}

function headerValue(definition: ProviderDefinition, name: string, value: string): string {
  if (/^[\x20-\x7e]{1,2048}$/.test(value)) return value;
  throw new GrantryError('invalid_request', `The grant's metadata is not valid in ${definition.id}'s header ${name}.`);
}
