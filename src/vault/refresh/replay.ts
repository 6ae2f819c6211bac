import { isGrantryError, isVaultDown } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { readTokenAnswer, salvageTokens } from '../../oauth/answer.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { findAttempt } from '../../storage/statements/attempts.ts';
import { findCandidate, listCandidates } from '../../storage/statements/candidates.ts';
import { type GrantRow, readGrant } from '../../storage/statements/grants.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { appOfCandidate } from '../grant/replaced.ts';
import { revokeOfGrant } from '../grant/revocations.ts';
import { openToken, refreshTokenOf } from '../grant/tokens.ts';
import { factsOfHead } from '../spool/head.ts';
import type { SpoolKind } from '../spool/names.ts';
import { mayBeAlive } from '../spool/owner.ts';
import type { SpoolEntry, SpoolHead } from '../spool/spool.ts';
import { type CommitOutcome, commitWhatFits, parkTokens } from './save.ts';
import { forgetRetry, isRetryDue, liftHold, postponeRetry, setAside } from './set-aside.ts';

/** The result of a replay. */
export interface Replayed {
  /** The number of answers that changed something. */
  readonly changed: number;
  /** The answers that the database refuses to save. Each one is set aside, and holds only its own grant. */
  readonly setAside: readonly SpoolHead[];
}

export interface ReplayOptions {
  /** Replays the answers of one grant. */
  readonly grantId?: string;
  /** Replays also what living processes may still commit. */
  readonly ownToo?: boolean;
  /** Replays also what was committed too long ago for a failover to lose it. */
  readonly oldToo?: boolean;
  /** By default all kinds but `unread`. */
  readonly kinds?: readonly SpoolKind[];
  /** Replays so many at most. */
  readonly most?: number;
  /** Tries set-aside answers again before their pause is over. */
  readonly retryNow?: boolean;
}

/**
 * Commits spooled answers whose holder died before it could commit them, for one grant or for all.
 *
 * A replay is idempotent by grant, generation and fence. An answer that the row already has changes nothing. An answer
 * whose lease is still the newest is saved. Any other becomes a candidate. An answer that the database refuses stops no
 * other answer.
 *
 * @throws {GrantryError} `storage_unavailable`, `vault_sealed`: the answers stay in the spool
 */
export async function replaySpool(context: VaultContext, options: ReplayOptions = {}): Promise<Replayed> {
  const spool = await context.spool();
  let changed = 0;
  const setAsideHeads: SpoolHead[] = [];
  for (const entry of await spool.list(options.grantId, options.kinds, options.most)) {
    if (options.oldToo !== true && isTooOld(context, entry)) {
      await entry.remove().catch(() => {
        // The file is of no use any more. The next replay removes it.
      });
      continue;
    }
    const outcome = await replayUnlessHeld(context, entry, options);
    if (outcome === 'changed') changed += 1;
    if (outcome === 'set_aside') setAsideHeads.push(entry.head);
  }
  for (const path of spool.newlyUnreadable()) context.logger.error('a part of the spool cannot be read', { path });
  return { changed, setAside: setAsideHeads };
}

async function replayUnlessHeld(
  context: VaultContext,
  entry: SpoolEntry,
  options: ReplayOptions,
): Promise<'changed' | 'unchanged' | 'set_aside'> {
  // A process that is about to spend a grant's token replays every answer, of any process and at any stage. Otherwise
  // each process commits its own answers, unless the database has lost its commits.
  const all = options.grantId !== undefined || options.ownToo === true;
  if (!all && entry.kind === 'answer' && isLeftToHolder(context, entry)) return 'unchanged';
  const isRetry = entry.kind === 'refused' || entry.kind === 'unread';
  if (isRetry && options.retryNow !== true && !isRetryDue(context, entry.head)) {
    return entry.kind === 'refused' ? 'set_aside' : 'unchanged';
  }
  try {
    return (await replayEntry(context, entry)) ? 'changed' : 'unchanged';
  } catch (error) {
    if (isVaultDown(error)) throw error;
    await setAside(context, entry.head, entry, { error, retryInMs: context.times.suspectConfirmMs });
    return 'set_aside';
  }
}

/** True for a committed file that is no longer kept for a database that comes back without its last commits. */
function isTooOld(context: VaultContext, entry: SpoolEntry): boolean {
  return entry.committed && entry.keptSince + context.times.spoolKeptMs < context.world.now();
}

/** True if the holder may still commit its own answer. For a holder on another host, only the clock tells. */
function isLeftToHolder(context: VaultContext, entry: SpoolEntry): boolean {
  const { owner } = entry.head;
  if (!mayBeAlive(owner)) return false;
  const isFresh = entry.writtenAt + context.times.marginMs > context.world.now();
  return owner.host === context.owner.host || isFresh;
}

async function replayEntry(context: VaultContext, entry: SpoolEntry): Promise<boolean> {
  const { head } = entry;
  const row = await readGrant(context.store.db, head.tenant, head.grantId);
  if (row === undefined) {
    context.logger.warn('a spooled answer belongs to no grant in this database', { grant: head.grantId });
    postponeRetry(context, head.attemptId);
    return false;
  }
  const attempt = await findAttempt(context.store.db, head);
  // The usual case of a kept file: its answer is committed, and the database still has it.
  const isKnown = attempt !== undefined && (attempt.outcome === 'saved' || attempt.outcome === 'parked');
  // A newer generation makes this answer obsolete, unless the database has lost its tail.
  const isObsolete = attempt === undefined && row.generation > head.generation && entry.kind !== 'unread';
  const isOver = isObsolete || isOfPastAuthorization(row, entry);
  if (isKnown || (isOver && !(await isSpentTokenKept(context, row, head)))) {
    await settled(context, entry);
    return false;
  }
  // Read fresh: another process may have shredded and remade the tenant's keys.
  const tenantKeys = await context.keys.pin(head.tenant, { fresh: true });
  await fingerprinter(context);
  const raw = openAnswer(context, entry, tenantKeys);
  const outcome = raw === undefined ? 'unread' : await commitAnswer(context, { head, raw }, row, tenantKeys);
  if (outcome === 'unread') return leaveUnread(context, entry);
  // Nothing can be spent where the provider is unknown. A process that knows it reads the answer.
  if (outcome === 'unknown_provider') return false;
  if (outcome === 'orphaned') {
    forgetRetry(context, head.attemptId);
    await entry.remove();
    await revokeOfGrant(context, head);
  } else await settled(context, entry);
  context.logger.info('a spooled answer was replayed', { tenant: head.tenant, grant: head.grantId, outcome });
  return outcome !== 'nothing';
}

/** True for a set-aside answer to an authorization that a newer one has replaced: its tokens are of no use any more. */
function isOfPastAuthorization(row: GrantRow, { kind, head }: SpoolEntry): boolean {
  if (kind !== 'refused' && kind !== 'unread') return false;
  // If the spent token was stored again, this answer holds its successor.
  return head.generation < row.authorized_generation && head.tokenFingerprint !== row.refresh_fingerprint;
}

/** True if the spent token was replaced by hand and is kept for `recover`: only this answer holds its living successor. */
async function isSpentTokenKept(context: VaultContext, row: GrantRow, head: SpoolHead): Promise<boolean> {
  const { tenant, grantId, tokenFingerprint: fingerprint } = head;
  const kept = await findCandidate(context.store.db, { tenant, grantId, fingerprint });
  return kept !== undefined && kept.state === 'untested' && kept.generation < row.authorized_generation;
}

async function settled(context: VaultContext, entry: SpoolEntry): Promise<void> {
  forgetRetry(context, entry.head.attemptId);
  await entry.markCommitted();
  if (entry.kind === 'refused') await liftHold(context, entry.head);
}

/** Keeps an answer that may hold tokens and is not understood: a later version may read it. */
async function leaveUnread(context: VaultContext, entry: SpoolEntry): Promise<false> {
  postponeRetry(context, entry.head.attemptId);
  if (entry.kind === 'answer' || entry.kind === 'refused') await entry.setAside('unread');
  if (entry.kind === 'refused') await liftHold(context, entry.head);
  return false;
}

/** Opens a spooled answer. A file that does not open must not prevent the replay of others. */
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
): Promise<CommitOutcome | 'unread' | 'unknown_provider'> {
  const fingerprint = await fingerprinter(context);
  const isSpent = (token: Secret) => fingerprint(token) === head.tokenFingerprint;
  const { tenant, grantId, generation, fence } = head;
  const base = {
    lease: { tenant, grantId, generation, owner: head.owner.id, fence },
    attemptId: head.attemptId,
    candidateId: head.candidateId,
    provider: row.provider,
    spentFingerprint: head.tokenFingerprint,
    tenantKeys,
    facts: factsOfHead(head),
    app: await appOfSpent(context, tenantKeys, row, head),
  };
  const definition = await definitionOf(context, row);
  if (definition !== undefined) {
    const outcome = readTokenAnswer(definition, raw, 'refresh', { now: context.world.now(), isSpent });
    if (outcome.kind === 'tokens') {
      const spentToken = outcome.tokens.refreshToken ?? (await spentTokenOf(context, tenantKeys, row, head));
      // An answer without a refresh token is useless once the stored one was replaced.
      if (spentToken === null) return 'nothing';
      return commitWhatFits(context, { ...base, spentToken }, outcome.tokens);
    }
    if (outcome.kind === 'refused') return 'nothing';
  }
  const salvaged = salvageTokens(raw, isSpent);
  const [likeliest] = salvaged?.refreshTokens ?? [];
  if (salvaged !== null && likeliest !== undefined) {
    return parkTokens(context, { ...base, spentToken: likeliest }, salvaged);
  }
  if (raw.body === null) return 'nothing';
  return definition === undefined ? 'unknown_provider' : 'unread';
}

/** Returns the provider's definition; undefined in a process that does not have it, where tokens can only be parked. */
async function definitionOf(context: VaultContext, row: GrantRow): Promise<ProviderDefinition | undefined> {
  try {
    return await context.providers.require(row.provider);
  } catch (error) {
    if (isGrantryError(error, 'not_found') || isGrantryError(error, 'provider_misconfigured')) return undefined;
    throw error;
  }
}

/** Finds the refresh token that an answer without one leaves valid: the token that was sent. */
async function spentTokenOf(
  context: VaultContext,
  tenantKeys: PinnedTenant,
  row: GrantRow,
  head: SpoolHead,
): Promise<Secret | null> {
  const fingerprint = await fingerprinter(context);
  const tokens = head.candidateId === null ? storedOf(tenantKeys, row) : await candidatesOf(context, tenantKeys, row);
  return tokens.find((token) => fingerprint(token) === head.tokenFingerprint) ?? null;
}

/** Finds the app of a spent candidate; null for the grant's own. */
async function appOfSpent(
  context: VaultContext,
  tenantKeys: PinnedTenant,
  row: GrantRow,
  { candidateId }: SpoolHead,
): Promise<string | null> {
  if (candidateId === null) return null;
  const all = await listCandidates(context.store.db, row);
  const spent = all.find(({ id }) => id === candidateId);
  return spent === undefined ? null : appOfCandidate(tenantKeys, row, spent, all);
}

function storedOf(tenantKeys: PinnedTenant, row: GrantRow): Secret[] {
  const stored = openToken(tenantKeys, row, 'refresh_token');
  return stored === null ? [] : [stored];
}

async function candidatesOf(context: VaultContext, tenantKeys: PinnedTenant, row: GrantRow): Promise<Secret[]> {
  const candidates = await listCandidates(context.store.db, row);
  return candidates.map((each) => refreshTokenOf(tenantKeys, row, each)).filter((token) => token !== null);
}
