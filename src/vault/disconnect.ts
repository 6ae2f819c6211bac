import { codeOf, GrantryError, isGrantryError, isVaultDown } from '../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../base/ids.ts';
import type { Secret } from '../base/secret.ts';
import type { PinnedTenant } from '../crypto/tenant-keys.ts';
import { salvageTokens } from '../oauth/answer.ts';
import { deleteCandidates, listCandidates } from '../storage/statements/candidates.ts';
import { findGrant, type GrantRow, lockGrant, markDisconnected } from '../storage/statements/grants.ts';
import { mayBeCommitted } from '../storage/store.ts';
import { type ChangeTransaction, changing } from './changing.ts';
import { endConsents, finishConsents, unreadConsents } from './connect/finish-consents.ts';
import { fingerprinter, isoNow, type VaultContext } from './context.ts';
import { withTimeout } from './deadline.ts';
import type { Disconnected } from './disconnected.ts';
import { type IssuedToken, livingTokens } from './grant/living-tokens.ts';
import { missingGrant } from './grant/missing.ts';
import { noSuchGrant } from './grant/refusals.ts';
import { appOfCandidate } from './grant/replaced.ts';
import { queueRevocation, revokeOfGrant } from './grant/revocations.ts';
import { shredTenantIfEmpty } from './grant/shred.ts';
import { isCounted, leaveGrant } from './grant/slots/leave.ts';
import { reasons } from './reasons.ts';
import { replaySpool } from './refresh/replay.ts';
import { spoolAnswers } from './spool/names.ts';

export interface DisconnectOptions {
  readonly revoke?: boolean;
  /** Stops the hand-out of the grant in this process, until the function that it returns is called. */
  readonly withhold?: (key: CheckedKey) => () => void;
}

/**
 * Ends a grant. One transaction stops local use, the provider revokes the refresh token, and all stored tokens are
 * shredded. If the provider does not answer, a queue retries the revocation later. A token that another living grant holds
 * is shredded without being revoked.
 *
 * @throws {GrantryError} `grant_not_found`, `storage_unavailable` also if it is not known whether the change was kept
 */
export async function disconnect(
  context: VaultContext,
  key: GrantKey,
  { revoke = true, withhold = () => () => {} }: DisconnectOptions = {},
): Promise<Disconnected> {
  const checked = checkKey(key);
  // Otherwise a consent that was not stored yet would bring the grant back, or lose its keys and live on at the provider.
  await finishConsents(context, { only: checked, unread: true });
  const unread = await unreadConsents(context, checked);
  const found = await findGrant(context.store.db, checked);
  if (found === undefined) throw await missingGrant(context, checked);
  if (found.state === 'disconnected') throw noSuchGrant(checked);
  // A clone that revoked its copy would end the original's grant. A clone that forgot it could not be adopted.
  await context.guard.assertMayRefresh();
  // Read fresh: under keys that another process has replaced, the token would not open and so not be revoked.
  const tenantKeys = await context.keys.pin(checked.tenant, { fresh: true });
  await fingerprinter(context);
  await replayUncommitted(context, found.id);
  const resume = withhold(checked);
  const work = { key: checked, grantId: found.id, revoke, tenantKeys };
  const ended = untilKnown(context, () => endLocally(context, work));
  const done = ended
    .finally(resume)
    .then((generation) => shredSpooled(context, found.id, generation ?? found.generation))
    .then(() => endConsents(context, checked, unread))
    .then(() => finishElsewhere(context, work));
  let isLate = false;
  done.catch((error: unknown) => {
    if (isLate) context.logger.warn('a disconnect failed', { tenant: checked.tenant, code: codeOf(error) });
  });
  await withTimeout(context.world, ended, context.callerWaitMs, () => {
    isLate = true;
    return notKnown();
  });
  return done;
}

interface Ending {
  readonly key: CheckedKey;
  readonly grantId: string;
  readonly revoke: boolean;
  readonly tenantKeys: PinnedTenant;
}

/**
 * Ends the use of a grant in one transaction, which also queues its tokens for revocation. Returns the generation of the
 * tombstone.
 */
async function endLocally(context: VaultContext, { key, grantId, revoke, tenantKeys }: Ending): Promise<number> {
  const grant = { tenant: key.tenant, grantId };
  const spooled = revoke ? await spooledTokens(context, grantId, tenantKeys) : [];
  const leaves = !revoke && (await isCounted(context, key.provider));
  // An answer that is still under way will find this reason in the row.
  const reason = revoke ? reasons.disconnected : reasons.leftAlive;
  return context.turns.run(key, () =>
    changing(context, async (change) => {
      const { tx } = change;
      // Read again under a lock: a refresh may have replaced the token.
      const row = await lockGrant(tx, key.tenant, grantId);
      if (row === undefined || !(await markDisconnected(tx, { ...grant, reason, at: isoNow(context) }))) {
        throw noSuchGrant(key);
      }
      const stored = revoke ? await livingTokens(context, change, row, tenantKeys) : [];
      for (const { refreshToken, app } of [...stored, ...(await withApps(change, row, tenantKeys, spooled))])
        await queueRevocation(context, change, { ...row, app: app ?? row.app }, { refreshToken, tenantKeys });
      if (leaves) await leaveGrant(change, row);
      await deleteCandidates(tx, grant);
      change.record(row, { type: 'grant.disconnected', to: 'disconnected', reason: reasons.disconnected });
      return row.generation;
    }),
  );
}

/**
 * Runs a disconnect again while it is not known whether the database kept it. The second run waits for the row of the
 * first one, if that is still being committed, and then finds the tombstone or does the work. Returns undefined if it
 * finds the tombstone.
 */
async function untilKnown<T>(context: VaultContext, end: () => Promise<T>): Promise<T | undefined> {
  for (let isUnknown = false; ; ) {
    try {
      return await end();
    } catch (error) {
      if (isUnknown && isGrantryError(error, 'grant_not_found')) return undefined;
      isUnknown ||= mayBeCommitted(error);
      if (!isUnknown || context.closing() || !isGrantryError(error, 'storage_unavailable')) throw error;
    }
    await context.world.sleep(context.times.commitPauseMs);
  }
}

async function finishElsewhere(context: VaultContext, { key, grantId, revoke }: Ending): Promise<Disconnected> {
  const { tenant } = key;
  const ended: Disconnected = revoke
    ? await revokeOfGrant(context, { tenant, grantId }, { isOrdered: true })
    : { revocation: 'skipped' };
  await shredTenantIfEmpty(context, tenant);
  return ended;
}

function notKnown(): GrantryError {
  return new GrantryError('storage_unavailable', 'It is not known yet whether the database kept the disconnect.', {
    action: 'Check the database, then look at the grant. Hand-out in this process has stopped.',
  });
}

/** Replays uncommitted answers of the grant: one may hold the only working token, which must be revoked too. */
async function replayUncommitted(context: VaultContext, grantId: string): Promise<void> {
  try {
    await replaySpool(context, { grantId, kinds: spoolAnswers, retryNow: true });
  } catch (error) {
    if (isVaultDown(error)) throw error;
    // An unreadable file must not prevent the disconnect.
    context.logger.warn('a spooled answer is shredded without being revoked', { grant: grantId });
  }
}

/** A refresh token from the spool, and the fingerprint of the token that was spent for it. */
interface SpooledToken {
  readonly refreshToken: Secret;
  readonly spent: string;
}

/** Lists the refresh tokens in answers that the database refuses to save: they are revoked before their files go. */
async function spooledTokens(
  context: VaultContext,
  grantId: string,
  tenantKeys: PinnedTenant,
): Promise<SpooledToken[]> {
  const spool = await context.spool();
  const tokens: SpooledToken[] = [];
  const fingerprint = await fingerprinter(context);
  for (const entry of await spool.list(grantId, ['refused'])) {
    try {
      const isSpent = (token: Secret) => fingerprint(token) === entry.head.tokenFingerprint;
      const { refreshTokens = [] } = salvageTokens(entry.read(tenantKeys), isSpent) ?? {};
      const { tokenFingerprint: spent } = entry.head;
      tokens.push(...refreshTokens.map((refreshToken) => ({ refreshToken, spent })));
    } catch {
      context.logger.warn('a spooled answer is shredded without being revoked', { grant: grantId });
    }
  }
  return tokens;
}

/** Names the apps of tokens from the spool: each has that of the token which was spent for it. */
async function withApps(
  { tx }: ChangeTransaction,
  row: GrantRow,
  tenantKeys: PinnedTenant,
  spooled: readonly SpooledToken[],
): Promise<IssuedToken[]> {
  if (spooled.length === 0) return [];
  const candidates = await listCandidates(tx, row);
  return spooled.map(({ refreshToken, spent }) => {
    const candidate = candidates.find((each) => each.token_fingerprint === spent);
    return {
      refreshToken,
      app: candidate === undefined ? null : appOfCandidate(tenantKeys, row, candidate, candidates),
    };
  });
}

/** Removes the grant's answers. The tenant may have connected again by now: later answers belong to the new grant. */
async function shredSpooled(context: VaultContext, grantId: string, generation: number): Promise<void> {
  const spool = await context.spool();
  const entries = await spool.list(grantId, spoolAnswers);
  for (const entry of entries) if (entry.head.generation <= generation) await entry.remove();
}
