import { invalidRequest, isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { dcNames, foreignHost, isDcNamed } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { apiHeaders, organizationOf } from '../../providers/expand.ts';
import { assertCallable, hasApiBase, resolveApiUrl } from '../../providers/hosts.ts';
import { assertInEnvironment } from '../../providers/products.ts';
import { findGrant, metadataOf } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { placeOf } from '../grant/grants.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import type { HeldToken } from '../hand-out/token-cache.ts';
import type { Grant } from '../types.ts';

/** Common parts of a grant's API calls: the hosts, and the headers and parameters besides the token. */
export interface ApiTarget {
  readonly definition: ProviderDefinition;
  readonly grant: Pick<Grant, 'dc' | 'metadata'>;
  /** Headers that the definition pins, such as its organisation's. */
  readonly headers: Readonly<Record<string, string>>;
  /** Headers that yield to the caller's. */
  readonly defaults: Readonly<Record<string, string>>;
  readonly organization: ReturnType<typeof organizationOf>;
}

/** One call as it is sent. Token and target come from the same row, so a call goes where the refresh has just said. */
export interface PlacedCall {
  readonly token: HeldToken;
  readonly target: ApiTarget;
  readonly url: string;
}

/** The grant that a call is for, and the place that the caller names. */
export interface CallAddress {
  readonly context: VaultContext;
  readonly handOut: HandOut;
  readonly key: CheckedKey;
  readonly definition: ProviderDefinition;
  readonly pathOrUrl: string;
  /** The name of the provider's host to call instead of the default one. */
  readonly host?: string | undefined;
  /** Returns the caller's value of a header, or null. */
  readonly given?: ((name: string) => string | null) | undefined;
  /** Leaves the organisation out, although the product's other calls need it. */
  readonly withoutOrganization?: boolean | undefined;
}

/** Targets of tokens in memory: when the vault drops the token, the target goes with it. */
const targets = new WeakMap<HeldToken, ApiTarget>();

/**
 * Fetches a token for a call, and places the call. A caller's mistake is refused before that.
 *
 * Some grants learn the host of their API from a refresh only. One that was never refreshed is refreshed first.
 *
 * @throws {GrantryError} `invalid_request`, and every error of `HandOut.hold`
 */
export async function placeFirstCall(address: CallAddress): Promise<PlacedCall> {
  const { context, handOut, key, definition, pathOrUrl, host } = address;
  assertCallable(definition, pathOrUrl, { host, allowLoopback: context.allowLoopback });
  const token = await handOut.hold(key);
  await handOut.tellCall(key, token);
  try {
    return await placeCall(address, token);
  } catch (error) {
    if (!isGrantryError(error) || !(await mayLearnHost(address, token))) throw error;
  }
  return placeCall(address, await handOut.replace(key, token.generation));
}

/** Places a call that is sent with a token. @throws {GrantryError} `invalid_request`, `provider_misconfigured` */
export async function placeCall(address: CallAddress, token: HeldToken): Promise<PlacedCall> {
  const target = forCall(address, await targetOf(address, token));
  const { definition, pathOrUrl, host } = address;
  if (pathOrUrl.startsWith('/') && host === undefined)
    assertInEnvironment(definition, pathOrUrl, target.grant.metadata);
  const url = callUrl(address, target);
  assertOwnDataCentre(address, target, url);
  return { token, target, url };
}

/**
 * Leaves the organisation out of a call that needs none, or whose caller names one. An API may read it in several places; two
 * of them would contradict each other, and one would win in silence.
 */
function forCall({ definition, pathOrUrl, given, withoutOrganization }: CallAddress, target: ApiTarget): ApiTarget {
  if (withoutOrganization === true) return { ...target, organization: null, headers: {} };
  const place = definition.api.organization;
  if (place === undefined || target.organization === null) return target;
  const query = new URLSearchParams(/\?([^#]*)/.exec(pathOrUrl)?.[1] ?? '');
  const isNamed = [place, ...(place.also ?? [])].some(({ in: where, name }) =>
    where === 'query' ? query.has(name) : (given?.(name) ?? null) !== null,
  );
  return isNamed ? { ...target, organization: null } : target;
}

/**
 * Refuses a call to another data centre than the grant's: it would be answered as if the token were bad. Only a host that
 * the caller names can be there, and only a data centre that the grant's metadata names is certain.
 *
 * @throws {GrantryError} `invalid_request`
 */
function assertOwnDataCentre(
  { key, pathOrUrl, host }: CallAddress,
  { definition, grant }: ApiTarget,
  url: string,
): void {
  if (grant.dc === null || (pathOrUrl.startsWith('/') && host === undefined)) return;
  const foreign = isDcNamed(definition, grant.metadata) ? foreignHost(definition, grant.dc, url) : null;
  if (foreign === null) return;
  const where = `${new URL(url).host} is in the data centre ${foreign.dc}`;
  const own = foreign.own === null ? '' : ` call ${foreign.own}, or`;
  throw invalidRequest(
    `${where}, and the grant of ${key.tenant} at ${key.provider} is in ${grant.dc}. The call was not sent.`,
    {
      action: `Leave out the host and give a path: Grantry adds the host of ${grant.dc}. Otherwise${own} correct the grant's metadata dc if it is wrong.`,
      reason: 'wrong_data_centre',
    },
  );
}

async function targetOf({ context, key, definition }: CallAddress, token: HeldToken): Promise<ApiTarget> {
  const known = targets.get(token);
  if (known?.definition === definition) return known;
  const metadata = metadataOf(token);
  const hasCentres = dcNames(definition).length > 0;
  // A one-shot program knows only what the metadata names.
  const place = () => placeOf(context, { ...key, app: token.app ?? null }, metadata);
  const dc = token.dc ?? (hasCentres ? (await place()).dc : null);
  const grant = { dc, metadata };
  const headers = apiHeaders(definition, definition.api.headers, grant);
  const defaults = apiHeaders(definition, definition.api.defaults, grant);
  const target = { definition, grant, headers, defaults, organization: organizationOf(definition, metadata) };
  targets.set(token, target);
  return target;
}

async function mayLearnHost({ context, key, definition, host }: CallAddress, token: HeldToken): Promise<boolean> {
  if (host !== undefined || definition.capture?.token === undefined) return false;
  const target = targets.get(token);
  if (target === undefined || hasApiBase(definition, target.grant)) return false;
  const row = await findGrant(context.store.db, key);
  return row !== undefined && row.generation === token.generation && row.last_refreshed_at === null;
}

/** Builds the full URL of a call, with the organisation's id if the product expects it in the query. */
function callUrl({ context, pathOrUrl, host }: CallAddress, { definition, grant, organization }: ApiTarget): string {
  const url = resolveApiUrl(definition, pathOrUrl, { ...grant, host, allowLoopback: context.allowLoopback });
  if (organization?.in !== 'query') return url;
  const parsed = new URL(url);
  // Keep the bytes of the caller's query: an API may sign them or parse them in its own way.
  const prefix = parsed.search === '' || parsed.search === '?' ? '?' : `${parsed.search}&`;
  parsed.search = `${prefix}${encodeURIComponent(organization.name)}=${encodeURIComponent(organization.value)}`;
  return parsed.href;
}
