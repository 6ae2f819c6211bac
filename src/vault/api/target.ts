import type { CheckedKey } from '../../base/ids.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { apiHeaders, organizationOf } from '../../providers/expand.ts';
import { resolveApiUrl } from '../../providers/hosts.ts';
import type { VaultContext } from '../context.ts';
import { getGrant } from '../grant/grants.ts';
import { noSuchGrant } from '../grant/refusals.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import type { HeldToken } from '../hand-out/token-cache.ts';
import type { AccessToken, Grant } from '../types.ts';

/** What the API calls of one grant have in common: where they go, and what is put into them besides the token. */
export interface ApiPlace {
  readonly definition: ProviderDefinition;
  readonly grant: Pick<Grant, 'dc' | 'metadata'>;
  /** The provider's own headers, such as the organisation's of its definition; they win over the caller's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly organization: ReturnType<typeof organizationOf>;
}

/** What a call needs of a token. */
export type CallToken = Pick<AccessToken, 'accessToken' | 'generation'>;

/** By the token as it is held in memory: whatever makes the vault forget that makes this forgotten, too. */
const places = new WeakMap<HeldToken, { readonly place: ApiPlace; readonly readAt: number }>();

/**
 * Where a grant's calls go, and its token: from memory when both were there a moment ago. `check` may turn the call down
 * before a token is got for it.
 *
 * @throws {GrantryError} `grant_not_found`, `not_found`, and whatever `HandOut.get` throws
 */
export async function placeAndToken(
  context: VaultContext,
  handOut: HandOut,
  key: CheckedKey,
  check: (place: ApiPlace) => void,
): Promise<{ place: ApiPlace; token: CallToken }> {
  const held = handOut.held(key);
  const known = held === undefined ? undefined : places.get(held);
  const { apiPlaceKnownMs } = context.times;
  if (held !== undefined && known !== undefined && context.world.monotonic() - known.readAt < apiPlaceKnownMs) {
    check(known.place);
    return { place: known.place, token: held };
  }
  const readAt = context.world.monotonic();
  const place = await readPlace(context, key);
  check(place);
  const token = await handOut.get(key);
  const heldNow = handOut.held(key);
  if (heldNow !== undefined) places.set(heldNow, { place, readAt });
  return { place, token };
}

/** @throws {GrantryError} `grant_not_found`, `not_found` */
export async function readPlace(context: VaultContext, key: CheckedKey): Promise<ApiPlace> {
  const grant = await getGrant(context, key);
  if (grant === null || grant.state === 'disconnected') throw noSuchGrant(key);
  const definition = await context.providers.require(key.provider);
  const { dc, metadata } = grant;
  return {
    definition,
    grant: { dc, metadata },
    headers: apiHeaders(definition, { dc, metadata }),
    organization: organizationOf(definition, metadata),
  };
}

/**
 * The full URL of a call, with the organisation's id where the product wants it there. What the caller names itself stays:
 * some accounts have several organisations.
 *
 * @param host the name of the provider's host to call instead of the usual one
 * @throws {GrantryError} `invalid_request`
 */
export function callUrl(context: VaultContext, place: ApiPlace, pathOrUrl: string, host?: string): string {
  const { definition, grant, organization } = place;
  const url = resolveApiUrl(definition, pathOrUrl, { ...grant, host, allowLoopback: context.allowLoopback });
  if (organization?.in !== 'query') return url;
  const parsed = new URL(url);
  if (parsed.searchParams.has(organization.name)) return url;
  // The caller's own query keeps its bytes: an API may sign them, or read them in a way of its own.
  const own = parsed.search === '' || parsed.search === '?' ? '?' : `${parsed.search}&`;
  parsed.search = `${own}${encodeURIComponent(organization.name)}=${encodeURIComponent(organization.value)}`;
  return parsed.href;
}
