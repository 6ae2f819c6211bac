import { createHash } from 'node:crypto';
import { invalidRequest } from '../../base/errors.ts';
import { type CheckedKey, checkKey, checkName, type GrantKey, newRandomText } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { authorizationUrl } from '../../oauth/authorization-url.ts';
import { type AuthorizationCallback, captureCallback, checkIssuer, readCallback } from '../../oauth/callback.ts';
import { dcOfCallback, grantDc, resolveDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { compareScopes } from '../../providers/scopes.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import {
  type AuthorizationRow,
  findAuthorization,
  insertAuthorization,
  takeAuthorization,
} from '../../storage/statements/authorizations.ts';
import { appFor, clientOf } from '../app/apps.ts';
import { changing } from '../changing.ts';
import { checkRedirectUri, checkScopes, isObject } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { type NewAuthorization, putAuthorization } from '../grant/put-authorization.ts';
import type { AuthorizeInput, Grant } from '../types.ts';
import { exchangeCode, failed, type RedeemedTokens } from './exchange.ts';

/**
 * Starts an authorization code flow (RFC 6749 section 4.1 with PKCE, RFC 7636). Returns the URL to send the tenant's
 * user to.
 *
 * @throws {GrantryError} `invalid_request`, `not_found` for provider or app
 */
export async function authorize(context: VaultContext, input: AuthorizeInput): Promise<{ url: string; state: string }> {
  const key = checkKey(input);
  const redirectUri = checkRedirectUri(input.redirectUri);
  const app = await appFor(context, { ...key, app: input.app });
  const scopes = input.scopes === undefined ? appScopes(app) : checkScopes(input.scopes);
  const { url, state, row } = await prepareAuthorization(context, { key, app, scopes, redirectUri, session: null });
  await changing(context, ({ tx }) => insertAuthorization(tx, row));
  return { url, state };
}

/** Prepares an authorization request. The caller writes the returned row to the database. */
export async function prepareAuthorization(
  context: VaultContext,
  input: {
    key: CheckedKey;
    app: AppRow;
    scopes: readonly string[];
    redirectUri: string;
    /** The connect session that started the request, or null. */
    session: string | null;
  },
): Promise<{ url: string; state: string; row: Parameters<typeof insertAuthorization>[1] }> {
  const { key, app, scopes, redirectUri } = input;
  const definition = await context.providers.require(key.provider);
  const dc = grantDc({ definition, metadata: {}, app });
  const client = await clientOf(context, definition, app, dc);
  const state = newRandomText(context.world);
  const codeVerifier = definition.pkce === 'off' ? null : new Secret(newRandomText(context.world));
  const stateHash = hashText(state);
  const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
  const row = {
    state_hash: stateHash,
    ...key,
    app: app.name,
    verifier: codeVerifier === null ? null : tenantKeys.seal(verifierPlace(stateHash), codeVerifier),
    redirect_uri: redirectUri,
    scopes: JSON.stringify(scopes),
    dc,
    issuer: definition.issuer ?? null,
    provider_hash: providerHash(definition),
    connect_session_id: input.session,
    lifeMs: context.times.authorizationMs,
  };
  return { url: authorizationUrl(client, { state, scopes, redirectUri, codeVerifier }), state, row };
}

/**
 * Finishes an authorization code flow with the URL that the user returned to, and stores the grant.
 *
 * A state is used once: of several callbacks with the same state exactly one counts. A code is exchanged once: after an
 * exchange with an unknown outcome, the flow must start again. A flow of a connect session is finished only at the
 * server, by the browser that it is bound to.
 *
 * @throws {GrantryError} `authorization_failed`, `invalid_request`, `provider_misconfigured`, `provider_unavailable`
 */
export async function completeAuthorization(context: VaultContext, callbackUrl: string | URL): Promise<Grant> {
  if (typeof callbackUrl !== 'string' && !(callbackUrl instanceof URL)) {
    throw invalidRequest('The callback must be the whole URL, with its query.');
  }
  const callback = readCallback(String(callbackUrl));
  const stateHash = hashText(callback.state);
  const known = await findAuthorization(context.store.db, stateHash);
  if (known === undefined) throw failed('No authorization request of this vault has the state of this callback.');
  if (known.used_at !== null) throw failed('This authorization request was already completed.');
  if (known.expires_at <= (await context.store.nowMs())) throw failed('This authorization request has expired.');
  if (known.connect_session_id !== null) {
    throw failed(
      'This authorization request belongs to a connect link. Only the browser that opened the link can finish it.',
    );
  }
  const row = await changing(context, ({ tx }) => takeAuthorization(tx, stateHash));
  if (row === undefined) throw failed('This authorization request was already completed.');
  const url = new URL(callbackUrl);
  const expected = new URL(row.redirect_uri);
  if (url.origin !== expected.origin || url.pathname !== expected.pathname) {
    throw failed("The callback's address is not the redirect URI of this authorization request.");
  }
  const exchanged = await redeemCallback(context, row, callback, await trustCallback(context, row, callback));
  return putAuthorization(context, exchanged.key, authorizationOf(exchanged));
}

/** The origin of the code in a callback that was checked. */
export interface TrustedCallback {
  readonly definition: ProviderDefinition;
  readonly dc: string | null;
}

/**
 * Checks that a callback comes from the provider of its request: its issuer, its data centre, and that the provider's
 * endpoints are unchanged. A callback with an error is checked as well.
 *
 * @throws {GrantryError} `authorization_failed`
 */
export async function trustCallback(
  context: VaultContext,
  row: Omit<AuthorizationRow, 'verifier'>,
  callback: AuthorizationCallback,
): Promise<TrustedCallback> {
  const definition = await context.providers.require(row.provider);
  if (providerHash(definition) !== row.provider_hash) {
    throw failed("The provider's endpoints changed during this authorization.");
  }
  const issParameterSupported = definition.callback?.issuerAlwaysSent === true;
  checkIssuer(callback, { issuer: row.issuer, issParameterSupported });
  return { definition, dc: dcOfCallback(definition, callback.parameters) ?? row.dc };
}

/** The tokens that a code was exchanged for, with the facts that storing them needs. */
export interface Exchanged {
  readonly key: CheckedKey;
  readonly definition: ProviderDefinition;
  readonly app: AppRow;
  readonly dc: string | null;
  readonly tokens: RedeemedTokens;
  readonly asked: readonly string[];
  readonly captured: Readonly<Record<string, string>>;
}

/**
 * Exchanges the code of a callback. The caller has used up the callback's request.
 *
 * @throws {GrantryError} `authorization_failed` for a callback without a code, and as {@link exchangeCode}
 */
export async function redeemCallback(
  context: VaultContext,
  row: AuthorizationRow,
  callback: AuthorizationCallback,
  { definition, dc }: TrustedCallback,
): Promise<Exchanged> {
  const key: CheckedKey = { tenant: row.tenant, provider: row.provider, account: row.account };
  const code = callbackCode(callback);
  const app = await appFor(context, { ...key, app: row.app });
  // Another process may have started this flow with newer keys.
  const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
  const codeVerifier = row.verifier === null ? null : tenantKeys.open(verifierPlace(row.state_hash), row.verifier);
  const request = { code, redirectUri: row.redirect_uri, codeVerifier };
  const tokens = await exchangeCode(context, definition, app, dc, request);
  // Only `prepareAuthorization` writes this column, as an array of strings.
  const asked = JSON.parse(row.scopes) as string[];
  return { key, definition, app, dc, tokens, asked, captured: captureCallback(definition, callback).metadata };
}

/**
 * Redeems a code without a redirect, such as a Zoho self client's, and stores the grant.
 *
 * @throws {GrantryError} as {@link completeAuthorization}
 */
export async function redeemCode(
  context: VaultContext,
  keyInput: GrantKey,
  input: { code: Secret; app?: string | undefined; dc?: string | undefined },
): Promise<Grant> {
  const key = checkKey(keyInput);
  if (!(input?.code instanceof Secret)) throw invalidRequest('The code must be a Secret.');
  const definition = await context.providers.require(key.provider);
  const named = input.app === undefined ? undefined : checkName('app', input.app);
  const app = await appFor(context, { ...key, app: named });
  const dc = input.dc === undefined ? grantDc({ definition, metadata: {}, app }) : resolveDc(definition, input.dc);
  const request = { code: input.code, redirectUri: null, codeVerifier: null };
  const tokens = await exchangeCode(context, definition, app, dc, request);
  return putAuthorization(context, key, authorizationOf({ key, definition, app, dc, tokens, asked: [], captured: {} }));
}

/** The granted scopes, compared with the requested ones. */
export interface GrantedScopes {
  readonly scopes: readonly string[];
  readonly narrower: readonly string[];
  readonly wider: readonly string[];
}

/** Compares the granted scopes with the requested ones. */
export function scopesOf({ definition, tokens, asked }: Exchanged): GrantedScopes {
  const scopes = tokens.scopes ?? asked;
  const { missing, extra } = compareScopes(definition, asked, scopes);
  return { scopes, narrower: missing, wider: extra };
}

/** Makes the authorization to store from exchanged tokens, with the details of its event. */
export function authorizationOf(exchanged: Exchanged): NewAuthorization {
  const { app, dc, tokens, captured } = exchanged;
  const { scopes, narrower, wider } = scopesOf(exchanged);
  return {
    app: app.name,
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    tokenType: tokens.tokenType,
    expiresAtMs: tokens.expiresAt,
    scopes,
    metadata: { ...captured, ...tokens.metadata, ...(dc === null ? {} : { dc }) },
    event: 'grant.connected',
    details: { narrower: narrower.join(',') || null, wider: wider.join(',') || null },
  };
}

function callbackCode(callback: AuthorizationCallback): Secret {
  if (callback.error !== null) {
    const declined = callback.error === 'access_denied';
    throw failed(
      declined ? 'The user declined the consent.' : `The provider refused the authorization (${callback.error}).`,
    );
  }
  if (callback.code === null) throw failed('The callback has neither a code nor an error.');
  return callback.code;
}

/** The scopes that an app requests by default. */
export function appScopes(app: AppRow): string[] {
  // Only `putAppOf` writes this column, as an array of strings.
  return JSON.parse(app.scopes) as string[];
}

/** Hashes a state, link, cookie or completion code, so that a thief of the database cannot finish a flow. */
export function hashText(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Hashes a provider's endpoints: a code must be redeemed where its request was sent (RFC 9700 section 4.4). */
function providerHash({ issuer, endpoints, dataCenters, clientAuthentication }: ProviderDefinition): string {
  // Sorted, because PostgreSQL reorders the members of an object.
  const sorted = (_: string, value: unknown): unknown =>
    isObject(value) ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) : value;
  return hashText(JSON.stringify({ issuer, endpoints, dataCenters, clientAuthentication }, sorted));
}

function verifierPlace(stateHash: string) {
  return { table: 'grantry_authorizations', row: stateHash, column: 'verifier', generation: 0 };
}
