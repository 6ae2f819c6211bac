import { codeOf, isVaultDown } from '../../base/errors.ts';
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
 * Commits spooled answers whose holder died before it could commit them, for one grant or for all.
 *
 * A replay is idempotent by grant, generation and fence. An answer that the row already has changes nothing. An answer
 * whose lease is still the newest is saved. Any other becomes a candidate. Returns the number of answers that changed
 * something.
 */
export async function replaySpool(
  context: VaultContext,
  options: { grantId?: string; ownToo?: boolean; oldToo?: boolean; waitingOnly?: boolean } = {},
): Promise<number> {
  const spool = await context.spool();
  // A process that is about to spend a grant's token replays every answer, of any process and at any stage. Otherwise
  // each process commits its own answers, unless the database has lost its commits.
  const all = options.grantId !== undefined || options.ownToo === true;
  let replayed = 0;
  const failures: unknown[] = [];
  for (const entry of await spool.list(options.grantId, options)) {
    if (options.oldToo !== true && isTooOld(context, entry)) {
      await entry.remove().catch(() => {
        // The file is of no use any more. The next replay removes it.
      });
      continue;
    }
    if (!all && isLeftToHolder(context, entry)) continue;
    try {
      if (await replayEntry(context, entry)) replayed += 1;
    } catch (error) {
      if (!mayGoOn(context, entry, error)) throw error;
      failures.push(error);
    }
  }
  // A caller that asks for all answers relies on all of them: to spend a token, or to end a quarantine or a failover.
  if (all && failures.length > 0) throw failures[0];
  return replayed;
}

/** Lets the replay go on with the other answers, unless the vault itself is down. */
function mayGoOn(context: VaultContext, { head }: SpoolEntry, error: unknown): boolean {
  if (isVaultDown(error)) return false;
  const code = codeOf(error);
  context.logger.error('a spooled answer cannot be committed yet', { tenant: head.tenant, grant: head.grantId, code });
  return true;
}

/** True for a committed file that is no longer kept for a database that comes back without its last commits. */
function isTooOld(context: VaultContext, entry: SpoolEntry): boolean {
  return entry.committed && entry.writtenAt + context.times.spoolKeptMs < context.world.now();
}

/** True if the holder may still commit its own answer. For a holder on another host, only the clock tells. */
function isLeftToHolder(context: VaultContext, entry: SpoolEntry): boolean {
  const { owner } = entry.head;
  if (owner.id === context.owner.id) return true;
  if (!mayBeAlive(owner)) return false;
  const isFresh = entry.writtenAt + context.times.marginMs > context.world.now();
  return owner.host === context.owner.host || isFresh;
}

async function replayEntry(context: VaultContext, entry: SpoolEntry): Promise<boolean> {
  const { head } = entry;
  const row = await readGrant(context.store.db, head.tenant, head.grantId);
  if (row === undefined) {
    context.logger.warn('a spooled answer belongs to no grant in this database', { grant: head.grantId });
    return false;
  }
  const attempt = await findAttempt(context.store.db, head);
  // The usual case of a kept file: its answer is committed, and the database still has it.
  if (attempt !== undefined && (attempt.outcome === 'saved' || attempt.outcome === 'parked')) {
    await entry.markCommitted();
    return false;
  }
  // A newer generation makes this answer obsolete, unless the database has lost its tail.
  if (attempt === undefined && row.generation > head.generation) {
    await entry.markCommitted();
    return false;
  }
  const tenantKeys = await context.keys.pin(head.tenant);
  await fingerprinter(context);
  const raw = openAnswer(context, entry, tenantKeys);
  if (raw === undefined) return false;
  const outcome = await commitAnswer(context, { head, raw }, row, tenantKeys);
  if (outcome === 'orphaned') {
    await entry.remove();
    await revokeOfGrant(context, head);
  } else await entry.markCommitted();
  context.logger.info('a spooled answer was replayed', { tenant: head.tenant, grant: head.grantId, outcome });
  return outcome !== 'nothing';
}

/** Opens a spooled answer. A file that does not open is useless, and must not prevent the replay of others. */
function openAnswer(context: VaultContext, entry: SpoolEntry, tenantKeys: PinnedTenant): RawAnswer | undefined {
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
  const fingerprint = await fingerprinter(context);
  const isSpent = (token: Secret) => fingerprint(token) === head.tokenFingerprint;
  const outcome = readTokenAnswer(definition, raw, 'refresh', { now: context.world.now(), isSpent });
  const { tenant, grantId, generation, fence } = head;
  const base = {
    lease: { tenant, grantId, generation, owner: head.owner.id, fence },
    attemptId: head.attemptId,
    candidateId: head.candidateId,
    provider: row.provider,
    spentFingerprint: head.tokenFingerprint,
    tenantKeys,
  };
  if (outcome.kind === 'tokens') {
    const spentToken = outcome.tokens.refreshToken ?? (await spentTokenOf(context, tenantKeys, row, head));
    // An answer without a refresh token is useless once the stored one was replaced.
    if (spentToken === null) return 'nothing';
    const attempt: TokenAttempt = { ...base, spentToken };
    return commitTokens(context, attempt, outcome.tokens);
  }
  const salvaged = salvageTokens(raw, isSpent);
  const [likeliest] = salvaged?.refreshTokens ?? [];
  if (salvaged === null || likeliest === undefined) return 'nothing';
  return parkTokens(context, { ...base, spentToken: likeliest }, salvaged);
}

/** Finds the refresh token that an answer without one leaves valid: the token that was sent. */
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
  const candidates = await listCandidates(context.store.db, row);
  return candidates.map((each) => refreshTokenOf(tenantKeys, each)).filter((token) => token !== null);
}
