import { codeOf, GrantryError, isGrantryError, isVaultDown } from '../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../base/ids.ts';
import { Secret } from '../base/secret.ts';
import type { PinnedTenant } from '../crypto/tenant-keys.ts';
import { deleteCandidates, listCandidates } from '../storage/statements/candidates.ts';
import { findGrant, type GrantRow, lockGrant, markDisconnected } from '../storage/statements/grants.ts';
import { mayBeCommitted } from '../storage/store.ts';
import { type ChangeTransaction, changing } from './changing.ts';
import { fingerprinter, isoNow, type VaultContext } from './context.ts';
import { withTimeout } from './deadline.ts';
import type { Disconnected } from './disconnected.ts';
import { noSuchGrant } from './grant/refusals.ts';
import { queueRevocation, revokeOfGrant } from './grant/revocations.ts';
import { shredTenantIfEmpty } from './grant/shred.ts';
import { openCandidate, openToken } from './grant/tokens.ts';
import { reasons } from './reasons.ts';
import { replaySpool } from './refresh/replay.ts';

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
  const found = await findGrant(context.store.db, checked);
  if (found === undefined || found.state === 'disconnected') throw noSuchGrant(checked);
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
    .then(() => shredSpooled(context, found.id))
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

/** Ends the use of a grant in one transaction, which also queues its tokens for revocation. */
async function endLocally(context: VaultContext, { key, grantId, revoke, tenantKeys }: Ending): Promise<void> {
  const grant = { tenant: key.tenant, grantId };
  // An answer that is still under way will find this reason in the row.
  const reason = revoke ? reasons.disconnected : reasons.leftAlive;
  await context.turns.run(key, () =>
    changing(context, async (change) => {
      const { tx } = change;
      // Read again under a lock: a refresh may have replaced the token.
      const row = await lockGrant(tx, key.tenant, grantId);
      if (row === undefined || !(await markDisconnected(tx, { ...grant, reason, at: isoNow(context) }))) {
        throw noSuchGrant(key);
      }
      const tokens = revoke ? await livingTokens(context, change, row, tenantKeys) : [];
      for (const refreshToken of tokens) await queueRevocation(context, change, row, { refreshToken, tenantKeys });
      await deleteCandidates(tx, grant);
      change.record(row, { type: 'grant.disconnected', to: 'disconnected', reason: reasons.disconnected });
    }),
  );
}

/**
 * Runs a disconnect again while it is not known whether the database kept it. The second run waits for the row of the
 * first one, if that is still being committed, and then finds the tombstone or does the work.
 */
async function untilKnown(context: VaultContext, end: () => Promise<void>): Promise<void> {
  for (let isUnknown = false; ; ) {
    try {
      return await end();
    } catch (error) {
      if (isUnknown && isGrantryError(error, 'grant_not_found')) return;
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
    await replaySpool(context, { grantId });
  } catch (error) {
    if (isVaultDown(error)) throw error;
    // An unreadable file must not prevent the disconnect.
    context.logger.warn('a spooled answer is shredded without being revoked', { grant: grantId });
  }
}

/** Lists the refresh tokens that the provider may still honour: the stored one, and untested candidates. */
async function livingTokens(
  context: VaultContext,
  change: ChangeTransaction,
  row: GrantRow,
  tenantKeys: PinnedTenant,
): Promise<Secret[]> {
  const candidates = await listCandidates(change.tx, row);
  const stored = revocable(context, row, () => openToken(tenantKeys, row, 'refresh_token'));
  const untested = candidates
    .filter((candidate) => candidate.state === 'untested')
    .map((candidate) => revocable(context, row, () => new Secret(openCandidate(tenantKeys, candidate).refreshToken)));
  return [stored, ...untested].filter((token) => token !== null);
}

/** Opens a token to revoke. A token that does not open cannot be revoked, which must not prevent the disconnect. */
function revocable(context: VaultContext, row: GrantRow, open: () => Secret | null): Secret | null {
  try {
    return open();
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    context.logger.warn('a token that does not open is shredded without being revoked', {
      tenant: row.client_id,
      provider: row.provider,
    });
    return null;
  }
}

async function shredSpooled(context: VaultContext, grantId: string): Promise<void> {
  const spool = await context.spool();
  for (const entry of await spool.list(grantId)) await entry.remove();
}
