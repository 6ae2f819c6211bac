import { createHash } from 'node:crypto';
import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, checkName, type GrantKey, newRandomText } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { authorizationUrl } from '../../oauth/authorization-url.ts';
import { type AuthorizationCallback, captureCallback, checkIssuer, readCallback } from '../../oauth/callback.ts';
import type { TokenSet } from '../../oauth/types.ts';
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
import { type NewAuthorization, putAuthorization } from '../grant/store-tokens.ts';
import type { AuthorizeInput, Grant } from '../types.ts';
import { exchangeCode, failed } from './exchange.ts';

/**
 * Starts an authorization code flow (RFC 6749 section 4.1 with PKCE, RFC 7636): where to send the tenant's user.
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

/** Everything of an authorization request but its row in the database, which the caller writes. */
export async function prepareAuthorization(
  context: VaultContext,
  input: {
    key: CheckedKey;
    app: AppRow;
    scopes: readonly string[];
    redirectUri: string;
    /** The connect session that it belongs to. */
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
 * Finishes an authorization code flow with the URL that the user came back to, and stores the grant.
 *
 * The state is taken once; of several callbacks with the same state exactly one counts. A code is exchanged once: an
 * exchange whose outcome is unknown means starting again. A flow that a connect session started is finished by the browser
 * that it is bound to, at the server, and never here.
 *
 * @throws {GrantryError} `authorization_failed`, `invalid_request`, `provider_misconfigured`, `provider_unavailable`
 */
export async function completeAuthorization(context: VaultContext, callbackUrl: string | URL): Promise<Grant> {
  if (typeof callbackUrl !== 'string' && !(callbackUrl instanceof URL)) {
    throw new GrantryError('invalid_request', 'The callback must be given as its whole URL.');
  }
  const callback = readCallback(String(callbackUrl));
  const { stateHash, row: known } = await openAuthorization(context, callback.state);
  if (known.connect_session_id !== null) {
    throw failed('This authorization request belongs to a connect link: the browser that opened it must come back.');
  }
  const row = await changing(context, ({ tx }) => takeAuthorization(tx, stateHash));
  if (row === undefined) throw failed('This authorization request was completed already.');
  const url = new URL(callbackUrl);
  const expected = new URL(row.redirect_uri);
  if (url.origin !== expected.origin || url.pathname !== expected.pathname) {
    throw failed('The callback arrived at another address than this authorization request named.');
  }
  const exchanged = await redeemCallback(context, row, callback, await trustCallback(context, row, callback));
  return putAuthorization(context, exchanged.key, authorizationOf(exchanged));
}

/**
 * The request that a state belongs to, while it may still be answered. Nothing is used up by asking.
 *
 * @throws {GrantryError} `authorization_failed`
 */
export async function openAuthorization(
  context: VaultContext,
  state: string,
): Promise<{ stateHash: string; row: Omit<AuthorizationRow, 'verifier'> }> {
  const stateHash = hashText(state);
  const row = await findAuthorization(context.store.db, stateHash);
  if (row === undefined) throw failed('This callback belongs to no authorization request that was started here.');
  if (row.used_at !== null) throw failed('This authorization request was completed already.');
  if (row.expires_at <= (await context.store.nowMs())) {
    throw failed('This authorization request took too long and has expired.');
  }
  return { stateHash, row };
}

/** What a callback that can be trusted says of where its code came from. */
export interface TrustedCallback {
  readonly definition: ProviderDefinition;
  readonly dc: string | null;
}

/**
 * Whether a callback comes from the provider that was asked, as far as it can be seen: its issuer, its data centre, and that the
 * provider is where it was. An answer with an error is looked at no less.
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
    throw failed("The provider's endpoints were changed while this authorization was under way.");
  }
  const issParameterSupported = definition.callback?.issuerAlwaysSent === true;
  checkIssuer(callback, { issuer: row.issuer, issParameterSupported });
  return { definition, dc: dcOfCallback(definition, callback.parameters) ?? row.dc };
}

/** The tokens of a callback's code, with everything that storing them needs. */
export interface Exchanged {
  readonly key: CheckedKey;
  readonly definition: ProviderDefinition;
  readonly app: AppRow;
  readonly dc: string | null;
  readonly tokens: TokenSet;
  readonly asked: readonly string[];
  readonly captured: Readonly<Record<string, string>>;
}

/**
 * Exchanges the code of a callback whose request was taken for it.
 *
 * @throws {GrantryError} `authorization_failed` for an answer without a code, and as {@link exchangeCode}
 */
export async function redeemCallback(
  context: VaultContext,
  row: AuthorizationRow,
  callback: AuthorizationCallback,
  { definition, dc }: TrustedCallback,
): Promise<Exchanged> {
  const key: CheckedKey = { tenant: row.tenant, provider: row.provider, account: row.account };
  const code = codeOf(callback);
  const app = await appFor(context, { ...key, app: row.app });
  // Another process may have started this flow, with keys that this one has not seen.
  const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
  const codeVerifier = row.verifier === null ? null : tenantKeys.open(verifierPlace(row.state_hash), row.verifier);
  const request = { code, redirectUri: row.redirect_uri, codeVerifier };
  const tokens = await exchangeCode(context, definition, app, dc, request);
  // Written by `prepareAuthorization` alone, as an array of strings.
  const asked = JSON.parse(row.scopes) as string[];
  return { key, definition, app, dc, tokens, asked, captured: captureCallback(definition, callback).metadata };
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
  const tokens = await exchangeCode(context, definition, app, dc, request);
  return putAuthorization(context, key, authorizationOf({ key, definition, app, dc, tokens, asked: [], captured: {} }));
}

/** What the provider granted, beside what was asked for. */
export function scopesOf({ definition, tokens, asked }: Exchanged): {
  scopes: readonly string[];
  narrower: readonly string[];
  wider: readonly string[];
} {
  const scopes = tokens.scopes ?? asked;
  const { missing, extra } = compareScopes(definition, asked, scopes);
  return { scopes, narrower: missing, wider: extra };
}

/** The tokens as they are stored, and as the event tells of them. */
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

function codeOf(callback: AuthorizationCallback): Secret {
  if (callback.error !== null) {
    const declined = callback.error === 'access_denied';
    throw failed(declined ? 'The consent was declined.' : `The provider ended the authorization (${callback.error}).`);
  }
  if (callback.code === null) throw failed('The callback holds neither a code nor an error.');
  return callback.code;
}

/** The scopes that an app asks for when nobody names any. */
export function appScopes(app: AppRow): string[] {
  // Written by `putAppOf` alone, as an array of strings.
  return JSON.parse(app.scopes) as string[];
}

/** Only the hash of a state, link, cookie or completion code is stored: a thief of the database cannot finish a flow. */
export function hashText(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Where a provider is: an answer to a request that was sent there must not be redeemed anywhere else (RFC 9700 section 4.4). */
function providerHash({ issuer, endpoints, dataCenters, clientAuthentication }: ProviderDefinition): string {
  // PostgreSQL keeps the members of an object in an order of its own.
  const sorted = (_: string, value: unknown): unknown =>
    isObject(value) ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) : value;
  return hashText(JSON.stringify({ issuer, endpoints, dataCenters, clientAuthentication }, sorted));
}

function verifierPlace(stateHash: string) {
  return { table: 'grantry_authorizations', row: stateHash, column: 'verifier', generation: 0 };
}
