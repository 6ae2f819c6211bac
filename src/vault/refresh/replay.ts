import { isGrantryError, isVaultDown } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { readTokenAnswer, salvageTokens } from '../../oauth/answer.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { findAttempt } from '../../storage/statements/attempts.ts';
import { listCandidates } from '../../storage/statements/candidates.ts';
import { type GrantRow, readGrant } from '../../storage/statements/grants.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { revokeOfGrant } from '../grant/revocations.ts';
import { openToken, refreshTokenOf } from '../grant/tokens.ts';
import { mayBeAlive } from '../spool/owner.ts';
import type { SpoolEntry, SpoolHead } from '../spool/spool.ts';
import { type CommitOutcome, commitTokens, parkTokens, type TokenAttempt } from './save.ts';

/**
 * Commits answers that were spooled and whose holder did not live to commit them; of one grant, or of all.
 *
 * Replaying is idempotent by grant, generation and fence: an answer that is in the row already changes nothing, one whose
 * lease is still the row's newest is saved, any other becomes a candidate. Returns how many answers changed something.
 */
export async function replaySpool(
  context: VaultContext,
  options: { grantId?: string; ownToo?: boolean; oldToo?: boolean; waitingOnly?: boolean } = {},
): Promise<number> {
  const spool = await context.spool();
  // Whoever is about to spend a grant's token takes every answer into account, whoever wrote it and wherever he got
  // stuck. Else attempts are committed by those who made them, unless the database has lost what they committed.
  const all = options.grantId !== undefined || options.ownToo === true;
  let adopted = 0;
  const failures: unknown[] = [];
  for (const entry of await spool.list(options.grantId, options)) {
    if (options.oldToo !== true && isTooOld(context, entry)) {
      await entry.remove().catch(() => {
        // It says nothing any more; the next look tries again.
      });
      continue;
    }
    if (!all && isLeftAlone(context, entry)) continue;
    try {
      if (await adopt(context, entry)) adopted += 1;
    } catch (error) {
      if (!keepsNoOther(context, entry, error)) throw error;
      failures.push(error);
    }
  }
  // Who asks for all of them is about to rely on it: to spend a token, or to end a quarantine or a failover.
  if (all && failures.length > 0) throw failures[0];
  return adopted;
}

/** An answer that cannot be committed yet keeps no other from it. */
function keepsNoOther(context: VaultContext, { head }: SpoolEntry, error: unknown): boolean {
  if (isVaultDown(error)) return false;
  const code = isGrantryError(error) ? error.code : 'internal';
  context.logger.error('a spooled answer cannot be committed yet', { tenant: head.tenant, grant: head.grantId, code });
  return true;
}

/** Committed files are kept a while, for a database that comes back without its last commits. */
function isTooOld(context: VaultContext, entry: SpoolEntry): boolean {
  return entry.committed && entry.writtenAt + context.times.spoolKeptMs < context.world.now();
}

/** Whoever may still commit its own answer is given the time to. Of another host only the clock tells. */
function isLeftAlone(context: VaultContext, entry: SpoolEntry): boolean {
  const { owner } = entry.head;
  if (owner.id === context.owner.id) return true;
  if (!mayBeAlive(owner)) return false;
  const isFresh = entry.writtenAt + context.times.marginMs > context.world.now();
  return owner.host === context.owner.host || isFresh;
}

async function adopt(context: VaultContext, entry: SpoolEntry): Promise<boolean> {
  const { head } = entry;
  const row = await readGrant(context.store.db, head.tenant, head.grantId);
  if (row === undefined) {
    context.logger.warn('a spooled answer belongs to no grant of this database', { grant: head.grantId });
    return false;
  }
  const attempt = await findAttempt(context.store.db, head);
  // Committed, and the database still knows it: the usual case of a file that is only being kept.
  if (attempt !== undefined && (attempt.outcome === 'saved' || attempt.outcome === 'parked')) {
    await entry.markCommitted();
    return false;
  }
  // A generation that went on without this answer has it behind itself, unless the database lost its tail.
  if (attempt === undefined && row.generation > head.generation) {
    await entry.markCommitted();
    return false;
  }
  const tenantKeys = await context.keys.pin(head.tenant);
  await fingerprinter(context);
  const raw = readable(context, entry, tenantKeys);
  if (raw === undefined) return false;
  const kept = await commitAnswer(context, { head, raw }, row, tenantKeys);
  if (kept === 'orphaned') {
    await entry.remove();
    await revokeOfGrant(context, head);
  } else await entry.markCommitted();
  context.logger.info('a spooled answer was adopted', { tenant: head.tenant, grant: head.grantId, kept });
  return kept !== 'nothing';
}

/** A file that does not open says nothing, and keeps no other from being read. What cannot be stored is not spent over. */
function readable(context: VaultContext, entry: SpoolEntry, tenantKeys: PinnedTenant): RawAnswer | undefined {
  try {
    return entry.read(tenantKeys);
  } catch {
    const { tenant, grantId, attemptId } = entry.head;
    context.logger.error('a spooled answer cannot be read', { tenant, grant: grantId, attempt: attemptId });
    return undefined;
  }
}

async function commitAnswer(
  context: VaultContext,
  { head, raw }: { head: SpoolHead; raw: RawAnswer },
  row: GrantRow,
  tenantKeys: PinnedTenant,
): Promise<CommitOutcome> {
  const definition = await context.providers.require(row.provider);
  const outcome = readTokenAnswer(definition, raw, 'refresh', context.world.now());
  const lease = {
    tenant: head.tenant,
    grantId: head.grantId,
    generation: head.generation,
    owner: head.owner.id,
    fence: head.fence,
  };
  const base = {
    lease,
    attemptId: head.attemptId,
    candidateId: head.candidateId,
    provider: row.provider,
    spentFingerprint: head.tokenFingerprint,
    tenantKeys,
  };
  if (outcome.kind === 'tokens') {
    const spentToken = outcome.tokens.refreshToken ?? (await spentTokenOf(context, tenantKeys, row, head));
    // Without a refresh token of its own, and with the stored one replaced since, the answer has nothing to keep.
    if (spentToken === null) return 'nothing';
    const attempt: TokenAttempt = { ...base, spentToken };
    return commitTokens(context, attempt, outcome.tokens);
  }
  const { refreshToken = null, accessToken = null } = salvageTokens(raw) ?? {};
  if (refreshToken === null) return 'nothing';
  const attempt: TokenAttempt = { ...base, spentToken: refreshToken };
  return parkTokens(context, attempt, { refreshToken, accessToken, expiresAt: null });
}

/** The token that an answer without one leaves in force: that which was sent, wherever it was kept. */
async function spentTokenOf(
  context: VaultContext,
  tenantKeys: PinnedTenant,
  row: GrantRow,
  head: SpoolHead,
): Promise<Secret | null> {
  if (row.generation !== head.generation) return null;
  const fingerprint = await fingerprinter(context);
  const tokens = head.candidateId === null ? storedOf(tenantKeys, row) : await candidatesOf(context, tenantKeys, row);
  return tokens.find((token) => fingerprint(token) === head.tokenFingerprint) ?? null;
}

function storedOf(tenantKeys: PinnedTenant, row: GrantRow): Secret[] {
  const stored = openToken(tenantKeys, row, 'refresh_token');
  return stored === null ? [] : [stored];
}

async function candidatesOf(context: VaultContext, tenantKeys: PinnedTenant, row: GrantRow): Promise<Secret[]> {
  const candidates = await listCandidates(context.store.db, {
    tenant: row.client_id,
    grantId: row.id,
    authorizedGeneration: row.authorized_generation,
    limit: limits.candidatesListedMax,
  });
  return candidates.map((each) => refreshTokenOf(tenantKeys, each)).filter((token) => token !== null);
}
