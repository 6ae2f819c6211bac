import { codeOf, isGrantryError, isVaultDown } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { endAuthorization } from '../../storage/statements/authorizations.ts';
import { findConnectSession, returnConnectSession } from '../../storage/statements/connect-sessions.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import { appFor } from '../app/apps.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { assertNewest } from '../grant/newest.ts';
import { putAuthorization } from '../grant/put-authorization.ts';
import { isMoved, stands } from '../grant/standing.ts';
import { isUnchecked } from '../organization/expect.ts';
import { learnOrganization } from '../organization/learn.ts';
import { reasons } from '../reasons.ts';
import type { ConsentEntry, ConsentHead } from '../spool/consents.ts';
import { mayBeAlive } from '../spool/owner.ts';
import { authorizationOf, type Exchanged } from './authorize.ts';
import { completeAtCallback, discardTokens, holdForCompletion } from './completion.ts';
import { consentsOf, isConsentStored } from './consent.ts';
import { failed, readExchange, UnreadAnswerError } from './exchange.ts';
import { asExpected } from './expected.ts';

/**
 * Finishes the consents that a crash or an outage left in the spool. A failure of one does not hold up the others.
 *
 * @param of `only` names the grant whose consents are finished; `unread` reads those again that were not understood, which
 * a later version may understand
 * @throws {GrantryError} if the vault itself is down
 */
export async function finishConsents(
  context: VaultContext,
  { only, unread = false }: { only?: CheckedKey; unread?: boolean } = {},
): Promise<void> {
  // A copy of a database must not take what belongs to the original.
  if (context.guard.reason !== null) return;
  const now = context.world.now();
  const consents = consentsOf(context);
  const swept = { reservedBefore: now - context.times.spoolKeptMs, unreadBefore: now - context.condemnedKeptMs };
  const entries = await consents.list('consent', swept);
  if (unread) entries.push(...(await consents.list('unread')));
  for (const entry of entries) {
    if (isLeftToHolder(context, entry) || (only !== undefined && !isOf(entry.head, only))) continue;
    try {
      await finishConsent(context, entry);
    } catch (error) {
      if (isVaultDown(error)) throw error;
      const { tenant, provider } = entry.head;
      context.logger.error('a consent in the spool cannot be finished yet', { tenant, provider, code: codeOf(error) });
    }
  }
}

/** Lists the answers for a grant that were set aside. */
export async function unreadConsents(context: VaultContext, key: CheckedKey): Promise<ConsentEntry[]> {
  return (await consentsOf(context).list('unread')).filter(({ head }) => isOf(head, key));
}

/**
 * Ends the consents that a disconnect has made unwanted, before the tenant's keys may go. Their tokens are revoked, unless the
 * disconnect leaves the grant's alive. What nothing can be read from is removed.
 *
 * @param unread the answers that were set aside before the disconnect
 */
export async function endConsents(
  context: VaultContext,
  key: CheckedKey,
  unread: readonly ConsentEntry[],
): Promise<void> {
  await finishConsents(context, { only: key });
  for (const entry of unread) {
    try {
      await finishConsent(context, entry);
    } catch (error) {
      if (!isGrantryError(error) || isVaultDown(error)) throw error;
      const { tenant, provider } = key;
      const text = 'an answer that was set aside is shredded without being revoked';
      context.logger.warn(text, { tenant, provider, code: error.code });
    }
    await entry.remove();
  }
}

function isOf(head: CheckedKey, key: CheckedKey): boolean {
  return head.tenant === key.tenant && head.provider === key.provider && head.account === key.account;
}

/** True while the process that sent the code may still store the answer itself. */
function isLeftToHolder(context: VaultContext, { head, writtenAt }: ConsentEntry): boolean {
  if (head.owner.id === context.owner.id) return consentsOf(context).isUnderWay(head.id);
  if (!mayBeAlive(head.owner)) return false;
  const isFresh = writtenAt + context.times.callerWaitMs + context.times.marginMs > context.world.now();
  return isFresh;
}

/**
 * Stores the tokens of a consent that no caller finished. If they are known to be unwanted, they are revoked instead:
 * another consent or a disconnect came since, or the session went on without them.
 *
 * @throws {GrantryError} if this must be tried again
 */
export async function finishConsent(context: VaultContext, entry: ConsentEntry): Promise<void> {
  const { head } = entry;
  const { tenant, provider, account } = head;
  const key: CheckedKey = { tenant, provider, account };
  const exchanged = await openConsent(context, entry, key);
  if (exchanged === null) return;
  const authorization = authorizationOf(exchanged);
  try {
    await storeFound(context, head, exchanged);
  } catch (error) {
    if (isMoved(error)) return setMovedAside(context, entry);
    if (isUnchecked(error)) return setUncheckedAside(context, entry);
    if (!isGrantryError(error, 'authorization_failed')) throw error;
    const row = await findGrant(context.store.db, key);
    // A disconnect without revocation leaves every token of the grant alive.
    const leftAlive = row?.state === 'disconnected' && row.reason === reasons.leftAlive;
    if (!leftAlive) await discardTokens(context, key, authorization);
    context.logger.warn('a consent was not stored: it is no longer wanted', { tenant, provider });
    await returnSession(context, head, error.code);
  }
  const { stateHash } = head;
  // A repeated callback need not wait any more.
  if (stateHash !== null) await changing(context, ({ tx }) => endAuthorization(tx, { tenant, stateHash }));
  await entry.remove();
  context.logger.info('a consent in the spool was finished', { tenant, provider });
}

/** Stores the tokens of a consent, unless they are stored already: only what is new is compared with what is expected. */
async function storeFound(context: VaultContext, head: ConsentHead, exchanged: Exchanged): Promise<void> {
  const { key } = exchanged;
  const old = await findGrant(context.store.db, key);
  if (await isConsentStored(context, old, head.id)) return;
  // First: what is unwanted is revoked also if its organisation cannot be read any more.
  await assertNewest(context, old, head);
  const checked = await asExpected(context, exchanged);
  if (head.session !== null) return finishSession(context, head.session, checked);
  const isStored = (row: GrantRow | undefined) => isConsentStored(context, row, head.id);
  const grant = await putAuthorization(context, key, authorizationOf(checked), { isStored });
  await learnOrganization(context, grant, { isNew: true });
}

/** Sets an answer aside whose organisation cannot be read any more: it may be wanted, and nothing shows that it is. */
async function setUncheckedAside(context: VaultContext, entry: ConsentEntry): Promise<void> {
  const { head } = entry;
  const { tenant, provider } = head;
  await entry.setAside();
  context.logger.error('a consent is set aside: its organisation cannot be read', { tenant, provider });
  await returnSession(context, head, 'authorization_failed');
}

/** Sets an answer aside whose provider or app is another one now: it is kept sealed, and its tokens are sent nowhere. */
async function setMovedAside(context: VaultContext, entry: ConsentEntry): Promise<void> {
  const { head } = entry;
  const { tenant, provider } = head;
  await entry.setAside();
  context.logger.error('a consent is set aside: its provider or app was changed meanwhile', { tenant, provider });
  await returnSession(context, head, 'authorization_failed');
}

/** Lets the browser of a session try again. A session that went on without this consent stays as it is. */
async function returnSession(context: VaultContext, { tenant, session }: ConsentHead, error: string): Promise<void> {
  if (session === null) return;
  const { id, starts } = session;
  await changing(context, ({ tx }) => returnConnectSession(tx, { tenant, id, starts, error }));
}

async function finishSession(
  context: VaultContext,
  { id, starts, completionHash }: NonNullable<ConsentHead['session']>,
  exchanged: Exchanged,
): Promise<void> {
  if (await isConsentStored(context, await findGrant(context.store.db, exchanged.key), exchanged.consent)) return;
  const session = await findConnectSession(context.store.db, id);
  if (session === undefined || session.starts !== starts) throw failed('The connect session went on without it.');
  if (completionHash === null)
    await completeAtCallback(context, session, exchanged, (row) => isConsentStored(context, row, exchanged.consent));
  else await holdForCompletion(context, session, exchanged, completionHash);
}

/** Opens and parses a spooled answer; null if there is nothing to store. */
async function openConsent(context: VaultContext, entry: ConsentEntry, key: CheckedKey): Promise<Exchanged | null> {
  const { head } = entry;
  const definition = await context.providers.require(key.provider);
  const app = await appFor(context, { ...key, app: head.app });
  if (!(await stands(context, app, head.place))) {
    await setMovedAside(context, entry);
    return null;
  }
  const raw = await readEntry(context, entry);
  if (raw === null) return null;
  const { dc, asked, captured, id: consent, expectOrganization } = head;
  try {
    const read = readExchange(context, definition, raw, { app: app.name, dc }, []);
    return { ...read, consent, consented: head, key, definition, app, dc, asked, captured, expectOrganization };
  } catch (error) {
    const unread = error instanceof Error && error.cause instanceof UnreadAnswerError;
    await (unread ? entry.setAside() : entry.remove());
    const { tenant, provider } = key;
    // No message: it would quote the provider's words, and the secrets that were sent are not at hand to compare.
    const detail = isGrantryError(error) ? (error.reason ?? error.code) : 'an unexpected error';
    context.logger.error('an answer to a code holds no tokens that can be stored', {
      tenant,
      provider,
      unread,
      detail,
    });
    return null;
  }
}

/** Opens a file. One that does not open is set aside: its keys were shredded, or its text was edited. */
async function readEntry(context: VaultContext, entry: ConsentEntry): Promise<RawAnswer | null> {
  const { tenant } = entry.head;
  try {
    return entry.read(await context.keys.pin(tenant, { fresh: true }));
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    await entry.setAside();
    context.logger.error('an answer to a code does not open', { tenant });
    return null;
  }
}
