import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { jsonIn } from '../../base/exact-json.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { readBounded } from '../../base/network/bounded.ts';
import { Secret } from '../../base/secret.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { expand } from '../../providers/expand.ts';
import { type ApiAnswer, isInvalidToken, isScopeMissing } from '../../providers/invalid-token.ts';
import { forCall } from '../../providers/products.ts';
import { findGrant, metadataOf } from '../../storage/statements/grants.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { getGrant } from '../grant/grants.ts';
import { missingGrant } from '../grant/missing.ts';
import { noSuchGrant } from '../grant/refusals.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import { type TokenVerdict, tokenRejected } from '../hand-out/rejections.ts';
import type { HeldToken } from '../hand-out/token-cache.ts';
import { stillUncertain } from '../refresh/lease-wait.ts';
import type { Grant, HealthReport } from '../types.ts';
import { askApi, callApiTold } from './call.ts';
import { type ProvenOrganization, proveNamedOrganization, proveOrganization } from './prove-organization.ts';

/** Codes of errors that only a person can resolve. */
const needsPerson = [
  'reauthorization_required',
  'provider_misconfigured',
  'grant_quarantined',
  'integrity_failed',
  // The request is ours, so these mean that no app or several could be meant.
  'invalid_request',
  'not_found',
];

/**
 * Checks a grant with a real call to the provider's API; with `refresh` after a real refresh.
 *
 * Problems of the grant are part of the report; only an invalid request or an unavailable vault throws.
 *
 * @throws {GrantryError} `invalid_request`, `grant_not_found`, `storage_unavailable`, `vault_sealed`
 */
export async function checkHealth(
  context: VaultContext,
  handOut: HandOut,
  keyInput: GrantKey,
  { refresh = false }: { readonly refresh?: boolean | undefined } = {},
): Promise<HealthReport> {
  const key = checkKey(keyInput);
  const grant = await getGrant(context, key);
  if (grant === null) throw await missingGrant(context, key);
  if (grant.state === 'disconnected') throw noSuchGrant(key);
  const about = { ...key, dc: grant.dc };
  try {
    const definition = await context.providers.require(key.provider);
    if (refresh) await proveByRefresh(context, handOut, key);
    const proof = await probe(context, handOut, key, { definition, grant, isRefreshed: refresh });
    const token = await handOut.hold(key);
    const fingerprint = await fingerprinter(context);
    return {
      status: 'healthy',
      ...about,
      orgName: proof.orgName,
      ...(proof.missingScope === undefined ? {} : { missingScope: proof.missingScope }),
      ...(proof.warning === undefined ? {} : { warning: proof.warning }),
      tokenFingerprint: fingerprint(new Secret(token.accessToken)),
    };
  } catch (error) {
    if (!isGrantryError(error) || ['storage_unavailable', 'vault_sealed', 'internal'].includes(error.code)) throw error;
    const { code, message, action, reason } = error;
    const actionRequired = needsPerson.includes(code);
    return {
      status: 'unhealthy',
      ...about,
      error: code,
      message,
      action: withOwner(action, error, grant),
      ...(reason === undefined ? {} : { reason }),
      actionRequired,
    };
  }
}

/** A provider refuses the tokens of a user who left like any others, so the owner of the grant is named. */
function withOwner(action: string, { code, reason }: GrantryError, { metadata }: Grant): string {
  const refused = code === 'reauthorization_required' || code === 'refresh_uncertain' || reason === 'token_rejected';
  const owner = metadata['user_name'] ?? metadata['user_id'];
  if (!refused || typeof owner !== 'string') return action;
  return `${action} The consent is from ${owner}: check whether this user is still active at the provider.`;
}

/**
 * Refreshes a grant as any caller would: with its lease, and within the provider's budget. A grant in doubt is left alone: its
 * recovery knows when the token may be sent again.
 */
async function proveByRefresh(context: VaultContext, handOut: HandOut, key: CheckedKey): Promise<void> {
  const row = await findGrant(context.store.db, key);
  if (row === undefined) throw noSuchGrant(key);
  if (row.state === 'uncertain' || row.state === 'suspect') throw stillUncertain(context.times.suspectConfirmMs);
  await handOut.prove(key, row.generation);
}

interface Probed {
  readonly definition: ProviderDefinition;
  readonly grant: Grant;
  readonly isRefreshed: boolean;
}

type Proof = ProvenOrganization & { readonly missingScope?: string | undefined };

async function probe(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  { definition, grant, isRefreshed }: Probed,
): Promise<Proof> {
  const call = definition.api.health;
  if (call === undefined && isRefreshed) return { orgName: null };
  if (call === undefined) {
    // The definition has no health call, so only a refresh proves that the provider still honours the grant.
    const token = await handOut.hold(key);
    await handOut.prove(checkKey(key), token.generation);
    return { orgName: null };
  }
  const method = call.method ?? 'GET';
  const path = expand(definition, call.path, grant);
  const { answer: response, keptBecause } = await callApiTold(context, handOut, key, path, { method }, call);
  const body = await readJson(response);
  const answer: ApiAnswer = {
    status: response.status,
    wwwAuthenticate: response.headers.get('www-authenticate'),
    ...(body === undefined ? {} : { body }),
  };
  const rules = forCall(definition, call.path);
  const unread = async () => ({
    ...missing(call.scope),
    warning: await proveNamedOrganization(context, handOut, checkKey(key), definition),
  });
  if (isScopeMissing(rules, answer)) return unread();
  const isRejected = isInvalidToken(rules, answer);
  if (await isForScope(context, key, definition, { isRejected, status: response.status })) return unread();
  if (isRejected) {
    if (keptBecause !== undefined) throw keptBecause;
    // The token was replaced a moment ago, so it cannot be invalid.
    throw tokenRejected(answer, (await handOut.hold(key)).accessToken);
  }
  if (response.status >= 500 || response.status === 429) {
    throw new GrantryError('provider_unavailable', `The API answered with status ${response.status}.`);
  }
  if (!response.ok) throw new GrantryError('provider_error', `The API answered with status ${response.status}.`);
  return proveOrganization(context, handOut, checkKey(key), { definition, grant, body });
}

/** Asks the grant's own API whether it accepts a token. */
export async function askOwnApi(
  context: VaultContext,
  handOut: HandOut,
  key: CheckedKey,
  token: HeldToken,
): Promise<TokenVerdict> {
  const provider = await context.providers.require(key.provider);
  const call = provider.api.health;
  if (call === undefined) return 'unclear';
  try {
    const definition = forCall(provider, call.path);
    const { withoutOrganization } = call;
    const { dc = null, metadata } = token;
    const pathOrUrl = expand(definition, call.path, { dc, metadata: metadataOf({ metadata }) });
    const address = { context, handOut, key, definition, pathOrUrl, withoutOrganization };
    const answer = await askApi(address, token, call.method ?? 'GET');
    const isRejected = isInvalidToken(definition, answer);
    if (!isRejected) return answer.status < 300 ? 'accepted' : 'unclear';
    const { status } = answer;
    return (await isForScope(context, key, provider, { isRejected, status })) ? 'unclear' : answer;
  } catch (error) {
    if (isGrantryError(error)) return 'unclear';
    throw error;
  }
}

function missing(scope: string | undefined): { orgName: null; missingScope: string } {
  return { orgName: null, missingScope: scope ?? 'unknown' };
}

/**
 * Tells whether the API refuses the health call for its scope. Some products then answer as if the token were bad, others
 * with a plain 401 or 403.
 */
async function isForScope(
  context: VaultContext,
  key: GrantKey,
  definition: ProviderDefinition,
  { isRejected, status }: { isRejected: boolean; status: number },
): Promise<boolean> {
  const scope = definition.api.health?.scope;
  if (scope === undefined || !(isRejected || status === 401 || status === 403)) return false;
  const { hasScope } = await import('../../providers/scopes.ts');
  const grant = await getGrant(context, key);
  if (grant === null) return false;
  // Without a list of scopes only a plain 403 tells that the API knows the token.
  if (grant.scopes.length === 0) return !isRejected && status === 403;
  return !hasScope(definition, grant.scopes, scope);
}

async function readJson(response: Response): Promise<unknown> {
  const { bytes } = await readBounded(response.body, limits.apiPeekBytesMax);
  return jsonIn(bytes.toString('utf8'));
}
