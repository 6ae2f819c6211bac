import type { Acting } from '../base/acting.ts';
import type { Principal } from './principal.ts';

/** Callers come from few addresses each, unless a proxy hides them. */
const addressesMax = 64;

const known = new WeakMap<Principal, Map<string, Acting>>();

/**
 * On whose behalf a request acts, for the audit log: its key, and the address that it came from. The same key and address
 * give the same object, so that the hot route compares no texts.
 */
export function actingFor(principal: Principal, response: object | undefined): Acting {
  const address = addressIn(response);
  let places = known.get(principal);
  if (places === undefined) {
    places = new Map();
    known.set(principal, places);
  }
  const before = places.get(address);
  if (before !== undefined) return before;
  if (places.size >= addressesMax) places.clear();
  const acting: Acting = {
    actor: { kind: 'key', id: principal.id, name: principal.name },
    source: `http ${address}`,
  };
  places.set(address, acting);
  return acting;
}

/** The peer's address, as this server sees it; behind a reverse proxy that is the proxy's. */
export function addressIn(response: object | undefined): string {
  const request: unknown = response === undefined ? undefined : Reflect.get(response, 'req');
  const socket: unknown = isObject(request) ? Reflect.get(request, 'socket') : undefined;
  const address: unknown = isObject(socket) ? Reflect.get(socket, 'remoteAddress') : undefined;
  return typeof address === 'string' ? address : 'unknown';
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
