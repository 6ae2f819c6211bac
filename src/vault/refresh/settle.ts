import { GrantryError, type GrantryErrorCode, isGrantryError, isVaultDown } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import { readTokenAnswer, salvageTokens } from '../../oauth/answer.ts';
import type { IsSpent } from '../../oauth/salvage.ts';
import type { RawAnswer, TokenOutcome } from '../../oauth/types.ts';
import type { WriteTx } from '../../storage/database.ts';
import { finishAttempt } from '../../storage/statements/attempts.ts';
import { type GrantRow, lockGrant, readGrant } from '../../storage/statements/grants.ts';
import { type GrantVerdict, releaseLease, settleLease } from '../../storage/statements/leases.ts';
import { deleteTokenRequest } from '../../storage/statements/token-requests.ts';
import { compartmentOf } from '../bulkhead.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { fingerprinter, isoNow, type VaultContext } from '../context.ts';
import { factsOf } from '../grant/facts.ts';
import { providerFailure, providerFailures, refusalWords } from '../grant/provider-failures.ts';
import {
  answerLost,
  answerSetAside,
  mustReauthorize,
  refusedOnce,
  UselessAnswerError,
  wordsOfLoss,
} from '../grant/refusals.ts';
import { revokeOfGrant } from '../grant/revocations.ts';
import { reasons } from '../reasons.ts';
import { refusesCandidateClient, settleRefusedCandidateClient } from './candidate-client.ts';
import { type Claim, pendingOutcomeOf } from './claim.ts';
import { overlapLeftMs, overlapMsOf, pauseInOverlap } from './overlap.ts';
import type { RefreshPlan } from './plan-type.ts';
import { type CommitOutcome, commitWhatFits, parkTokens, type TokenAttempt } from './save.ts';
import { condemnedVerdict } from './second-chance.ts';
import { setAside } from './set-aside.ts';
import { judgeRefusal } from './verdict.ts';

/**
 * Parses an answer and writes its consequences. Returns `saved`, or `again` if the row must be read again to decide
 * what to try or wait for.
 *
 * @throws {GrantryError} every other outcome; the grant's row then states the same
 */
export async function settleAnswer(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  raw: RawAnswer,
): Promise<'saved' | 'again'> {
  const fingerprint = await fingerprinter(context);
  const isSpent = (token: Secret) => fingerprint(token) === plan.tokenFingerprint;
  const sent = [plan.refreshToken, plan.client.clientSecret].filter((secret) => secret !== null);
  const outcome = readTokenAnswer(plan.definition, raw, 'refresh', { now: context.world.now(), isSpent, sent });
  const attempt = attemptOf(plan, claim);
  if (outcome.kind === 'tokens') {
    if (outcome.notes.length > 0) {
      const { client_id: tenant, provider } = plan.row;
      context.logger.warn('members of an answer were dropped', { tenant, provider, members: outcome.notes.join('; ') });
    }
    const commit = () => commitWhatFits(context, attempt, outcome.tokens);
    const committed = await commitOrSetAside(context, plan, claim, commit);
    await finishCommit(context, plan, committed);
    // Parked tokens are no generation yet. The process that holds the lease now makes them one.
    return committed === 'saved' ? 'saved' : 'again';
  }
  if (outcome.kind === 'unknown') {
    const committed = await commitOrSetAside(context, plan, claim, () => salvage(context, attempt, raw, isSpent));
    // An answer without a body holds no token: it need not be kept to be read again.
    await finishCommit(context, plan, raw.body === null ? 'nothing' : committed);
    // If a provider cuts every answer, the requests keep the pace of the back-off: the next candidate waits that long.
    if (committed === 'parked' && plan.candidateId === null) return 'again';
    const cause = new UselessAnswerError(outcome.reason);
    const facts = { code: 'provider_error', isAnswered: isWholeAnswer(raw) } as const;
    return againOrThrow(await settleLostAnswer(context, plan, claim, cause, facts));
  }
  await plan.slot.discard();
  if (plan.isCandidateClient && refusesCandidateClient(outcome)) {
    const settle = () => settleRefusedCandidateClient(context, claim, outcome);
    throw await recordOutcome(context, { plan, claim }, 'failed', refusalWords(outcome), settle);
  }
  if (outcome.class === 'grant_refused') return settleRefusal(context, plan, claim, outcome);
  return againOrThrow(await settleFailure(context, plan, claim, { ...outcome, isAnswered: isWholeAnswer(raw) }));
}

/** Throws what the caller must hear. A holder that was overtaken hears nothing: it reads the row again. */
function againOrThrow(settled: GrantryError | 'again'): 'again' {
  if (settled === 'again') return settled;
  throw settled;
}

/**
 * Commits tokens, however long the database is down. If the database refuses them, the answer is set aside for its grant.
 *
 * @throws {GrantryError} `refresh_uncertain` after an answer was set aside
 */
async function commitOrSetAside<T>(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  commit: () => Promise<T>,
): Promise<T> {
  try {
    return await untilStored(context, commit);
  } catch (error) {
    if (isVaultDown(error)) throw error;
    const isKept = await setAside(context, claim.head, plan.slot, { error, retryInMs: claim.backOffMs });
    throw isKept ? answerSetAside(plan.row, claim.backOffMs) : answerLost(plan.row, claim.backOffMs, error);
  }
}

/** Marks or removes the spool file of an answer whose outcome the database has, and revokes orphaned tokens. */
async function finishCommit(
  context: VaultContext,
  plan: RefreshPlan,
  committed: CommitOutcome | 'unread',
): Promise<void> {
  if (committed !== 'orphaned') {
    // An answer that was not understood may hold the only copy of the living token: `recover` reads it again.
    const move = committed === 'unread' ? plan.slot.setAside('unread') : plan.slot.markCommitted();
    await move.catch(() => {
      // The file keeps its name and is replayed later, which changes nothing.
    });
    return;
  }
  await plan.slot.discard();
  await revokeOfGrant(context, { tenant: plan.row.client_id, grantId: plan.row.id });
}

/** Describes the attempt that brought the tokens, for a commit. */
function attemptOf(plan: RefreshPlan, claim: Claim): TokenAttempt {
  return {
    lease: claim.lease,
    attemptId: claim.attemptId,
    candidateId: plan.candidateId,
    provider: plan.row.provider,
    spentToken: plan.refreshToken,
    spentFingerprint: plan.tokenFingerprint,
    tenantKeys: plan.tenantKeys,
    facts: factsOf(plan.row),
    app: plan.tokenApp,
    added: claim.added,
  };
}

/**
 * Undoes an attempt whose request was not sent. Returns true if a new look at the row is due at once: this process stopped
 * the request itself (`keptBack`), or another one has taken the lease meanwhile.
 */
export async function settleNotSent(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  keptBack: boolean,
): Promise<boolean> {
  const detail = keptBack ? 'kept back' : 'not reached';
  return recordOutcome(context, { plan, claim }, 'not_sent', detail, async () => {
    const retryInMs = pauseInOverlap(context, claim.backOffMs, await overlapLeftMs(context, plan.row));
    const verdict = unchanged(context, plan, claim, 'provider_unavailable', retryInMs);
    return changing(context, async ({ tx }) => {
      await endAttempt(tx, claim, 'not_sent', detail);
      const isOurs = await (keptBack ? releaseLease(tx, claim.lease) : settleLease(tx, claim.lease, verdict));
      // Grant before budget, in the order of a claim: any other order could deadlock.
      await deleteTokenRequest(tx, { fingerprint: plan.tokenFingerprint, attemptId: claim.attemptId });
      return keptBack || !isOurs;
    });
  });
}

/** Writes a known outcome, or keeps it in memory for later if the database is down. */
function recordOutcome<T>(
  context: VaultContext,
  { plan, claim }: { plan: RefreshPlan; claim: Claim },
  outcome: 'not_sent' | 'failed' | 'refused',
  detail: string | null,
  write: () => Promise<T>,
): Promise<T> {
  return context.pendingOutcomes.orRemember(pendingOutcomeOf(plan, claim.lease.fence, outcome, detail), write);
}

/** Facts about an answer that said nothing about the tokens. */
interface LostAnswer {
  readonly code?: GrantryErrorCode;
  /** The pause that the provider asked for. */
  readonly retryAfterMs?: number | undefined;
  /** True if the provider's own answer arrived whole, so that the request is no longer under way. */
  readonly isAnswered?: boolean;
}

/** Statuses by which a gateway says that it waits no longer. The provider behind it may still be at work. */
const gatewayTimeouts: readonly number[] = [504, 524, 598, 599];

/** True if no request is under way any more: the provider itself has answered, and the answer is complete. */
function isWholeAnswer({ status, incomplete }: RawAnswer): boolean {
  return !incomplete && !gatewayTimeouts.includes(status);
}

/**
 * Settles a request that was sent and whose outcome is unknown. Returns the error for the caller, or `again` if another
 * process has taken the lease meanwhile: the row then says more than this request.
 *
 * If tokens do not rotate, nothing can be lost. Otherwise the grant becomes uncertain, and its rotation decides when
 * the spent token may be tried again: inside the overlap, or after the back-off. At a strict provider the first request
 * must no longer be under way. So the lease stays until its end, unless the provider's answer arrived whole. The provider is
 * done with the request. If it spent the token, the next request is refused, and a
 * wait would change nothing. If it did not, the next request brings the tokens.
 */
export async function settleLostAnswer(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  cause: unknown,
  { code = 'provider_unavailable', retryAfterMs, isAnswered = false }: LostAnswer = {},
): Promise<GrantryError | 'again'> {
  if (isGrantryError(cause, 'provider_misconfigured')) {
    return (await settleNotSent(context, plan, claim, false)) ? 'again' : cause;
  }
  const rotates = plan.definition.refreshToken.rotation !== 'none';
  const keepLease = plan.leaseKind === 'strict' && !isAnswered;
  const passedMs = context.world.monotonic() - claim.claimedAt;
  const overlapMs = overlapMsOf(context, plan.definition);
  const begunMs = await overlapLeftMs(context, plan.row);
  // Earlier requests may never have arrived: then the overlap begins with this request.
  const ownMs = overlapMs === null ? null : overlapMs - passedMs;
  const leftMs = begunMs !== null && begunMs > 0 ? begunMs : ownMs;
  const pauseMs = retryAfterMs ?? claim.backOffMs;
  // Once the overlap is over, obeying the provider's pause costs nothing.
  const mayObey = retryAfterMs !== undefined && begunMs !== null && begunMs <= 0;
  const retryInMs = keepLease
    ? Math.max(retryAfterMs ?? 0, context.times.strictLeaseMs - passedMs)
    : pauseInOverlap(context, pauseMs, mayObey ? null : leftMs);
  if (retryAfterMs !== undefined && retryInMs >= retryAfterMs) obey(context, plan, retryAfterMs);
  const at = isoNow(context);
  const why = cause instanceof UselessAnswerError ? cause.message : null;
  const isOurs = await changing(context, async (change) => {
    const { tx } = change;
    await endAttempt(tx, claim, 'unknown', why ?? wordsOfLoss);
    const verdict: GrantVerdict = rotates
      ? { state: 'uncertain', reason: reasons.answerLost, retryInMs, keepLease, at }
      : unchanged(context, plan, claim, code, pauseMs);
    const settled = await settleLease(tx, claim.lease, verdict);
    if (!settled || !rotates || claim.state === 'uncertain') return settled;
    const grant = { ...plan.row, state: claim.state };
    change.record(grant, { type: 'grant.uncertain', to: 'uncertain', reason: reasons.answerLost });
    return settled;
  });
  if (!isOurs) return 'again';
  const toldMs = keepLease || retryAfterMs !== undefined ? retryInMs : untilProbe(context, retryInMs);
  if (!rotates) {
    const text = `${plan.row.provider} gave no usable answer${why === null ? '' : `: ${why}`}.`;
    const reason = why === null ? 'answer_lost' : 'unusable_answer';
    return new GrantryError(code, text, { cause, retryAfterMs: toldMs, reason });
  }
  return answerLost(plan.row, toldMs, cause);
}

/** A provider in trouble said when to come back: until then no grant of it probes. Other processes hear it with their own try. */
function obey(context: VaultContext, plan: RefreshPlan, retryAfterMs: number): void {
  const longestMs = context.times.retryBackOffMsMax;
  context.bulkheads.notePause(compartmentOf(plan.row), Math.min(retryAfterMs, longestMs));
}

/** Returns when a caller should come back after a failure: before its back-off ends, its call may probe the provider. */
export function untilProbe(context: VaultContext, backOffMs: number): number {
  return Math.min(backOffMs, context.times.breakerPauseMsMax);
}

async function settleRefusal(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  outcome: Extract<TokenOutcome, { kind: 'refused' }>,
): Promise<'again'> {
  const { tenant, grantId, fence } = claim.lease;
  const words = refusalWords(outcome);
  const judge = async (change: ChangeTransaction) => {
    const row = await endAttempt(change.tx, claim, 'refused', words);
    // If the lease was lost meanwhile, another process may have replaced the refused token. The refusal decides
    // nothing.
    if (row === undefined || row.generation !== claim.lease.generation || row.lease_fence !== fence) return undefined;
    return judgeRefusal(context, plan, change, row, { fence, error: outcome.error });
  };
  const state = await recordOutcome(context, { plan, claim }, 'refused', words, () => changing(context, judge));
  if (state === undefined || state === 'uncertain') return 'again';
  if (state === 'suspect') throw refusedOnce(plan.row, context.times.suspectConfirmMs, words);
  const row = await readGrant(context.store.db, tenant, grantId);
  throw mustReauthorize(row ?? { ...plan.row, reason: reasons.refused }, words);
}

/** Settles an answer that is not about the grant, so it cannot harm the grant. */
async function settleFailure(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  outcome: Extract<TokenOutcome, { kind: 'refused' }> & { readonly isAnswered: boolean },
): Promise<GrantryError | 'again'> {
  if (outcome.class === 'grant_refused')
    throw new GrantryError('internal', 'A refusal of the grant was settled as a failure.');
  // A server that fails after it spent the token answers like one that failed before. So the answer counts as lost.
  // If a lost answer ends the grant, an outage would end all grants: there the answer counts as a failure.
  const { rotation, replayAfterLoss } = plan.definition.refreshToken;
  if (outcome.class === 'unavailable' && rotation !== 'none' && replayAfterLoss) {
    const retryAfterMs = outcome.retryAfterMs ?? undefined;
    const { isAnswered } = outcome;
    return settleLostAnswer(
      context,
      plan,
      claim,
      new UselessAnswerError(`${plan.row.provider} answered with status ${outcome.status}`),
      { retryAfterMs, isAnswered },
    );
  }
  const mayBeUnderWay = outcome.class === 'unavailable' && !outcome.isAnswered;
  const keepLease = plan.leaseKind === 'strict' && mayBeUnderWay;
  const [code] = providerFailures[outcome.class];
  const windowMs = (plan.definition.tokenLimit?.windowSeconds ?? 60) * 1_000;
  const throttledMs = outcome.class === 'throttled' ? windowMs : claim.backOffMs;
  const settled = await recordOutcome(context, { plan, claim }, 'failed', refusalWords(outcome), async () => {
    const leftMs = await overlapLeftMs(context, plan.row);
    const leaseMs = keepLease ? context.times.strictLeaseMs - (context.world.monotonic() - claim.claimedAt) : 0;
    const pauseMs = Math.max(leaseMs, outcome.retryAfterMs ?? pauseInOverlap(context, throttledMs, leftMs));
    const isOurs = await changing(context, async ({ tx }) => {
      await endAttempt(tx, claim, 'failed', refusalWords(outcome));
      return settleLease(tx, claim.lease, { ...unchanged(context, plan, claim, code, pauseMs), keepLease });
    });
    return { isOurs, retryInMs: pauseMs };
  });
  const { retryInMs } = settled;
  if (outcome.class === 'unavailable' && outcome.retryAfterMs !== null) obey(context, plan, outcome.retryAfterMs);
  if (!settled.isOurs) return 'again';
  const isOwn = outcome.class === 'unavailable' && outcome.retryAfterMs === null && !keepLease;
  const toldMs = isOwn ? untilProbe(context, retryInMs) : retryInMs;
  const client = { provider: plan.row.provider, app: plan.appName, dc: plan.client.dc };
  return providerFailure(outcome.class, outcome, client, toldMs);
}

/** Parks the complete tokens of an answer that is broken or cut: it may hold the only copy of the working one. */
async function salvage(
  context: VaultContext,
  attempt: TokenAttempt,
  raw: RawAnswer,
  isSpent: IsSpent,
): Promise<CommitOutcome | 'unread'> {
  const salvaged = salvageTokens(raw, isSpent);
  if (salvaged === null || salvaged.refreshTokens.length === 0) return 'unread';
  return parkTokens(context, attempt, salvaged);
}

/** Retries until the database saves the tokens, which exist only in memory and in the spool. */
async function untilStored<T>(context: VaultContext, store: () => Promise<T>): Promise<T> {
  const { commitPauseMs, commitPauseMsMax } = context.times;
  for (let pauseMs: number = commitPauseMs; ; pauseMs = Math.min(commitPauseMsMax, pauseMs * 2)) {
    try {
      return await store();
    } catch (error) {
      if (!isGrantryError(error, 'storage_unavailable') || context.closing()) throw error;
      context.logger.error('an answer cannot be saved; it stays in the spool and the save is retried', {});
      await context.world.sleep(pauseMs);
    }
  }
}

/** Writes how an attempt ended. The grant's row is locked first, as in a claim: any other order could deadlock. */
async function endAttempt(
  tx: WriteTx,
  { lease: { tenant, grantId }, attemptId: id }: Claim,
  outcome: 'not_sent' | 'unknown' | 'refused' | 'failed',
  detail: string | null,
): Promise<GrantRow | undefined> {
  const row = await lockGrant(tx, tenant, grantId);
  await finishAttempt(tx, { tenant, id, outcome, detail });
  return row;
}

/** Keeps the state, and sets the reason and the time of the next try. */
function unchanged(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  code: GrantryErrorCode,
  retryInMs: number,
): GrantVerdict {
  // A failed second chance leaves a condemned grant as it was, with its reason.
  if (plan.recovering) {
    const condemnedForMs = context.world.now() - (plan.row.condemned_at ?? context.world.now());
    return {
      ...condemnedVerdict(context, plan.definition, { reason: plan.row.reason, condemnedForMs }),
      at: isoNow(context),
    };
  }
  return { state: claim.state, reason: code, retryInMs, at: isoNow(context) };
}
