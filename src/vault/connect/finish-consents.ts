import { codeOf, type GrantryError, isGrantryError, isVaultDown } from '../../base/errors.ts';
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
import { isMoved, moved, stands } from '../grant/standing.ts';
import { isUnchecked } from '../organization/expect.ts';
import { learnOrganization } from '../organization/learn.ts';
import { reasons } from '../reasons.ts';
import type { ConsentEntry, ConsentHead, ConsentSweep } from '../spool/consents.ts';
import { mayBeAlive } from '../spool/owner.ts';
import { authorizationOf, type Exchanged } from './authorize.ts';
import { completeAtCallback, discardTokens, holdForCompletion } from './completion.ts';
import { consentsOf, isConsentStored } from './consent.ts';
import { failed, readExchange, UnreadAnswerError } from './exchange.ts';
import { asExpected } from './expected.ts';
import { sessionError } from './sessions.ts';

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
  const consents = consentsOf(context);
  const entries = await consents.list('consent', only === undefined ? await endOld(context) : {});
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

/**
 * Revokes what answers hold that were set aside too long ago. Returns the times before which files are swept. Callers who wait
 * for one grant leave both to the upkeep: its providers may be slow.
 */
async function endOld(context: VaultContext): Promise<ConsentSweep> {
  const now = context.world.now();
  const unreadBefore = now - context.condemnedKeptMs;
  const kept = await endSetAside(context, unreadBefore);
  return { reservedBefore: now - context.times.spoolKeptMs, unreadBefore, kept };
}

/**
 * Revokes the tokens of answers that were set aside too long ago: the provider still keeps a place for each. Returns the
 * names of the files that stay, because no token may be sent to where it came from.
 */
async function endSetAside(context: VaultContext, before: number): Promise<ReadonlySet<string>> {
  const kept = new Set<string>();
  for (const entry of await consentsOf(context).list('unread')) {
    if (entry.writtenAt >= before) continue;
    const { tenant, provider, account } = entry.head;
    const key: CheckedKey = { tenant, provider, account };
    try {
      if (await isKeptElsewhere(context, entry)) kept.add(entry.name);
      else {
        const exchanged = await openConsent(context, entry, key);
        if (exchanged !== null) await discardTokens(context, key, authorizationOf(exchanged));
      }
    } catch (error) {
      if (isVaultDown(error)) throw error;
      // Moved in this moment: the next round looks again.
      if (isMoved(error)) kept.add(entry.name);
      else context.logger.warn(shreddedAside, { tenant, provider, code: codeOf(error) });
    }
  }
  return kept;
}

/** The files that the log has named, so that each process says it once. */
const toldKept = new WeakMap<VaultContext, Set<string>>();

/**
 * True if an answer opens and its tokens can be revoked nowhere: their provider or its app was changed or removed since. Its
 * file stays sealed, and is revoked once both stand as they did.
 */
async function isKeptElsewhere(context: VaultContext, entry: ConsentEntry): Promise<boolean> {
  if (await isAtOrigin(context, entry.head)) return false;
  // The tenant has left, and its keys are gone: no later round can open the file.
  if ((await readEntry(context, entry)) === null) return false;
  const told = toldKept.get(context) ?? new Set();
  toldKept.set(context, told);
  if (told.has(entry.name)) return true;
  told.add(entry.name);
  const { tenant, provider, app } = entry.head;
  context.logger.error(keptElsewhere, { tenant, provider, app, file: entry.name });
  return true;
}

const keptElsewhere = 'the tokens of a consent cannot be revoked where they were issued; their file stays sealed';

/** True while a provider and its app stand as they did when the tokens were asked for. */
async function isAtOrigin(context: VaultContext, { tenant, provider, app, place }: ConsentHead): Promise<boolean> {
  try {
    return await stands(context, await appFor(context, { tenant, provider, app }), place);
  } catch (error) {
    if (!isGrantryError(error) || isVaultDown(error)) throw error;
    return false;
  }
}

const shreddedAside = 'an answer that was set aside is shredded without being revoked';

/** Lists the answers for a grant that were set aside. */
export async function unreadConsents(context: VaultContext, key: CheckedKey): Promise<ConsentEntry[]> {
  return (await consentsOf(context).list('unread')).filter(({ head }) => isOf(head, key));
}

/**
 * Ends the consents that a disconnect has made unwanted, before the tenant's keys may go. Their tokens are revoked, unless the
 * disconnect leaves the grant's alive. What nothing can be read from is removed. What can be revoked nowhere now is kept.
 *
 * @param unread the answers that were set aside before the disconnect
 */
export async function endConsents(
  context: VaultContext,
  key: CheckedKey,
  unread: readonly ConsentEntry[],
): Promise<void> {
  await finishConsents(context, { only: key });
  const row = await findGrant(context.store.db, key);
  for (const entry of unread) {
    if (!isLeftAlive(row) && (await isKeptElsewhere(context, entry))) continue;
    try {
      await finishConsent(context, entry);
    } catch (error) {
      if (!isGrantryError(error) || isVaultDown(error)) throw error;
      const { tenant, provider } = key;
      context.logger.warn(shreddedAside, { tenant, provider, code: error.code });
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
 * @returns the cause if the consent was set aside: nothing finishes it any more
 * @throws {GrantryError} if this must be tried again
 */
export async function finishConsent(context: VaultContext, entry: ConsentEntry): Promise<GrantryError | null> {
  const { head } = entry;
  const { tenant, provider, account } = head;
  const key: CheckedKey = { tenant, provider, account };
  const exchanged = await openConsent(context, entry, key);
  if (exchanged === null) return null;
  const authorization = authorizationOf(exchanged);
  try {
    await storeFound(context, head, exchanged);
  } catch (error) {
    if (!isGrantryError(error, 'authorization_failed')) throw error;
    if (isMoved(error) || isUnchecked(error)) {
      // Nowhere is safe to revoke its tokens, or they may be wanted, and nothing shows that they are.
      await setAside(context, entry, error);
      return error;
    }
    const row = await findGrant(context.store.db, key);
    if (!isLeftAlive(row)) await discardTokens(context, key, authorization);
    context.logger.warn('a consent was not stored: it is no longer wanted', { tenant, provider });
    await returnSession(context, head, error);
  }
  const { stateHash } = head;
  // A repeated callback need not wait any more.
  if (stateHash !== null) await changing(context, ({ tx }) => endAuthorization(tx, { tenant, stateHash }));
  await entry.remove();
  context.logger.info('a consent in the spool was finished', { tenant, provider });
  return null;
}

/** A disconnect without revocation leaves every token of the grant alive. */
function isLeftAlive(row: GrantRow | undefined): boolean {
  return row?.state === 'disconnected' && row.reason === reasons.leftAlive;
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

/** Sets an answer aside: it is kept sealed, and its tokens are sent nowhere. */
async function setAside(context: VaultContext, entry: ConsentEntry, cause: GrantryError): Promise<void> {
  const { head } = entry;
  const { tenant, provider } = head;
  await entry.setAside();
  context.logger.error('a consent is set aside', { tenant, provider, detail: cause.message, action: cause.action });
  await returnSession(context, head, cause);
}

/** Lets the browser of a session try again. A session that went on without this consent stays as it is. */
async function returnSession(
  context: VaultContext,
  { tenant, session }: ConsentHead,
  { code, message }: GrantryError,
): Promise<void> {
  if (session === null) return;
  const { id, starts } = session;
  const error = sessionError(code, message);
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
    await setAside(context, entry, moved(key.provider, head.app));
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
