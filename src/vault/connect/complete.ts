import { invalidRequest, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, checkName, type GrantKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { type AuthorizationCallback, assertAnswered, readCallback } from '../../oauth/callback.ts';
import { grantDc, resolveDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { placeHash } from '../../providers/place.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import {
  type AuthorizationRow,
  endAuthorization,
  findAuthorization,
  takeAuthorization,
} from '../../storage/statements/authorizations.ts';
import { findGrant } from '../../storage/statements/grants.ts';
import { appFor } from '../app/apps.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { describeGrant } from '../grant/grants.ts';
import { putAuthorization } from '../grant/put-authorization.ts';
import { learnOrganization } from '../organization/learn.ts';
import { checkWanted, type Wanted } from '../organization/wanted.ts';
import type { Grant, Vault } from '../types.ts';
import { authorizationOf, type Exchanged, hashText, redeemCallback, trustCallback } from './authorize.ts';
import { discardTokens } from './completion.ts';
import {
  type Consent,
  consentIdOf,
  consentsOf,
  endFailedExchange,
  headOf,
  isConsentStored,
  keepAnswer,
  reserveConsent,
  storeConsent,
} from './consent.ts';
import { completeEnhancement, type Prove } from './enhanced.ts';
import { exchangeCode, failed } from './exchange.ts';
import { asExpected } from './expected.ts';
import { finishConsent } from './finish-consents.ts';
import { giveBack, isKeptBack, isWorthRepeating, takeBack } from './unsent.ts';

/**
 * Finishes an authorization code flow with the URL that the user returned to, and stores the grant.
 *
 * A code is exchanged once. The same callback again gives the same grant, also after a crash or an outage of the database
 * in between. If the code was never sent, as while the database is away, the same callback may be tried again. Another
 * callback with a used state is refused. After an exchange with an unknown outcome, the flow must
 * start again. A flow of a connect session is finished only at the server, by the browser that it is bound to.
 *
 * @throws {GrantryError} `authorization_failed`, `invalid_request`, `provider_misconfigured`, `provider_unavailable`;
 * `storage_unavailable` if the database is away: call again with the same URL
 */
export async function completeAuthorization(
  context: VaultContext,
  callbackUrl: string | URL,
  prove?: Prove,
): Promise<Grant> {
  if (typeof callbackUrl !== 'string' && !(callbackUrl instanceof URL)) {
    throw invalidRequest('The callback must be the whole URL, with its query.');
  }
  const callback = readCallback(String(callbackUrl));
  const stateHash = hashText(callback.state);
  const known = await findAuthorization(context.store.db, stateHash);
  if (known === undefined) throw failed('No authorization request of this vault has the state of this callback.');
  if (known.connect_session_id !== null) {
    throw failed(
      'This authorization request belongs to a connect link. Only the browser that opened the link can finish it.',
    );
  }
  if (known.enhances !== null) return completeEnhancement(context, known, callback, prove);
  assertAnswered(callback);
  const id = await consentIdOf(context, [stateHash], callback.code);
  if (known.used_at !== null && !isKeptBack(context, known)) return repeated(context, known, id);
  if (known.expires_at <= (await context.store.nowMs())) throw failed('This authorization request has expired.');
  const consent = await reserveConsent(context, { id, stateHash, session: null });
  try {
    const row = takeBack(context, known) ?? (await changing(context, ({ tx }) => takeAuthorization(tx, stateHash)));
    if (row !== undefined) return await complete(context, row, { callback, url: new URL(callbackUrl) }, consent);
  } finally {
    await consent.slot.leave();
  }
  return repeated(context, known, id);
}

async function complete(
  context: VaultContext,
  row: AuthorizationRow,
  { callback, url }: { callback: AuthorizationCallback; url: URL },
  consent: Consent,
): Promise<Grant> {
  const exchanged = await exchange(context, row, { callback, url }, consent).catch(async (error: unknown) => {
    await endFailedExchange(consent, error);
    if (isWorthRepeating(consent, error)) {
      await giveBack(context, row, consent);
      throw error;
    }
    // Otherwise a repeated callback waits for an outcome until it gives up.
    await changing(context, ({ tx }) => endAuthorization(tx, { tenant: row.tenant, stateHash: row.state_hash })).catch(
      () => {},
    );
    throw error;
  });
  return store(context, exchanged, consent);
}

async function exchange(
  context: VaultContext,
  row: AuthorizationRow,
  { callback, url }: { callback: AuthorizationCallback; url: URL },
  consent: Consent,
): Promise<Exchanged> {
  const expected = new URL(row.redirect_uri);
  if (url.origin !== expected.origin || url.pathname !== expected.pathname) {
    throw failed("The callback's address is not the redirect URI of this authorization request.");
  }
  return redeemCallback(context, row, callback, await trustCallback(context, row, callback), consent);
}

async function store(context: VaultContext, exchanged: Exchanged, consent: Consent): Promise<Grant> {
  const { id, stateHash } = consent.head;
  const { key } = exchanged;
  let checked: Exchanged | undefined;
  const put = async () => {
    checked ??= await asExpected(context, exchanged);
    return putAuthorization(context, key, authorizationOf(checked), {
      // The connection may have failed after the commit.
      isStored: (row) => isConsentStored(context, row, id),
      within: async ({ tx }) => {
        if (stateHash !== null) await endAuthorization(tx, { tenant: key.tenant, stateHash });
      },
    });
  };
  const discard = () => discardTokens(context, key, authorizationOf(exchanged));
  const grant = await storeConsent(context, consent, put, discard).catch(async (error: unknown) => {
    // A repeated callback need not wait for what is over.
    if (stateHash !== null && isGrantryError(error, 'authorization_failed')) {
      await changing(context, ({ tx }) => endAuthorization(tx, { tenant: key.tenant, stateHash })).catch(() => {});
    }
    throw error;
  });
  return learnOrganization(context, grant, { isNew: true });
}

/**
 * Answers a callback whose request was used. The same callback gets the same grant. It waits for another caller that is
 * still at it, and finishes what a crash or an outage left in the spool.
 */
async function repeated(context: VaultContext, used: Omit<AuthorizationRow, 'verifier'>, id: string): Promise<Grant> {
  const { world, times, store: database } = context;
  const until = world.monotonic() + times.callerWaitMs;
  for (;;) {
    const grant = await grantOfConsent(context, used, id);
    if (grant !== null) return grant;
    const row = await findAuthorization(database.db, used.state_hash);
    const isOver = row === undefined || row.expires_at <= (await database.nowMs());
    if (isOver || world.monotonic() >= until) throw failed('This authorization request was already completed.');
    await world.sleep(times.waiterPollMaxMs);
  }
}

/** The grant that a consent stored. Finishes the consent if its answer waits in the spool. */
async function grantOfConsent(context: VaultContext, of: CheckedKey, id: string): Promise<Grant | null> {
  const key = { tenant: of.tenant, provider: of.provider, account: of.account };
  const consents = consentsOf(context);
  const entry = consents.isUnderWay(id) ? undefined : await consents.find(id);
  const aside = entry === undefined ? null : await finishConsent(context, entry);
  if (aside !== null) throw aside;
  const row = await findGrant(context.store.db, key);
  if (row === undefined || !(await isConsentStored(context, row, id))) return null;
  return row.state === 'disconnected' ? null : describeGrant(context, row);
}

/** The codes that this process is redeeming, by the ids of their consents. A second exchange would revoke the first. */
const redeeming = new WeakMap<VaultContext, Map<string, Promise<Grant>>>();

/**
 * Redeems a code without a redirect, such as a Zoho self client's, and stores the grant. The same code again gives the
 * same grant.
 *
 * @throws {GrantryError} as {@link completeAuthorization}
 */
export async function redeemCode(
  context: VaultContext,
  keyInput: GrantKey,
  input: Parameters<Vault['redeemCode']>[1],
): Promise<Grant> {
  const key = checkKey(keyInput);
  if (!(input?.code instanceof Secret)) throw invalidRequest('The code must be a Secret.');
  const definition = await context.providers.require(key.provider);
  const named = input.app === undefined ? undefined : checkName('app', input.app);
  const app = await appFor(context, { ...key, app: named });
  const dc = input.dc === undefined ? grantDc({ definition, metadata: {}, app }) : resolveDc(definition, input.dc);
  // The scopes of such a code are those that the person chose with it.
  const wanted = checkWanted(definition, [], input);
  const id = await consentIdOf(context, [...Object.values(key), app.name], input.code);
  const running = redeeming.get(context) ?? new Map<string, Promise<Grant>>();
  redeeming.set(context, running);
  const redeemed = running.get(id) ?? redeemOnce(context, id, { key, definition, app, dc, code: input.code, wanted });
  running.set(id, redeemed);
  return redeemed.finally(() => running.delete(id));
}

interface CodeToRedeem {
  readonly key: CheckedKey;
  readonly definition: ProviderDefinition;
  readonly app: AppRow;
  readonly dc: string | null;
  readonly code: Secret;
  readonly wanted: Wanted;
}

async function redeemOnce(
  context: VaultContext,
  id: string,
  { key, definition, app, dc, code, wanted }: CodeToRedeem,
): Promise<Grant> {
  const known = await grantOfConsent(context, key, id);
  if (known !== null) return known;
  const consent = await reserveConsent(context, { id, stateHash: null, session: null });
  const request = { code, redirectUri: null, codeVerifier: null };
  const place = placeHash(definition, app);
  const captured: Record<string, string> = wanted.environment === null ? {} : { environment: wanted.environment };
  const expectOrganization = wanted.expectOrganization ?? undefined;
  const facts = { ...key, app: app.name, dc, asked: [], captured, place, expectOrganization };
  const redeem = async (): Promise<Exchanged> => {
    const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
    const head = await headOf(context, consent.head, facts);
    const keep = (raw: Parameters<typeof keepAnswer>[3]['raw']) =>
      keepAnswer(context, consent, head, { tenantKeys, raw });
    const exchanged = await exchangeCode(context, definition, app, dc, request, { keep, wire: consent.wire });
    const consented = { consent: id, consented: head };
    return { ...exchanged, ...consented, key, definition, app, dc, asked: [], captured, expectOrganization };
  };
  try {
    const exchanged = await redeem().catch(async (error: unknown) => {
      await endFailedExchange(consent, error);
      throw error;
    });
    return await store(context, exchanged, consent);
  } finally {
    await consent.slot.leave();
  }
}
