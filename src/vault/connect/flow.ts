import { createHmac } from 'node:crypto';
import { type Acting, actingAs } from '../../base/acting.ts';
import { isGrantryError, isVaultDown } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { callbackUri } from '../../base/network/callback-uri.ts';
import { type AuthorizationCallback, readCallback } from '../../oauth/callback.ts';
import type { ConnectSession } from '../../schemas/connect-session.ts';
import { findApp } from '../../storage/statements/apps.ts';
import {
  type AuthorizationRow,
  findAuthorization,
  insertAuthorization,
  takeAuthorization,
} from '../../storage/statements/authorizations.ts';
import {
  type ConnectSessionRow,
  claimConnectSession,
  findConnectSession,
  findConnectSessionByToken,
  returnConnectSession,
  startConnectSession,
} from '../../storage/statements/connect-sessions.ts';
import { findGrant, metadataOf } from '../../storage/statements/grants.ts';
import { appFor } from '../app/apps.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { learnOrganization } from '../organization/learn.ts';
import {
  authorizationOf,
  type Exchanged,
  hashText,
  prepareAuthorization,
  redeemCallback,
  type TrustedCallback,
  trustCallback,
} from './authorize.ts';
import { completeAtCallback, discardTokens, holdForCompletion, sameHash } from './completion.ts';
import {
  type Consent,
  consentIdOf,
  consentsOf,
  endFailedExchange,
  isConsentStored,
  reserveConsent,
  storeConsent,
} from './consent.ts';
import { prepareAddition } from './enhance.ts';
import type { Prove } from './enhanced.ts';
import { endEnhancement } from './enhanced-session.ts';
import { failed } from './exchange.ts';
import { asExpected } from './expected.ts';
import { finishConsent } from './finish-consents.ts';
import { mistrusted } from './mistrust.ts';
import { type ConnectOffer, type ConnectOutcome, type Refused, refused, shownError } from './outcomes.ts';
import { describeConnectSession, isReturnToOf, sessionError, sessionStart } from './sessions.ts';
import { giveBack, isKeptBack, isWorthRepeating, takeBack } from './unsent.ts';

/**
 * Opens a link without changing anything: mail programs and chat rooms open links before people do.
 *
 * @param browser the secret in the browser's cookie; null for a new browser
 */
export async function openConnectLink(
  context: VaultContext,
  token: string,
  browser: string | null,
): Promise<ConnectOffer | Refused> {
  const row = await findConnectSessionByToken(context.store.db, hashText(token));
  if (row === undefined) return refused('unknown_link');
  const session = describeConnectSession(row, await context.store.nowMs());
  const mine = isBrowserOf(row, browser);
  if (session.state === 'completed') return refused(mine ? 'connected_already' : 'used_link');
  if (session.state === 'expired') return refused('expired_link');
  if (session.state === 'pending' || session.state === 'failed') return refused('used_link');
  if (row.browser_hash !== null && !mine) return refused('link_of_another_browser');
  const definition = await context.providers.require(row.provider);
  return { kind: 'offer', session, providerName: definition.name ?? definition.id };
}

/** Reads a session for the browser that is bound to it; null for any other browser. */
export async function readConnectSession(
  context: VaultContext,
  id: string,
  browser: string | null,
): Promise<ConnectOffer | null> {
  const row = await findConnectSession(context.store.db, id);
  if (row === undefined || !isBrowserOf(row, browser)) return null;
  const session = describeConnectSession(row, await context.store.nowMs());
  const definition = await context.providers.get(row.provider);
  const grant = session.state === 'completed' ? await findGrant(context.store.db, session) : undefined;
  const orgName = grant === undefined ? undefined : metadataOf(grant)['org_name'];
  const named = typeof orgName === 'string' ? { orgName } : {};
  return { kind: 'offer', session, providerName: definition?.name ?? row.provider, ...named };
}

/**
 * Binds a session to the browser and starts the authorization. Returns the URL to send the browser to.
 *
 * @throws {GrantryError} `provider_misconfigured`; `invalid_request` or `not_found` if the app has changed meanwhile
 */
export async function startConnect(
  context: VaultContext,
  publicUrl: string,
  { token, browser }: { token: string; browser: string },
): Promise<{ kind: 'go'; url: string } | Refused> {
  const opened = await openConnectLink(context, token, browser);
  if (opened.kind === 'refused') return opened;
  const { session } = opened;
  const key: CheckedKey = { tenant: session.tenant, provider: session.provider, account: session.account };
  const app = await appFor(context, { ...key, app: session.app });
  const redirectUri = callbackUri(publicUrl, app.context);
  const { scopes, addScopes: adds, environment, expectOrganization } = session;
  const wanted = { environment, expectOrganization };
  const flow = { key, app, scopes, redirectUri, session: session.id, ...wanted };
  const prepared = adds === null ? prepareAuthorization(context, flow) : prepareAddition(context, { ...flow, adds });
  const { url, row } = await prepared;
  const started = await changing(context, async ({ tx }) => {
    const start = {
      tenant: session.tenant,
      id: session.id,
      browserHash: hashText(browser),
      lifeMs: context.times.authorizationMs,
      startsMax: limits.connectStartsMax,
    };
    if (!(await startConnectSession(tx, start))) return false;
    await insertAuthorization(tx, row);
    return true;
  });
  if (started) return { kind: 'go', url };
  const now = await openConnectLink(context, token, browser);
  return now.kind === 'refused' ? now : refused('started_too_often');
}

/**
 * Receives the callback with which a browser returns from the provider.
 *
 * All facts that another browser could forge are checked before the request is used up, so no browser can use up the
 * flow of another. Any error after that ends the flow: it must lie between the browser and the provider.
 */
export async function receiveConnectCallback(
  context: VaultContext,
  publicUrl: string,
  input: { context: string; search: string; browser: string | null; look?: Look },
  prove?: Prove,
): Promise<ConnectOutcome> {
  const callback = readableCallback(input.search);
  if (callback === null) return refused('unreadable_callback');
  const { look = (run) => run() } = input;
  const found = await look(() => findFlow(context, callback, input.browser));
  if (found.kind === 'refused') return found;
  const acting: Acting = { actor: { kind: 'session', id: found.session.id, name: null }, source: 'browser' };
  return actingAs(acting, () => receiveFor(context, publicUrl, { ...input, callback, found }, prove));
}

/** Goes on for the browser of a session, once it is known to be that. */
async function receiveFor(
  context: VaultContext,
  publicUrl: string,
  input: { context: string; browser: string | null; callback: AuthorizationCallback; found: FoundFlow },
  prove?: Prove,
): Promise<ConnectOutcome> {
  const { callback, found } = input;
  const { session, stateHash } = found;
  // Derived, so that the same browser gets the same code when it repeats its callback. Only this browser can derive it.
  const completionCode = completionCodeOf(input.browser ?? '', callback.state);
  const flow: Flow = { session, callback, completionCode };
  const redirectUri = callbackUri(publicUrl, input.context);
  if (found.request.enhances !== null)
    return receiveEnhancement(context, flow, { request: found.request, redirectUri }, prove);
  if (callback.code === null && callback.error === null) return refused('unreadable_callback');
  if (found.request.used_at !== null && !isKeptBack(context, found.request)) return repeated(context, flow);
  const completionHash = session.return_to === null ? null : hashText(completionCode);
  const { tenant, id, starts } = session;
  const consent = await reserveConsent(context, {
    id: await consentIdOf(context, [stateHash], callback.code),
    stateHash,
    session: { id, starts, completionHash },
  });
  const unsent = takeBack(context, found.request);
  let taken = unsent;
  try {
    const row = unsent ?? (await changing(context, ({ tx }) => takeAuthorization(tx, stateHash)));
    taken = row;
    if (row === undefined) return await repeated(context, flow);
    const app = await findApp(context.store.db, row.app);
    if (app === undefined || app.context !== input.context || row.redirect_uri !== redirectUri) {
      return refused('state_of_another_app');
    }
    const trusted = await trustCallback(context, row, callback).catch((error: unknown) => {
      if (!isGrantryError(error, 'authorization_failed')) throw error;
      return mistrusted(context, row, error);
    });
    if ('reason' in trusted) return trusted;
    const claim = { tenant, id, starts, browserHash: session.browser_hash ?? '' };
    // A request of this process whose code was not sent may have claimed its session already.
    const isClaimed = unsent !== undefined && session.state === 'exchanging';
    if (!isClaimed && !(await changing(context, ({ tx }) => claimConnectSession(tx, claim))))
      return refused('finished_already');
    return await finish(context, flow, { row, trusted, consent });
  } catch (error) {
    if (taken !== undefined && isVaultDown(error) && isWorthRepeating(consent, error))
      await giveBack(context, taken, consent);
    throw error;
  } finally {
    await consent.slot.leave();
  }
}

/** Receives the browser from a page on which a refresh token gains scopes: it brings no code. */
async function receiveEnhancement(
  context: VaultContext,
  { session, callback, completionCode }: Flow,
  { request, redirectUri }: { request: Omit<AuthorizationRow, 'verifier'>; redirectUri: string },
  prove?: Prove,
): Promise<ConnectOutcome> {
  if (request.redirect_uri !== redirectUri) return refused('state_of_another_app');
  const described = await describedFor(context, session);
  const completionHash = described.returnTo === null ? null : hashText(completionCode);
  const ended = await endEnhancement(context, { session, callback, request, completionHash }, prove);
  if (ended.kind === 'refused') return ended;
  if (ended.kind === 'pending') return { kind: 'pending', session: described, completionCode };
  const { error } = ended;
  return error === null
    ? { kind: 'completed', session: described }
    : { kind: 'ended', session: { ...described, ...ended, error }, error };
}

/** Runs the look-up of a state, whose sender is not known yet. */
type Look = <T>(run: () => Promise<T>) => Promise<T>;

/** A callback of a session's browser. */
interface Flow {
  readonly session: ConnectSessionRow;
  readonly callback: AuthorizationCallback;
  readonly completionCode: string;
}

function completionCodeOf(browser: string, state: string): string {
  return createHmac('sha256', browser).update(`completion ${state}`).digest('base64url');
}

/** A flow that a callback belongs to. */
interface FoundFlow {
  readonly kind: 'flow';
  readonly stateHash: string;
  readonly session: ConnectSessionRow;
  readonly request: Omit<AuthorizationRow, 'verifier'>;
}

async function findFlow(
  context: VaultContext,
  callback: AuthorizationCallback,
  browser: string | null,
): Promise<Refused | FoundFlow> {
  const stateHash = hashText(callback.state);
  const row = await findAuthorization(context.store.db, stateHash);
  if (row === undefined) return refused('unknown_state');
  if (row.connect_session_id === null) return refused('state_of_a_terminal');
  const session = await findConnectSession(context.store.db, row.connect_session_id);
  if (session === undefined) return refused('unknown_state');
  if (!isBrowserOf(session, browser)) return refused('state_of_another_browser');
  const isFinished = row.used_at !== null && !isKeptBack(context, row);
  if (!isFinished && row.expires_at <= (await context.store.nowMs())) return refused('expired_state');
  return { kind: 'flow', stateHash, session, request: row };
}

/**
 * Answers a callback whose request was used, with the same end as before. It waits for another request that is still at it,
 * and finishes what a crash or an outage left in the spool.
 */
async function repeated(
  context: VaultContext,
  { session: { id }, callback, completionCode }: Flow,
): Promise<ConnectOutcome> {
  const { world, times, store } = context;
  const consent = await consentIdOf(context, [hashText(callback.state)], callback.code);
  const consents = consentsOf(context);
  const until = world.monotonic() + times.callerWaitMs;
  for (;;) {
    const entry = consents.isUnderWay(consent) ? undefined : await consents.find(consent);
    if (entry !== undefined) await finishConsent(context, entry);
    const session = await findConnectSession(store.db, id);
    if (session === undefined) return refused('unknown_state');
    const described = await describedFor(context, session);
    if (session.completion_hash !== null && sameHash(session.completion_hash, completionCode)) {
      return { kind: 'pending', session: described, completionCode };
    }
    const { tenant, provider, account, state } = session;
    const { error } = described;
    if (await isConsentStored(context, await findGrant(store.db, { tenant, provider, account }), consent)) {
      return { kind: 'completed', session: described };
    }
    if (state === 'completed' || state === 'pending') return refused('finished_already');
    if (state !== 'exchanging' || world.monotonic() >= until) {
      return error === null ? refused('used_state') : { kind: 'ended', session: described, error };
    }
    await world.sleep(times.waiterPollMaxMs);
  }
}

async function describedFor(context: VaultContext, session: ConnectSessionRow): Promise<ConnectSession> {
  const returnTo = await standingReturnTo(context, session);
  return { ...describeConnectSession(session, await context.store.nowMs()), returnTo };
}

async function finish(
  context: VaultContext,
  { session, callback, completionCode }: Flow,
  { row, trusted, consent }: { row: AuthorizationRow; trusted: TrustedCallback; consent: Consent },
): Promise<ConnectOutcome> {
  const described = await describedFor(context, session);
  const ended = async (thrown: unknown): Promise<ConnectOutcome> => {
    if (!isGrantryError(thrown)) throw thrown;
    const error = shownError(callback.error, thrown.code);
    const { tenant, provider } = session;
    const { message: detail } = thrown;
    await changing(context, ({ tx }) =>
      returnConnectSession(tx, { ...sessionStart(session), error: sessionError(error, detail) }),
    );
    context.logger.warn('a connect session returned without a grant', { tenant, provider, error, detail });
    return { kind: 'ended', session: { ...described, error, detail }, error };
  };
  let exchanged: Exchanged;
  try {
    if (described.returnTo !== session.return_to)
      throw failed("The session's return_to is no longer in the app's list.");
    exchanged = await redeemCallback(context, row, callback, trusted, consent);
  } catch (thrown) {
    await endFailedExchange(consent, thrown);
    if (isVaultDown(thrown) && isWorthRepeating(consent, thrown)) throw thrown;
    return ended(thrown);
  }
  let checked: Exchanged | undefined;
  const store = async (): Promise<ConnectOutcome> => {
    checked ??= await asExpected(context, exchanged);
    if (session.return_to !== null) {
      await holdForCompletion(context, session, checked, hashText(completionCode));
      return { kind: 'pending', session: described, completionCode };
    }
    const grant = await completeAtCallback(context, session, checked);
    // The page names the organisation.
    await learnOrganization(context, grant, { isNew: true });
    return { kind: 'completed', session: described };
  };
  const discard = () => discardTokens(context, exchanged.key, authorizationOf(exchanged));
  try {
    return await storeConsent(context, consent, store, discard);
  } catch (thrown) {
    // The answer is in the spool: the browser may repeat its callback, and the next round finishes it without one.
    if (!isGrantryError(thrown, 'authorization_failed')) throw thrown;
    return ended(thrown);
  }
}

/** The session's return_to if it is still in the app's list, which may have changed after the link was made. */
async function standingReturnTo(context: VaultContext, session: ConnectSessionRow): Promise<string | null> {
  if (session.return_to === null) return null;
  const app = await findApp(context.store.db, session.app);
  return app !== undefined && isReturnToOf(app, session.return_to) ? session.return_to : null;
}

/** Reads the query of a callback; null if it is none. */
function readableCallback(search: string): AuthorizationCallback | null {
  try {
    return readCallback(`/${search}`);
  } catch (error) {
    if (!isGrantryError(error, 'authorization_failed')) throw error;
    return null;
  }
}

function isBrowserOf(row: Pick<ConnectSessionRow, 'browser_hash'>, browser: string | null): boolean {
  return row.browser_hash !== null && browser !== null && sameHash(row.browser_hash, browser);
}
