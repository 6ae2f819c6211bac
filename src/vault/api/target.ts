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

/** Common parts of a grant's API calls: the hosts, and the headers and parameters besides the token. */
export interface ApiTarget {
  readonly definition: ProviderDefinition;
  readonly grant: Pick<Grant, 'dc' | 'metadata'>;
  /** The provider's own headers, such as the organisation's of its definition; they win over the caller's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly organization: ReturnType<typeof organizationOf>;
}

/** The parts of a token that a call needs. */
export type CallToken = Pick<AccessToken, 'accessToken' | 'generation'>;

/** Cached targets, keyed by the cached token: when the vault drops the token, the target goes with it. */
const targets = new WeakMap<HeldToken, { readonly target: ApiTarget; readonly readAt: number }>();

/**
 * Returns a grant's call target and token, from memory if both were cached a moment ago. `check` may reject the call before
 * a token is fetched.
 *
 * @throws {GrantryError} `grant_not_found`, `not_found`, and every error of `HandOut.get`
 */
export async function targetAndToken(
  context: VaultContext,
  handOut: HandOut,
  key: CheckedKey,
  check: (target: ApiTarget) => void,
): Promise<{ target: ApiTarget; token: CallToken }> {
  const held = handOut.held(key);
  const known = held === undefined ? undefined : targets.get(held);
  if (
    held !== undefined &&
    known !== undefined &&
    context.world.monotonic() - known.readAt < context.times.apiPlaceKnownMs
  ) {
    check(known.target);
    return { target: known.target, token: held };
  }
  const readAt = context.world.monotonic();
  const target = await readTarget(context, key);
  check(target);
  const token = await handOut.get(key);
  const heldNow = handOut.held(key);
  if (heldNow !== undefined) targets.set(heldNow, { target, readAt });
  return { target, token };
}

/** Reads a grant's call target. @throws {GrantryError} `grant_not_found`, `not_found` */
export async function readTarget(context: VaultContext, key: CheckedKey): Promise<ApiTarget> {
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
 * Builds the full URL of a call, with the organisation's id if the product expects it in the query. An organisation named by
 * the caller stays: some accounts have several.
 *
 * @param host The name of the provider's host to call instead of the default one.
 * @throws {GrantryError} `invalid_request`
 */
export function callUrl(context: VaultContext, target: ApiTarget, pathOrUrl: string, host?: string): string {
  const { definition, grant, organization } = target;
  const url = resolveApiUrl(definition, pathOrUrl, { ...grant, host, allowLoopback: context.allowLoopback });
  if (organization?.in !== 'query') return url;
  const parsed = new URL(url);
  if (parsed.searchParams.has(organization.name)) return url;
  // Keep the bytes of the caller's query: an API may sign them or parse them in its own way.
  const prefix = parsed.search === '' || parsed.search === '?' ? '?' : `${parsed.search}&`;
  parsed.search = `${prefix}${encodeURIComponent(organization.name)}=${encodeURIComponent(organization.value)}`;
  return parsed.href;
}
