import { invalidRequest } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { resolveDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { apiOrigin } from '../../providers/hosts.ts';
import { findEvent } from '../../storage/statements/events.ts';
import { findGrant, type GrantRow, grantsWithRefreshToken } from '../../storage/statements/grants.ts';
import { appFor } from '../app/apps.ts';
import { checkMetadata, checkScopes, checkSeconds, checkToken } from '../checks.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import type { Grant, StoredTokens, TokensInput } from '../types.ts';

import { type NewAuthorization, type PutOptions, putAuthorization } from './put-authorization.ts';

export interface StoreTokensOptions extends Pick<PutOptions, 'onlyNew' | 'within'> {
  /** If no app is named, an existing grant keeps its app, and a new one looks it up at its first refresh. */
  readonly appLater?: boolean;
}

/** Stores tokens obtained elsewhere; see `Vault.storeTokens`. */
export async function storeTokens(
  context: VaultContext,
  key: GrantKey,
  input: TokensInput,
  options: StoreTokensOptions = {},
): Promise<StoredTokens> {
  const checked = checkKey(key);
  const definition = await context.providers.require(checked.provider);
  const authorization = await checkTokens(context, checked, definition, input, options);
  const grant = await putAuthorization(context, checked, authorization, {
    ...options,
    isSameAuthorization: (row) => isSameAuthorization(context, definition, row, authorization),
  });
  return { grant, sharedWith: await holdersOf(context, grant, authorization.refreshToken) };
}

/**
 * True if the tokens belong to the stored authorization. The stored tokens are then kept. The stored refresh token may
 * be the new one's successor. If tokens rotate, the new one is then spent, and storing it would end the grant. While a
 * refresh is under way or its outcome is unknown, the new token is being spent, and the new access token is the older
 * one.
 */
async function isSameAuthorization(
  context: VaultContext,
  definition: ProviderDefinition,
  row: GrantRow,
  authorization: NewAuthorization,
): Promise<boolean> {
  const { refreshToken, accessToken, app } = authorization;
  if (refreshToken === null) return false;
  if (!['active', 'uncertain', 'suspect'].includes(row.state) || row.app !== app) return false;
  const fingerprint = (await fingerprinter(context))(refreshToken);
  if (row.refresh_fingerprint !== fingerprint) return (await firstFingerprint(context, row)) === fingerprint;
  if (accessToken === null) return true;
  if (definition.refreshToken.rotation === 'none') return false;
  return row.state !== 'active' || (row.lease_until ?? 0) > (await context.store.nowMs());
}

/** The fingerprint of the first refresh token of a grant's current authorization. */
async function firstFingerprint(context: VaultContext, row: GrantRow): Promise<unknown> {
  const stored = await findEvent(context.store.db, {
    tenant: row.client_id,
    grantId: row.id,
    generation: row.authorized_generation,
    types: ['grant.stored', 'grant.connected'],
  });
  // Only `changing` writes this column, as an object.
  const details = stored === undefined ? {} : (JSON.parse(stored.details) as Record<string, unknown>);
  return details['fingerprint'];
}

async function checkTokens(
  context: VaultContext,
  key: CheckedKey,
  definition: ProviderDefinition,
  input: TokensInput,
  options: StoreTokensOptions,
): Promise<NewAuthorization> {
  if (input === null || typeof input !== 'object') throw invalidRequest('The tokens are missing.');
  const refreshToken = checkToken('refresh token', input.refreshToken);
  const accessToken = input.accessToken === undefined ? null : checkToken('access token', input.accessToken);
  const lifetimeMax = limits.accessTokenLifetimeMsMax / 1_000;
  const expiresIn = input.expiresIn === undefined ? null : checkSeconds('expiresIn', input.expiresIn, lifetimeMax);
  const metadata = checkGrantMetadata(definition, input.metadata);
  return {
    app: await appNameFor(context, key, input.app, options),
    refreshToken,
    // An access token without a known end is not kept: the first hand-out refreshes.
    accessToken: expiresIn === null ? null : accessToken,
    tokenType: null,
    expiresAtMs: accessToken === null || expiresIn === null ? null : context.world.now() + expiresIn * 1_000,
    scopes: checkScopes(input.scopes ?? []),
    metadata,
    event: 'grant.stored',
  };
}

async function appNameFor(
  context: VaultContext,
  key: CheckedKey,
  named: string | undefined,
  options: StoreTokensOptions,
): Promise<string | null> {
  if (options.appLater !== true || named !== undefined) {
    return (await appFor(context, { tenant: key.tenant, provider: key.provider, app: named })).name;
  }
  const row = await findGrant(context.store.db, key);
  return row === undefined || row.state === 'disconnected' ? null : row.app;
}

/** Checks a grant's metadata, and normalizes its data centre and API host as in the provider's definition. */
export function checkGrantMetadata(definition: ProviderDefinition, value: unknown): Record<string, unknown> {
  const metadata = checkMetadata(value);
  if (metadata['dc'] !== undefined) metadata['dc'] = checkDc(definition, metadata['dc']);
  if (metadata['api_domain'] !== undefined) metadata['api_domain'] = checkApiDomain(definition, metadata['api_domain']);
  return metadata;
}

function checkDc(definition: ProviderDefinition, dc: unknown): string {
  if (typeof dc !== 'string') throw invalidRequest('metadata.dc must be a string.');
  return resolveDc(definition, dc);
}

function checkApiDomain(definition: ProviderDefinition, apiDomain: unknown): string {
  const accepted = apiOrigin(definition, apiDomain);
  if (accepted !== null) return accepted;
  throw invalidRequest(`metadata.api_domain is not a host of ${definition.id}.`);
}

/** Lists other grants with the same refresh token: they share the provider's limits with this one and end with it. */
async function holdersOf(context: VaultContext, grant: Grant, refreshToken: Secret | null): Promise<GrantKey[]> {
  if (refreshToken === null) return [];
  const fingerprint = (await fingerprinter(context))(refreshToken);
  const holders = await grantsWithRefreshToken(context.store.db, fingerprint);
  return holders
    .map((row) => ({ tenant: row.client_id, provider: row.provider, account: row.account }))
    .filter((key) => key.tenant !== grant.tenant || key.provider !== grant.provider || key.account !== grant.account);
}
