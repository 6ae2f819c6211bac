import { createHash } from 'node:crypto';
import { GrantryError, isGrantryError } from '../base/errors.ts';
import { type CheckedKey, checkKey, checkName, type GrantKey, newRandomText } from '../base/ids.ts';
import { Secret } from '../base/secret.ts';
import { NotSentError } from '../base/world.ts';
import { readTokenAnswer } from '../oauth/answer.ts';
import { authorizationUrl } from '../oauth/authorization-url.ts';
import { type AuthorizationCallback, captureCallback, checkIssuer, readCallback } from '../oauth/callback.ts';
import { AnswerLostError, sendExchange } from '../oauth/requests.ts';
import type { RawAnswer, TokenOutcome, TokenSet } from '../oauth/types.ts';
import { dcOfCallback, grantDc, resolveDc } from '../providers/data-centre.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { compareScopes } from '../providers/scopes.ts';
import { type AppRow } from '../storage/apps.ts';
import {
  type AuthorizationRow,
  findAuthorization,
  insertAuthorization,
  takeAuthorization,
} from '../storage/authorizations.ts';
import { appFor, clientOf } from './apps.ts';
import { checkRedirectUri, checkScopes } from './checks.ts';
import type { VaultContext } from './context.ts';
import { putAuthorization } from './store-tokens.ts';
import type { AuthorizeInput, Grant } from './types.ts';
import { deadlineSignal } from './wait.ts';

/**
 * Starts an authorization code flow (RFC 6749 section 4.1 with PKCE, RFC 7636): where to send the tenant's user.
 *
 * @throws {GrantryError} `invalid_request`, `not_found` for provider or app
 */
export async function authorize(context: VaultContext, input: AuthorizeInput): Promise<{ url: string; state: string }> {
  const key = checkKey(input);
  const redirectUri = checkRedirectUri(input.redirectUri);
  const definition = await context.providers.require(key.provider);
  const app = await appFor(context, { ...key, app: input.app });
  const scopes = input.scopes === undefined ? appScopes(app) : checkScopes(input.scopes);
  const dc = grantDc({ definition, metadata: {}, app });
  const client = await clientOf(context, definition, app, dc);
  const state = newRandomText(context.world);
  const verifier = definition.pkce === 'off' ? null : new Secret(newRandomText(context.world));
  const stateHash = hashOf(state);
  const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
  await insertAuthorization(context.store.db, context.store.now(), {
    state_hash: stateHash,
    client_id: key.tenant,
    provider: key.provider,
    account: key.account,
    app: app.name,
    verifier: verifier === null ? null : tenantKeys.seal(verifierPlace(stateHash), verifier),
    redirect_uri: redirectUri,
    scopes: JSON.stringify(scopes),
    dc,
    issuer: definition.issuer ?? null,
    connect_session_id: null,
    lifeMs: context.times.authorizationMs,
  });
  return { url: authorizationUrl(client, { state, scopes, redirectUri, codeVerifier: verifier }), state };
}

/**
 * Finishes an authorization code flow with the URL that the user came back to, and stores the grant.
 *
 * The state is taken once; of several callbacks with the same state exactly one counts. A code is exchanged once: an
 * exchange whose outcome is unknown means starting again.
 *
 * @throws {GrantryError} `authorization_failed`, `invalid_request`, `provider_misconfigured`, `provider_unavailable`
 */
export async function completeAuthorization(context: VaultContext, callbackUrl: string | URL): Promise<Grant> {
  if (typeof callbackUrl !== 'string' && !(callbackUrl instanceof URL)) {
    throw new GrantryError('invalid_request', 'The callback must be given as its whole URL.');
  }
  const callback = readCallback(String(callbackUrl));
  const row = await takeState(context, callback);
  const definition = await context.providers.require(row.provider);
  const key: CheckedKey = { tenant: row.client_id, provider: row.provider, account: row.account };
  checkCallback(definition, row, callback, callbackUrl);
  const code = codeOf(callback);
  const app = await appFor(context, { ...key, app: row.app });
  const dc = dcOfCallback(definition, callback.parameters) ?? row.dc;
  // Another process may have started this flow, with keys that this one has not seen.
  const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
  const codeVerifier = row.verifier === null ? null : tenantKeys.open(verifierPlace(row.state_hash), row.verifier);
  const tokens = await exchange(context, definition, app, dc, { code, redirectUri: row.redirect_uri, codeVerifier });
  // Written by `authorize` alone, as an array of strings.
  const asked = JSON.parse(row.scopes) as string[];
  const captured = captureCallback(definition, callback).metadata;
  return keepTokens(context, { key, definition, app, dc, tokens, asked, captured });
}

/**
 * Redeems a code that was made without a redirect, such as a Zoho self client's, and stores the grant.
 *
 * @throws {GrantryError} as {@link completeAuthorization}
 */
export async function redeemCode(
  context: VaultContext,
  keyInput: GrantKey,
  input: { code: Secret; app?: string | undefined; dc?: string | undefined },
): Promise<Grant> {
  const key = checkKey(keyInput);
  if (!(input?.code instanceof Secret))
    throw new GrantryError('invalid_request', 'The code must be given as a Secret.');
  const definition = await context.providers.require(key.provider);
  const named = input.app === undefined ? undefined : checkName('app', input.app);
  const app = await appFor(context, { ...key, app: named });
  const dc = input.dc === undefined ? grantDc({ definition, metadata: {}, app }) : resolveDc(definition, input.dc);
  const request = { code: input.code, redirectUri: null, codeVerifier: null };
  const tokens = await exchange(context, definition, app, dc, request);
  return keepTokens(context, { key, definition, app, dc, tokens, asked: [], captured: {} });
}

async function takeState(context: VaultContext, callback: AuthorizationCallback): Promise<AuthorizationRow> {
  const stateHash = hashOf(callback.state);
  const row = await takeAuthorization(context.store.db, context.store.now(), stateHash);
  if (row !== undefined) return row;
  const known = await findAuthorization(context.store.db, stateHash);
  if (known === undefined) throw failed('This callback belongs to no authorization request that was started here.');
  if (known.used_at !== null) throw failed('This authorization request was completed already.');
  throw failed('This authorization request took too long and has expired.');
}

function checkCallback(
  definition: ProviderDefinition,
  row: AuthorizationRow,
  callback: AuthorizationCallback,
  callbackUrl: string | URL,
): void {
  const url = new URL(callbackUrl);
  const expected = new URL(row.redirect_uri);
  if (url.origin !== expected.origin || url.pathname !== expected.pathname) {
    throw failed('The callback arrived at another address than this authorization request named.');
  }
  const issParameterSupported = definition.callback?.issuerAlwaysSent === true;
  checkIssuer(callback, { issuer: row.issuer, issParameterSupported });
}

function codeOf(callback: AuthorizationCallback): Secret {
  if (callback.error !== null) {
    const declined = callback.error === 'access_denied';
    throw failed(declined ? 'The consent was declined.' : `The provider ended the authorization (${callback.error}).`);
  }
  if (callback.code === null) throw failed('The callback holds neither a code nor an error.');
  return callback.code;
}

async function exchange(
  context: VaultContext,
  definition: ProviderDefinition,
  app: AppRow,
  dc: string | null,
  request: { code: Secret; redirectUri: string | null; codeVerifier: Secret | null },
): Promise<TokenSet> {
  const client = await clientOf(context, definition, app, dc);
  const raw = await sendCode(context, () => {
    const deadline = deadlineSignal(context, context.times.callerWaitMs);
    const options = { ...request, signal: deadline.signal, beforeSend: () => {} };
    return sendExchange(context.world, client, options).finally(() => deadline.clear());
  });
  const outcome = readTokenAnswer(definition, raw, 'exchange', context.world.now());
  if (outcome.kind === 'tokens') return outcome.tokens;
  if (outcome.kind === 'unknown') throw failed('The provider gave no usable answer to the code.');
  throw refusal(outcome);
}

/** A refused code is over: whatever the reason, the flow starts again once that is mended. */
function refusal(outcome: Extract<TokenOutcome, { kind: 'refused' }>): GrantryError {
  const said = outcome.error === null ? `status ${outcome.status}` : outcome.error;
  const retryAfterMs = outcome.retryAfterMs ?? undefined;
  if (outcome.class === 'client_refused') {
    return new GrantryError('provider_misconfigured', `The provider refuses this app (${said}).`);
  }
  if (outcome.class === 'throttled') {
    return new GrantryError('provider_throttled', `The provider takes no more codes now (${said}).`, { retryAfterMs });
  }
  if (outcome.class === 'scope_refused') {
    return new GrantryError('insufficient_scope', `The provider refuses the scope (${said}).`);
  }
  return failed(`The provider did not accept the code (${said}).`);
}

async function sendCode(context: VaultContext, send: () => Promise<RawAnswer>): Promise<RawAnswer> {
  try {
    return await send();
  } catch (error) {
    if (isGrantryError(error)) throw error;
    if (error instanceof NotSentError) {
      throw new GrantryError('provider_unavailable', 'The provider cannot be reached.', {
        cause: error,
        retryAfterMs: context.times.retryBackOffMs,
      });
    }
    // A second exchange of the same code makes a good server revoke what the first one gave (RFC 6749 section 4.1.2).
    const lost = error instanceof AnswerLostError;
    throw failed(lost ? "The provider's answer to the code was lost." : 'The exchange of the code failed.', error);
  }
}

interface Exchanged {
  key: CheckedKey;
  definition: ProviderDefinition;
  app: AppRow;
  dc: string | null;
  tokens: TokenSet;
  asked: readonly string[];
  captured: Readonly<Record<string, string>>;
}

async function keepTokens(context: VaultContext, exchanged: Exchanged): Promise<Grant> {
  const { key, definition, app, dc, tokens, asked, captured } = exchanged;
  const scopes = tokens.scopes ?? asked;
  const difference = compareScopes(definition, asked, scopes);
  return putAuthorization(context, key, {
    app: app.name,
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    tokenType: tokens.tokenType,
    expiresAtMs: tokens.expiresAt,
    scopes,
    metadata: { ...captured, ...tokens.metadata, ...(dc === null ? {} : { dc }) },
    event: 'grant.connected',
    details: { narrower: difference.missing.join(',') || null, wider: difference.extra.join(',') || null },
  });
}

function appScopes(app: AppRow): string[] {
  // Written by `putAppOf` alone, as an array of strings.
  return JSON.parse(app.scopes) as string[];
}

/** Only the hash of a state is stored: a thief of the database cannot finish a flow. */
function hashOf(state: string): string {
  return createHash('sha256').update(state).digest('hex');
}

function verifierPlace(stateHash: string) {
  return { table: 'grantry_authorizations', row: stateHash, column: 'verifier', generation: 0 };
}

function failed(message: string, cause?: unknown): GrantryError {
  return new GrantryError('authorization_failed', message, { cause });
}
