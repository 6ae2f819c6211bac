import { isGrantryError, isVaultDown } from '../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../base/ids.ts';
import { Secret } from '../base/secret.ts';
import type { PinnedTenant } from '../crypto/tenant-keys.ts';
import { salvageTokens } from '../oauth/answer.ts';
import { deleteCandidates, listCandidates } from '../storage/statements/candidates.ts';
import { findGrant, type GrantRow, lockGrant, markDisconnected } from '../storage/statements/grants.ts';
import { type ChangeTransaction, changing } from './changing.ts';
import { finishConsents } from './connect/finish-consents.ts';
import { fingerprinter, isoNow, type VaultContext } from './context.ts';
import { noSuchGrant } from './grant/refusals.ts';
import { queueRevocation, revokeOfGrant } from './grant/revocations.ts';
import { shredTenantIfEmpty } from './grant/shred.ts';
import { openCandidate, openToken } from './grant/tokens.ts';
import { reasons } from './reasons.ts';
import { replaySpool } from './refresh/replay.ts';
import { spoolAnswers } from './spool/names.ts';
import type { Disconnected } from './types.ts';

/**
 * Ends a grant. One transaction stops local use, the provider revokes the refresh token, and all stored tokens are
 * shredded. If the provider does not answer, a queue retries the revocation later.
 *
 * @throws {GrantryError} `grant_not_found`
 */
export async function disconnect(
  context: VaultContext,
  key: GrantKey,
  options: { revoke?: boolean; forget?: (key: CheckedKey) => void } = {},
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
  const spooled = options.revoke === false ? [] : await spooledTokens(context, found.id, tenantKeys);
  // Otherwise the tokens of a consent that was not stored yet would lose their keys, and live on at the provider.
  await finishConsents(context, checked);
  const grant = { tenant: checked.tenant, grantId: found.id };
  // An answer that is still under way will find this reason in the row.
  const reason = options.revoke === false ? reasons.leftAlive : reasons.disconnected;
  const generation = await changing(context, async (change) => {
    const { tx } = change;
    // Read again under a lock: a refresh may have replaced the token.
    const row = await lockGrant(tx, checked.tenant, found.id);
    if (row === undefined || !(await markDisconnected(tx, { ...grant, reason, at: isoNow(context) }))) {
      throw noSuchGrant(checked);
    }
    const stored = options.revoke === false ? [] : await livingTokens(context, change, row, tenantKeys);
    const tokens = [...stored, ...spooled];
    for (const refreshToken of tokens) await queueRevocation(context, change, row, { refreshToken, tenantKeys });
    await deleteCandidates(tx, grant);
    change.record(row, { type: 'grant.disconnected', to: 'disconnected', reason: reasons.disconnected });
    return row.generation;
  });
  options.forget?.(checked);
  await shredSpooled(context, found.id, generation);
  const revocation = options.revoke === false ? ('skipped' as const) : await revokeOfGrant(context, grant);
  await shredTenantIfEmpty(context, checked.tenant);
  return { revocation };
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

/** Lists the refresh tokens in answers that the database refuses to save: they are revoked before their files go. */
async function spooledTokens(context: VaultContext, grantId: string, tenantKeys: PinnedTenant): Promise<Secret[]> {
  const spool = await context.spool();
  const tokens: Secret[] = [];
  const fingerprint = await fingerprinter(context);
  for (const entry of await spool.list(grantId, ['refused'])) {
    try {
      const isSpent = (token: Secret) => fingerprint(token) === entry.head.tokenFingerprint;
      tokens.push(...(salvageTokens(entry.read(tenantKeys), isSpent)?.refreshTokens ?? []));
    } catch {
      context.logger.warn('a spooled answer is shredded without being revoked', { grant: grantId });
    }
  }
  return tokens;
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

/** Removes the grant's answers. The tenant may have connected again by now: later answers belong to the new grant. */
async function shredSpooled(context: VaultContext, grantId: string, generation: number): Promise<void> {
  const spool = await context.spool();
  const entries = await spool.list(grantId, spoolAnswers);
  for (const entry of entries) if (entry.head.generation <= generation) await entry.remove();
}
