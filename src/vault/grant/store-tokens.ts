import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { resolveDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { environmentNames, environmentOfHost, isUsual, resolveEnvironment } from '../../providers/environment.ts';
import { apiOrigin } from '../../providers/hosts.ts';
import { placeHash } from '../../providers/place.ts';
import { findGrant, type GrantRow, grantsWithRefreshToken } from '../../storage/statements/grants.ts';
import { appFor } from '../app/apps.ts';
import { checkScopes, checkSeconds, checkToken } from '../checks.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import type { Grant, StoredTokens, TokensInput } from '../types.ts';
import { checkHoldsNone, checkMetadata } from './check-metadata.ts';
import { describeGrant } from './grants.ts';
import type { NewAuthorization } from './put/new-authorization.ts';
import { type PutOptions, putAuthorization } from './put-authorization.ts';
import { decideStoring, keepStored, noRefreshToken, type StoringDecision, type StoringRules } from './stored-before.ts';

export interface StoreTokensOptions extends Pick<PutOptions, 'onlyNew' | 'within'>, Pick<StoringRules, 'isImport'> {
  /** If no app is named, an existing grant keeps its app, and a new one looks it up at its first refresh. */
  readonly appLater?: boolean;
  /** Decides and changes nothing. */
  readonly dryRun?: boolean;
}

/** Tokens that were handed in; without a refresh token, the stored one goes on. */
export type HandedTokens = Omit<TokensInput, 'refreshToken'> & {
  readonly refreshToken?: TokensInput['refreshToken'] | undefined;
};

/** The fate of handed-in tokens. A dry run for a new grant has none. */
export interface Storing extends Pick<StoringDecision, 'result' | 'differs'> {
  readonly grant: Grant | null;
  readonly sharedWith: readonly GrantKey[];
}

/** Stores tokens obtained elsewhere; see `Vault.storeTokens`. */
export async function storeTokens(context: VaultContext, key: GrantKey, input: TokensInput): Promise<StoredTokens> {
  if (input?.refreshToken === undefined) throw invalidRequest('The refresh token is missing.');
  const { grant, result, differs, sharedWith } = await handIn(context, key, input);
  if (grant === null) throw new GrantryError('internal', 'The tokens were not stored.');
  return { grant, result, differs, sharedWith };
}

/** Stores tokens obtained elsewhere, by the rules of an import or of a drop-in class. */
export async function handIn(
  context: VaultContext,
  key: GrantKey,
  input: HandedTokens,
  options: StoreTokensOptions = {},
): Promise<Storing> {
  const checked = checkKey(key);
  const definition = await context.providers.require(checked.provider);
  const news = await checkTokens(context, checked, definition, input, options);
  const rules = { replace: checkReplace(input.replace), isImport: options.isImport };
  let decision: StoringDecision = { result: 'imported', stores: true, differs: [] };
  const decide = async (row: GrantRow) => {
    decision = await decideStoring(context, row, news, rules);
    return decision;
  };
  const sharedWith = await holdersOf(context, checked, news.refreshToken);
  const old = await findGrant(context.store.db, checked);
  if (old === undefined && news.refreshToken === null) throw noRefreshToken(checked.tenant, checked.provider);
  if (options.dryRun === true) {
    if (old !== undefined) await decide(old);
    return { ...decision, grant: old === undefined ? null : await describeGrant(context, old), sharedWith };
  }
  const grant = await putAuthorization(context, checked, news, {
    ...options,
    keepStored: async (row) => {
      const { stores, result } = await decide(row);
      if (stores) return 'store';
      if (result !== 'unchanged' && result !== 'replaced') return row;
      return (await keepStored(context, row, news, rules)) ?? 'changed';
    },
  });
  return { ...decision, grant, sharedWith };
}

function checkReplace(replace: unknown): boolean | undefined {
  if (replace === undefined || typeof replace === 'boolean') return replace;
  throw invalidRequest('The member replace must be true or false.');
}

async function checkTokens(
  context: VaultContext,
  key: CheckedKey,
  definition: ProviderDefinition,
  input: HandedTokens,
  options: StoreTokensOptions,
): Promise<NewAuthorization> {
  if (input === null || typeof input !== 'object') throw invalidRequest('The tokens are missing.');
  const refreshToken = input.refreshToken === undefined ? null : checkToken('refresh token', input.refreshToken);
  const accessToken = input.accessToken === undefined ? null : checkToken('access token', input.accessToken);
  const lifetimeMax = limits.accessTokenLifetimeMsMax / 1_000;
  const expiresIn = input.expiresIn === undefined ? null : checkSeconds('expiresIn', input.expiresIn, lifetimeMax);
  const metadata = checkGrantMetadata(definition, input.metadata);
  checkHoldsNone(metadata, [refreshToken, accessToken]);
  const app = await appOf(context, key, input.app, options);
  return {
    ...app,
    refreshToken,
    // An access token without a known end is not kept: the first hand-out refreshes.
    accessToken: expiresIn === null ? null : accessToken,
    tokenType: null,
    ...lifeOf(context, definition, accessToken === null ? null : expiresIn),
    scopes: checkScopes(scopesOf(definition, input.scopes ?? [])),
    metadata,
    event: 'grant.stored',
    details: accessToken === null ? {} : { access_fingerprint: (await fingerprinter(context))(accessToken) },
  };
}

/**
 * The end of an access token that came from elsewhere, and the time of its issue. It is counted as having lived for as
 * long as the provider's tokens live: only a refresh of ours makes a token fresh.
 */
function lifeOf(context: VaultContext, definition: ProviderDefinition, expiresIn: number | null) {
  if (expiresIn === null) return { expiresAtMs: null, obtainedAtMs: null };
  const expiresAtMs = context.world.now() + expiresIn * 1_000;
  const issuedAtMs = expiresAtMs - definition.accessToken.lifetimeSeconds * 1_000;
  return { expiresAtMs, obtainedAtMs: Math.min(context.world.now(), issuedAtMs) };
}

/** Splits scopes at the provider's separator, if that is a comma: the form of its answers and of the stored column. */
function scopesOf(definition: ProviderDefinition, scopes: readonly string[]): readonly string[] {
  if (definition.scopeSeparator.trim() !== ',' || !Array.isArray(scopes)) return scopes;
  return scopes.flatMap((scope: string) =>
    /,/.test(scope) ? scope.split(',').filter((name) => name !== '') : [scope],
  );
}

/** The app that tokens are stored for, and the place where it is now: the caller means this one. */
async function appOf(
  context: VaultContext,
  key: CheckedKey,
  named: string | undefined,
  options: StoreTokensOptions,
): Promise<Pick<NewAuthorization, 'app' | 'place'>> {
  if (options.appLater !== true || named !== undefined) {
    const app = await appFor(context, { tenant: key.tenant, provider: key.provider, app: named });
    return { app: app.name, place: placeHash(await context.providers.require(key.provider), app) };
  }
  const row = await findGrant(context.store.db, key);
  return { app: row === undefined || row.state === 'disconnected' ? null : row.app };
}

/**
 * Checks a grant's metadata, and normalizes its data centre, API host and environment as in the provider's definition. A host
 * that only one environment has names it.
 */
export function checkGrantMetadata(definition: ProviderDefinition, value: unknown): Record<string, unknown> {
  const metadata = checkMetadata(value);
  if (metadata['dc'] !== undefined) metadata['dc'] = checkDc(definition, metadata['dc']);
  if (metadata['api_domain'] !== undefined) metadata['api_domain'] = checkApiDomain(definition, metadata['api_domain']);
  const byHost = environmentOfHost(definition, metadata['api_domain']);
  // At a provider without environments the member is a person's own.
  if (metadata['environment'] !== undefined && environmentNames(definition).length > 0) {
    metadata['environment'] = resolveEnvironment(definition, metadata['environment']);
  } else if (byHost !== null && !isUsual(definition, byHost)) metadata['environment'] = byHost;
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
async function holdersOf(context: VaultContext, key: CheckedKey, refreshToken: Secret | null): Promise<GrantKey[]> {
  if (refreshToken === null) return [];
  const fingerprint = (await fingerprinter(context))(refreshToken);
  const holders = await grantsWithRefreshToken(context.store.db, fingerprint);
  return holders
    .map((row) => ({ tenant: row.client_id, provider: row.provider, account: row.account }))
    .filter((other) => other.tenant !== key.tenant || other.provider !== key.provider || other.account !== key.account);
}
