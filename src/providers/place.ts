import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { earlierForms } from './built-in/zoho/earlier.ts';
import type { ProviderDefinition } from './definition.ts';

/** True if two definitions send secrets and tokens to the same places, in the same way. */
export function isSamePlace(one: ProviderDefinition, other: ProviderDefinition): boolean {
  return isDeepStrictEqual(placesOf(one), placesOf(other));
}

/** The members of a definition that decide where secrets and tokens are sent. */
function placesOf(definition: ProviderDefinition): unknown {
  const { issuer, endpoints, dataCenters, separateDataCenters, environments } = definition;
  const { callback, capture, clientAuthentication, api, products, scopeEnhancement } = definition;
  const centres = { dataCenters, separateDataCenters, environments };
  const places = { issuer, endpoints, ...centres, callback, capture, clientAuthentication, api, products };
  return JSON.parse(JSON.stringify({ ...places, scopeEnhancement }));
}

/** A client of an app, as a connection began with it: another client under the same name is another one. */
export interface ClientIdentity {
  readonly provider: string;
  readonly client_id: string;
  /** Random for each app that is made. */
  readonly context: string;
}

/**
 * Hashes the endpoints and hosts of a provider, and the client of an app. A code is redeemed where its request was sent (RFC
 * 9700 section 4.4), and its tokens are stored for no other place or client.
 */
export function placeHash(definition: ProviderDefinition, app: ClientIdentity): string {
  const { hosts, base } = definition.api;
  const { provider, client_id, context } = app;
  const client = { provider, client_id, context };
  return hashOf({ ...endpointsOf(definition), hosts, base, client });
}

/**
 * True if a connection began at this place. One that began under 0.1.0 noted only the endpoints, and a built-in provider may
 * have fewer hosts there.
 */
export function isPlace(hash: string, definition: ProviderDefinition, app: ClientIdentity): boolean {
  const is = (form: ProviderDefinition) => hash === placeHash(form, app) || hash === hashOf(endpointsOf(form));
  return is(definition) || earlierForms(definition).some(is);
}

function endpointsOf({ issuer, endpoints, dataCenters, clientAuthentication }: ProviderDefinition) {
  return { issuer, endpoints, dataCenters, clientAuthentication };
}

function hashOf(place: unknown): string {
  return createHash('sha256').update(JSON.stringify(place, sorted)).digest('hex');
}

/** Sorts members, because PostgreSQL reorders those of an object. */
function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
