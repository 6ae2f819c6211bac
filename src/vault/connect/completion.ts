import { timingSafeEqual } from 'node:crypto';
import { codeOf, GrantryError, invalidRequest, isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import {
  type ConnectSessionRow,
  completeConnectSession,
  failConnectSession,
  findConnectSession,
  holdConnectSession,
  listUnclaimedConnectSessions,
} from '../../storage/statements/connect-sessions.ts';
import { isNamedInEvent } from '../../storage/statements/events.ts';
import { findGrant } from '../../storage/statements/grants.ts';
import { tenantKeyStands } from '../../storage/statements/tenant-keys.ts';
import { appFor } from '../app/apps.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { checkText } from '../checks.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { assertKeepable } from '../grant/put/go-on.ts';
import type { NewAuthorization } from '../grant/put/new-authorization.ts';
import { type PutOptions, putAuthorization } from '../grant/put-authorization.ts';
import { grantsEndedWith, queueRevocation, revokeDiscarded, revokesAccount } from '../grant/revocations.ts';
import { isMoved, moved, standingOf, stands } from '../grant/standing.ts';
import { learnOrganization } from '../organization/learn.ts';
import { type Reason, reasons } from '../reasons.ts';
import type { Grant } from '../types.ts';
import { authorizationOf, type Exchanged, type GrantedScopes, hashText, scopesOf } from './authorize.ts';
import { isConsentStored } from './consent.ts';
import type { Enhancement } from './enhance.ts';
import type { Prove } from './enhanced.ts';
import { endSession } from './enhanced-session.ts';
import { failed } from './exchange.ts';
import { checkSessionId, noSuchSession, pendingPlace, sessionStart } from './sessions.ts';

/** Tokens that wait, sealed, for the completion code. */
interface PendingTokens extends Omit<NewAuthorization, 'accessToken' | 'refreshToken' | 'candidates'> {
  readonly accessToken: string | null;
  readonly refreshToken: string | null;
  readonly candidates?: readonly string[];
}

/** Tokens that never became a grant's, with the facts that their revocation needs. */
interface Discarded {
  readonly tokens: NewAuthorization;
  readonly tenantKeys: Parameters<typeof queueRevocation>[3]['tenantKeys'];
  readonly endsAccount: boolean;
  readonly assertStanding: Awaited<ReturnType<typeof standingOf>>;
}

/** The number of tries of a writer whose tenant keys are replaced meanwhile. */
const triesMax = 3;

/**
 * Stores the tokens of a session that needs no confirmation.
 *
 * @param isStored looks at the grant before the tokens are stored; it throws if they are no longer wanted
 */
export async function completeAtCallback(
  context: VaultContext,
  session: ConnectSessionRow,
  exchanged: Exchanged,
  // The connection may have failed after the commit.
  isStored: PutOptions['isStored'] = (row) => isConsentStored(context, row, exchanged.consent),
): Promise<Grant> {
  const { key } = exchanged;
  const authorization = withSession(authorizationOf(exchanged), session);
  return putAuthorization(context, key, authorization, {
    isStored,
    within: (change) => end(change, session, { from: 'exchanging', granted: scopesOf(exchanged) }),
  });
}

/**
 * Holds the sealed tokens of a session until the completion code claims them. An existing grant is unchanged.
 *
 * @throws {GrantryError} `authorization_failed` if the tokens cannot be kept, or the session changed meanwhile
 */
export async function holdForCompletion(
  context: VaultContext,
  session: ConnectSessionRow,
  exchanged: Exchanged,
  completionHash: string,
): Promise<void> {
  const authorization = withSession(authorizationOf(exchanged), session);
  await assertKeepable(context, exchanged.key, authorization);
  for (let tries = 0; tries < triesMax; tries += 1) {
    const tenantKeys = await context.keys.pin(session.tenant, { fresh: true });
    const pending = tenantKeys.seal(pendingPlace(session), pack(authorization));
    const held = await changing(context, async ({ tx }) => {
      const key = { tenant: session.tenant, wrapped: tenantKeys.sealingKey };
      if (!(await tenantKeyStands(tx, key))) return 'keys_gone';
      const done = await holdConnectSession(tx, {
        ...sessionStart(session),
        pending,
        completionHash,
        granted: JSON.stringify(scopesOf(exchanged)),
        lifeMs: context.times.connectCompletionMs,
      });
      return done ? 'held' : 'changed';
    });
    if (held === 'held') return;
    if (held === 'keys_gone') continue;
    // The connection may have failed after the commit.
    const row = await findConnectSession(context.store.db, session.id);
    if (row?.completion_hash === completionHash) return;
    throw changedMeanwhile();
  }
  throw new GrantryError(
    'storage_unavailable',
    "The connection was not stored: other processes kept changing the tenant's keys.",
  );
}

/**
 * Confirms the user of a session. The tenant's backend passes the code that the browser brought, and the user of its
 * own session. Only then is the grant stored.
 *
 * A wrong user ends the session, and its tokens are revoked, so no caller can guess twice.
 *
 * @throws {GrantryError} `not_found`, `invalid_request`, `authorization_failed`
 */
export async function completeConnectSessionOf(
  context: VaultContext,
  id: string,
  input: { completionCode: string; user?: string | undefined },
  prove?: Prove,
): Promise<Grant> {
  const row = await findConnectSession(context.store.db, checkSessionId(id));
  if (row === undefined) throw noSuchSession();
  const code = checkText('completion code', input.completionCode, limits.nameCharsMax);
  assertWaiting(row, code, await context.store.nowMs());
  if (row.user_id === null && input.user !== undefined) {
    throw invalidRequest('This session has no user, so leave user out.');
  }
  if (row.user_id !== null && input.user === undefined) {
    throw invalidRequest('This session has a user, so user is required.');
  }
  if (row.user_id !== null && !sameHash(hashText(row.user_id), input.user ?? '')) {
    await revokeDiscarded(context, row.tenant, await discard(context, row, reasons.wrongUser));
    throw failed("The user is not this session's user. The session's tokens are revoked or shredded.");
  }
  const enhancement = await pendingEnhancement(context, row);
  if (enhancement !== null) return endSession(context, row, enhancement, { prove, from: 'pending' });
  const { tenant, provider, account } = row;
  const key: CheckedKey = { tenant, provider, account };
  const app = await appFor(context, { ...key, app: row.app });
  const authorization = await openPending(context, row);
  // The session stays as it is: if the change is undone in time, it can be completed.
  if (!(await stands(context, app, authorization.place))) throw moved(provider, row.app);
  // Only `holdForCompletion` writes this column for a pending session.
  const granted = JSON.parse(row.granted ?? 'null') as GrantedScopes;
  const grant = await putAuthorization(context, key, authorization, {
    within: (change) => end(change, row, { from: 'pending', granted }),
  });
  return learnOrganization(context, grant, { isNew: true });
}

/** Ends sessions whose tokens were not claimed in time, and queues those tokens for revocation. */
export async function discardUnclaimed(context: VaultContext): Promise<void> {
  const { db } = context.store;
  const unclaimed = await listUnclaimedConnectSessions(db, limits.connectBatch);
  // Each by itself: one that cannot be ended now, such as a locked row, keeps no other.
  for (const row of unclaimed) {
    try {
      await discard(context, row, reasons.notCompleted);
    } catch (error) {
      const { tenant, id: session } = row;
      context.logger.warn('a connect session could not be ended yet', { tenant, session, code: codeOf(error) });
    }
  }
}

/** Revokes tokens that never became a grant's. They stay queued if the provider does not answer. */
export async function discardTokens(context: VaultContext, key: CheckedKey, tokens: NewAuthorization): Promise<void> {
  if (tokens.refreshToken === null) return;
  await fingerprinter(context);
  const endsAccount = await revokesAccount(context, key.provider);
  const assertStanding = await standingOf(context, key, tokens);
  const { tenant } = key;
  for (let tries = 0; tries < triesMax; tries += 1) {
    const tenantKeys = await context.keys.pin(tenant, { fresh: true });
    const queued = await changing(context, async (change) => {
      if (!(await tenantKeyStands(change.tx, { tenant, wrapped: tenantKeys.sealingKey }))) return null;
      return queue(context, change, key, { tokens, tenantKeys, endsAccount, assertStanding });
    });
    if (queued !== null) return revokeDiscarded(context, tenant, queued);
  }
  context.logger.warn('tokens are shredded without being revoked', { tenant, provider: key.provider });
}

function assertWaiting(row: ConnectSessionRow, code: string, nowMs: number): void {
  // The code is checked first: a caller without it must not learn the state of the session.
  if (row.completion_hash === null || !sameHash(row.completion_hash, code)) {
    throw failed("The completion code is not this session's, or the user has not returned yet.");
  }
  if (row.state === 'completed') throw failed('This session was already completed.');
  if (row.state !== 'pending' || row.expires_at <= nowMs) {
    throw failed('The completion code was not redeemed in time, or the session has ended.');
  }
}

async function end(
  { tx }: ChangeTransaction,
  session: ConnectSessionRow,
  { from, granted }: { from: 'exchanging' | 'pending'; granted: GrantedScopes },
): Promise<void> {
  const ended = { ...sessionStart(session), from, granted: JSON.stringify(granted) };
  if (!(await completeConnectSession(tx, ended))) throw changedMeanwhile();
}

/** Ends a session without a grant, and queues its tokens. Returns the ids of their entries. */
async function discard(context: VaultContext, row: ConnectSessionRow, error: Reason): Promise<string[]> {
  await fingerprinter(context);
  const isTokenless = row.adds !== null && (await pendingEnhancement(context, row).catch(() => null)) !== null;
  const tokens = isTokenless
    ? null
    : await openPending(context, row).catch((thrown: unknown) => {
        if (!isGrantryError(thrown, 'integrity_failed')) throw thrown;
        context.logger.warn('tokens that do not open are shredded without being revoked', { tenant: row.tenant });
        return null;
      });
  const tenantKeys = await context.keys.pin(row.tenant, { fresh: true });
  const endsAccount = await revokesAccount(context, row.provider);
  const assertStanding = await standingOf(context, row, tokens ?? { app: null });
  const queued = await changing(context, async (change) => {
    const { tenant, id, provider, account } = row;
    if (!(await failConnectSession(change.tx, { tenant, id, error }))) return [];
    const details = { session: id };
    change.recordOther({ type: 'session.failed', tenant, provider, account, reason: error, details });
    return tokens === null ? [] : queue(context, change, row, { tokens, tenantKeys, endsAccount, assertStanding });
  });
  context.logger.info('a connect session ended without a grant', { tenant: row.tenant, session: row.id, error });
  return queued;
}

async function queue(
  context: VaultContext,
  change: ChangeTransaction,
  { tenant, provider, account }: CheckedKey,
  discarded: Discarded,
): Promise<string[]> {
  const { refreshToken: first, candidates = [] } = discarded.tokens;
  if (first === null) return [];
  try {
    await discarded.assertStanding(change);
  } catch (error) {
    if (!isMoved(error)) throw error;
    // The new place must not get them.
    const text = 'tokens are shredded without being revoked: their provider or app was changed';
    context.logger.warn(text, { tenant, provider });
    return [];
  }
  const queued: string[] = [];
  for (const refreshToken of [first, ...candidates]) {
    const id = await queueOne(context, change, { tenant, provider, account }, { ...discarded, refreshToken });
    if (id !== null) queued.push(id);
  }
  return queued;
}

async function queueOne(
  context: VaultContext,
  change: ChangeTransaction,
  { tenant, provider, account }: CheckedKey,
  { tokens: { app, metadata }, tenantKeys, endsAccount, refreshToken }: Discarded & { readonly refreshToken: Secret },
): Promise<string | null> {
  const fingerprint = (await fingerprinter(context))(refreshToken);
  const token = { tenant, provider, app, fingerprint, endsAccount };
  const row = await findGrant(change.tx, { tenant, provider, account });
  // A token that the grant ever had may live on in its successors.
  const named = { tenant, grantId: row?.id ?? '', member: 'fingerprint', value: fingerprint } as const;
  const isNamed = row !== undefined && (await isNamedInEvent(change.tx, named));
  if (isNamed || (await grantsEndedWith(change.tx, token)).length > 0) {
    context.logger.warn('tokens are shredded without being revoked: that would end a grant', { tenant, provider });
    return null;
  }
  const subject = { id: null, client_id: tenant, provider, account, app, metadata: JSON.stringify(metadata) };
  return queueRevocation(context, change, subject, { refreshToken, tenantKeys });
}

function withSession(authorization: NewAuthorization, session: ConnectSessionRow): NewAuthorization {
  return { ...authorization, details: { ...authorization.details, connect_session: session.id } };
}

function pack({ candidates, ...authorization }: NewAuthorization): Secret {
  const pending: PendingTokens = {
    ...authorization,
    accessToken: authorization.accessToken?.reveal() ?? null,
    refreshToken: authorization.refreshToken?.reveal() ?? null,
    // Only a broken answer has this member, also if it held no further token.
    ...(candidates === undefined ? {} : { candidates: candidates.map((token) => token.reveal()) }),
  };
  return new Secret(JSON.stringify(pending));
}

async function openPending(context: VaultContext, row: ConnectSessionRow): Promise<NewAuthorization> {
  if (row.pending === null) throw changedMeanwhile();
  const tenantKeys = await context.keys.pin(row.tenant, { fresh: true });
  // Only `pack` makes these texts, and an altered seal does not open.
  const pending = JSON.parse(tenantKeys.open(pendingPlace(row), row.pending).reveal()) as PendingTokens;
  const { accessToken, refreshToken, candidates, ...rest } = pending;
  return {
    ...rest,
    accessToken: accessToken === null ? null : new Secret(accessToken),
    refreshToken: refreshToken === null ? null : new Secret(refreshToken),
    ...(candidates === undefined ? {} : { candidates: candidates.map((token) => new Secret(token)) }),
  };
}

/** Reads what waits in a session that adds scopes; null in any other. */
async function pendingEnhancement(context: VaultContext, row: ConnectSessionRow): Promise<Enhancement | null> {
  if (row.adds === null || row.pending === null) return null;
  const tenantKeys = await context.keys.pin(row.tenant, { fresh: true });
  // Only `pack` and `hold` make these texts, and an altered seal does not open.
  const pending = JSON.parse(tenantKeys.open(pendingPlace(row), row.pending).reveal()) as { enhancement?: Enhancement };
  return pending.enhancement ?? null;
}

/** True if the text has the hash; compares in constant time. */
export function sameHash(hash: string, text: string): boolean {
  return timingSafeEqual(Buffer.from(hash), Buffer.from(hashText(text)));
}

function changedMeanwhile(): GrantryError {
  return failed('This connect session was finished or restarted meanwhile.');
}
