import { createHash } from 'node:crypto';
import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, newRandomText } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { capturedFacts } from '../../oauth/account.ts';
import { authorizationUrl } from '../../oauth/authorization-url.ts';
import { type AuthorizationCallback, captureCallback, checkIssuer } from '../../oauth/callback.ts';
import { dcOfCallback, grantDc, isStrangerIn } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { isPlace, placeHash } from '../../providers/place.ts';
import { compareScopes } from '../../providers/scopes.ts';
import { type AppRow, findApp } from '../../storage/statements/apps.ts';
import type { AuthorizationRow, insertAuthorization } from '../../storage/statements/authorizations.ts';
import { type CheckedScopes, lintedScopes, reasonsOf } from '../app/app-scopes.ts';
import { appFor, clientOf } from '../app/apps.ts';
import { dcsWithSecret } from '../app/secrets.ts';
import type { VaultContext } from '../context.ts';
import type { ConsentTime } from '../grant/newest.ts';
import type { NewAuthorization } from '../grant/put/new-authorization.ts';
import { moved } from '../grant/standing.ts';
import type { Wanted } from '../organization/wanted.ts';
import { type Consent, headOf, keepAnswer } from './consent.ts';
import { type ExchangedTokens, exchangeCode, failed } from './exchange.ts';
import { unregistered } from './mistrust.ts';

/**
 * Returns the scopes to ask for, the app's own when none are given, and what was noticed about them.
 *
 * @throws {GrantryError} `invalid_request` for a scope that cannot exist
 */
export async function scopesToAsk(
  context: VaultContext,
  app: AppRow,
  given: readonly string[] | undefined,
): Promise<CheckedScopes> {
  const definition = await context.providers.require(app.provider);
  const reasons = reasonsOf(app);
  if (given !== undefined) return lintedScopes(definition, given, reasons);
  const own = appScopes(app);
  // An app that is older than a rule of the check still connects, and hints were given when it was stored.
  const { warnings } = await lintedScopes(definition, own, reasons, { kept: own });
  return { scopes: own, warnings: warnings.filter(({ level }) => level !== 'hint') };
}

/** A request that sends a person to the provider. */
interface AuthorizationRequest extends Wanted {
  readonly key: CheckedKey;
  readonly app: AppRow;
  readonly scopes: readonly string[];
  readonly redirectUri: string;
  /** The connect session that started the request, or null. */
  readonly session: string | null;
}

/** The columns that every request has, whether it asks for a code or for more scopes. */
export function requestRow(
  context: VaultContext,
  definition: ProviderDefinition,
  input: AuthorizationRequest & { readonly state: string; readonly dc: string | null },
): Omit<Parameters<typeof insertAuthorization>[1], 'verifier' | 'enhances'> {
  const { key, app } = input;
  return {
    state_hash: hashText(input.state),
    ...key,
    app: app.name,
    redirect_uri: input.redirectUri,
    scopes: JSON.stringify(input.scopes),
    dc: input.dc,
    issuer: definition.issuer ?? null,
    provider_hash: placeHash(definition, app),
    connect_session_id: input.session,
    environment: input.environment,
    expect_organization: input.expectOrganization,
    lifeMs: context.times.authorizationMs,
  };
}

/** Prepares an authorization request. The caller writes the returned row to the database. */
export async function prepareAuthorization(
  context: VaultContext,
  input: AuthorizationRequest,
): Promise<{ url: string; state: string; row: Parameters<typeof insertAuthorization>[1] }> {
  const { key, app, scopes, redirectUri } = input;
  const definition = await context.providers.require(key.provider);
  const dc = grantDc({ definition, metadata: {}, app });
  // Asked now, so that the callback finds the answer even if the issuer is away then.
  await context.providers.demandsIssuer(definition);
  const client = await clientOf(context, definition, app, dc);
  const state = newRandomText(context.world);
  const pkce = app.pkce ?? definition.pkce;
  const codeVerifier = pkce === 'off' ? null : new Secret(newRandomText(context.world));
  const stateHash = hashText(state);
  const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
  const row = {
    ...requestRow(context, definition, { ...input, state, dc }),
    verifier: codeVerifier === null ? null : tenantKeys.seal(verifierPlace(stateHash), codeVerifier),
    enhances: null,
  };
  return { url: authorizationUrl(client, { state, scopes, redirectUri, pkce, codeVerifier }), state, row };
}

/** The origin of the code in a callback that was checked. */
export interface TrustedCallback {
  readonly definition: ProviderDefinition;
  readonly dc: string | null;
  /** Members for the grant's metadata: of the callback, and the environment that the request named. */
  readonly captured: Readonly<Record<string, string>>;
}

/**
 * Checks that a callback comes from the provider of its request: its issuer, its data centre, and that the provider's
 * endpoints and the app's client are unchanged. A callback with an error is checked as well.
 *
 * @throws {GrantryError} `authorization_failed`
 */
export async function trustCallback(
  context: VaultContext,
  row: Omit<AuthorizationRow, 'verifier'>,
  callback: AuthorizationCallback,
): Promise<TrustedCallback> {
  const definition = await context.providers.require(row.provider);
  const app = await findApp(context.store.db, row.app);
  if (app === undefined || !isPlace(row.provider_hash, definition, app)) throw moved(row.provider, row.app);
  const issParameterSupported = await context.providers.demandsIssuer(definition);
  checkIssuer(callback, { issuer: row.issuer, issParameterSupported });
  const named = dcOfCallback(definition, callback.parameters);
  if (isStrangerIn(definition, { home: row.dc, named, secretsOf: dcsWithSecret(app) })) {
    throw unregistered({ provider: row.provider, app: app.name, dc: named });
  }
  const dc = named ?? row.dc;
  const { environment } = row;
  const { metadata } = captureCallback(definition, callback);
  return { definition, dc, captured: environment === null ? metadata : { ...metadata, environment } };
}

/** The tokens that a code was exchanged for, with the facts that storing them needs. */
export interface Exchanged extends ExchangedTokens {
  /** The id of the consent, which the grant's event names. */
  readonly consent: string;
  readonly consented: ConsentTime;
  readonly key: CheckedKey;
  readonly definition: ProviderDefinition;
  readonly app: AppRow;
  readonly dc: string | null;
  readonly asked: readonly string[];
  readonly captured: Readonly<Record<string, string>>;
  /** The id of the only organisation whose tokens are stored. */
  readonly expectOrganization?: string | undefined;
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
  { definition, dc, captured }: TrustedCallback,
  consent: Consent,
): Promise<Exchanged> {
  const key: CheckedKey = { tenant: row.tenant, provider: row.provider, account: row.account };
  const code = callbackCode(callback);
  const app = await appFor(context, { ...key, app: row.app });
  const place = placeHash(definition, app);
  // The app may have been replaced since the callback was checked.
  if (!isPlace(row.provider_hash, definition, app)) throw moved(row.provider, row.app);
  // Another process may have started this flow with newer keys.
  const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
  const codeVerifier = openVerifier(tenantKeys, row);
  const request = { code, redirectUri: row.redirect_uri, codeVerifier };
  // Only `prepareAuthorization` writes this column, as an array of strings.
  const asked = JSON.parse(row.scopes) as string[];
  const expectOrganization = row.expect_organization ?? undefined;
  const facts = { ...key, app: app.name, dc, asked, captured, place, expectOrganization };
  const head = await headOf(context, consent.head, facts);
  const exchanged = await exchangeCode(context, definition, app, dc, request, {
    keep: (raw) => keepAnswer(context, consent, head, { tenantKeys, raw }),
    wire: consent.wire,
  });
  const consented = { consent: head.id, consented: head };
  return { ...exchanged, ...consented, key, definition, app, dc, asked, captured, expectOrganization };
}

/** Opens the verifier. Its keys are gone if the tenant's last grant was disconnected after the request. */
function openVerifier(tenantKeys: PinnedTenant, { verifier, state_hash: stateHash }: AuthorizationRow): Secret | null {
  try {
    return verifier === null ? null : tenantKeys.open(verifierPlace(stateHash), verifier);
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    const text =
      'This authorization request does not open: the tenant was disconnected meanwhile, or its row was altered.';
    throw failed(text, error);
  }
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
  const { app, dc, tokens, captured, consent, consented, definition } = exchanged;
  const { scopes, narrower, wider } = scopesOf(exchanged);
  return {
    app: app.name,
    place: placeHash(definition, app),
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    ...(tokens.otherRefreshTokens === undefined ? {} : { candidates: tokens.otherRefreshTokens }),
    tokenType: tokens.tokenType,
    expiresAtMs: tokens.expiresAt,
    scopes,
    asked: exchanged.asked,
    metadata: { ...captured, ...tokens.metadata, ...(dc === null ? {} : { dc }) },
    event: 'grant.connected',
    consented: { at: consented.at, seen: consented.seen },
    account: { ...capturedFacts(definition, { ...captured, ...tokens.metadata }), ...exchanged.account },
    details: { narrower: narrower.join(',') || null, wider: wider.join(',') || null, consent },
  };
}

function callbackCode(callback: AuthorizationCallback): Secret {
  if (callback.error !== null) throw consentRefused(callback.error);
  if (callback.code === null) throw failed('The callback has neither a code nor an error.');
  return callback.code;
}

/** The error for a user who declined, or a provider that refused to ask. */
export function consentRefused(error: string): GrantryError {
  const declined = error === 'access_denied';
  const text = declined ? 'The user declined the consent.' : `The provider refused the authorization (${error}).`;
  return new GrantryError('authorization_failed', text, { reason: 'consent_refused' });
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

function verifierPlace(stateHash: string) {
  return { table: 'grantry_authorizations', row: stateHash, column: 'verifier', generation: 0 };
}
