import { GrantryError, invalidRequest, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, newRandomText } from '../../base/ids.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import type { Secret } from '../../base/secret.ts';
import { readTokenAnswer } from '../../oauth/answer.ts';
import { enhancementTokenOf, enhancementUrl, sendEnhancement } from '../../oauth/enhance.ts';
import type { OAuthClient } from '../../oauth/types.ts';
import { grantDc } from '../../providers/data-centre.ts';
import { hasScope } from '../../providers/scopes.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import { assumedScopes } from '../../storage/statements/grant-scopes.ts';
import { findGrant, type GrantRow, metadataOf, scopesOfRow } from '../../storage/statements/grants.ts';
import { type CheckedScopes, lintedScopes, reasonsOf } from '../app/app-scopes.ts';
import { appFor, clientOf } from '../app/apps.ts';
import type { VaultContext } from '../context.ts';
import { deadlineSignal } from '../deadline.ts';
import { naming } from '../grant/altered.ts';
import { missingGrant } from '../grant/missing.ts';
import { providerFailure } from '../grant/provider-failures.ts';
import { noSuchGrant } from '../grant/refusals.ts';
import { openToken } from '../grant/tokens.ts';
import type { Wanted } from '../organization/wanted.ts';
import { unreached } from '../unreached.ts';
import { prepareAuthorization, requestRow } from './authorize.ts';

/** Scopes that an existing grant is to gain. */
export interface Addition extends CheckedScopes {
  readonly app: AppRow;
  /** The scopes that the grant lacks, or that no answer of the provider has named. */
  readonly adds: readonly string[];
}

/**
 * Decides what an existing grant gains: `scopes` are those that it has and the new ones.
 *
 * @throws {GrantryError} `grant_not_found`; `invalid_request` when it has them all for certain
 */
export async function additionFor(
  context: VaultContext,
  key: CheckedKey,
  wanted: { app?: string | undefined; addScopes: readonly string[] },
): Promise<Addition> {
  const row = await findGrant(context.store.db, key);
  if (row === undefined) throw await missingGrant(context, key);
  if (row.state === 'disconnected') throw noSuchGrant(key);
  const app = await appFor(context, { ...key, app: wanted.app ?? row.app });
  const definition = await context.providers.require(key.provider);
  const { scopes: given, warnings } = await lintedScopes(definition, wanted.addScopes, reasonsOf(app));
  const has = scopesOfRow(row);
  // An assumed scope may be asked for again: no answer has shown that the user granted it.
  const assumed = await assumedScopes(context.store.db, { tenant: row.client_id, grantId: row.id });
  const confirmed = has.filter((scope) => !assumed.includes(scope));
  const adds = given.filter((scope) => !hasScope(definition, confirmed, scope));
  if (adds.length === 0) {
    throw invalidRequest(`The grant of ${key.tenant} at ${key.provider} has these scopes already.`, {
      action: 'Name the scopes that it lacks; grantry show prints those that it has.',
    });
  }
  return { app, adds, scopes: [...new Set([...has, ...adds])], warnings };
}

/** A started request for scopes: an address for the browser, and the row that waits for it. */
type Prepared = Awaited<ReturnType<typeof prepareAuthorization>> & {
  /** True if the refresh token stays and gains the scopes; false for a new consent. */
  readonly keepsToken: boolean;
};

/**
 * Prepares a request for more scopes. Where the provider can, the grant's refresh token gains them: it takes no further
 * place among the user's tokens. Elsewhere, and for a token that the provider refuses, it is a new consent with all scopes.
 *
 * @throws {GrantryError} `provider_throttled`, `provider_unavailable`, `grant_quarantined`, and as {@link prepareAuthorization}
 */
export async function prepareAddition(
  context: VaultContext,
  input: {
    key: CheckedKey;
    app: AppRow;
    scopes: readonly string[];
    adds: readonly string[];
    redirectUri: string;
    session: string | null;
  } & Wanted,
): Promise<Prepared> {
  const { key, app, adds } = input;
  const definition = await context.providers.require(key.provider);
  const row = await findGrant(context.store.db, key);
  const isEnhanceable =
    definition.scopeEnhancement !== undefined &&
    row?.state === 'active' &&
    row.app === app.name &&
    row.refresh_token !== null;
  if (isEnhanceable) {
    const dc = grantDc({ definition, metadata: metadataOf(row), app });
    const client = await clientOf(context, definition, app, dc);
    const token = await askForToken(context, client, row);
    if (token !== null) {
      await context.providers.demandsIssuer(definition);
      const state = newRandomText(context.world);
      const url = enhancementUrl(client, { token, scopes: adds, redirectUri: input.redirectUri, state });
      const enhancement: Enhancement = { scopes: adds, fingerprint: row.refresh_fingerprint };
      // It names neither environment nor organisation: those of the grant stay.
      const request = { ...input, state, dc, environment: null, expectOrganization: null };
      const asked = { ...requestRow(context, definition, request), verifier: null };
      return { url, state, row: { ...asked, enhances: JSON.stringify(enhancement) }, keepsToken: true };
    }
  }
  return { ...(await prepareAuthorization(context, input)), keepsToken: false };
}

/** The request of an enhancement, as its row holds it. */
export interface Enhancement {
  readonly scopes: readonly string[];
  /** The fingerprint of the refresh token that gains them. */
  readonly fingerprint: string | null;
}

/** Reads the request of an enhancement; null for a new consent. */
export function enhancementIn(row: { readonly enhances: string | null }): Enhancement | null {
  // Only `prepareAddition` writes this column, and its row has a MAC.
  return row.enhances === null ? null : (JSON.parse(row.enhances) as Enhancement);
}

/** Asks the provider for the token of its page; null if it refuses, which proves nothing against the grant. */
async function askForToken(context: VaultContext, client: OAuthClient, row: GrantRow): Promise<Secret | null> {
  await context.guard.assertMayRefresh();
  const tenantKeys = await context.keys.pin(row.client_id, { fresh: true });
  const refreshToken = await naming(context, row, async () => openToken(tenantKeys, row, 'refresh_token'));
  if (refreshToken === null) return null;
  const { definition, dc } = client;
  const deadline = deadlineSignal(context, context.times.callerWaitMs);
  const raw = await sendEnhancement(context.world, client, { refreshToken, signal: deadline.signal })
    .catch((error: unknown) => {
      if (isGrantryError(error)) throw error;
      const text = 'The provider did not answer the request for more scopes.';
      if (error instanceof NotSentError) throw unreached(error, text, context.times.retryBackOffMs);
      throw new GrantryError('provider_unavailable', text, { cause: error });
    })
    .finally(() => deadline.clear());
  const token = enhancementTokenOf(client, raw);
  if (token !== null) return token;
  const sent = [refreshToken, client.clientSecret].filter((secret) => secret !== null);
  const outcome = readTokenAnswer(definition, raw, 'refresh', { now: context.world.now(), sent });
  const { client_id: tenant, provider, app } = row;
  if (outcome.kind === 'refused' && (outcome.class === 'throttled' || outcome.class === 'unavailable')) {
    throw providerFailure(outcome.class, outcome, { provider, app, dc }, outcome.retryAfterMs ?? undefined);
  }
  const error = outcome.kind === 'refused' ? outcome.error : null;
  context.logger.warn('the provider adds no scopes to the refresh token: a new consent is asked for', {
    tenant,
    provider,
    error,
  });
  return null;
}
