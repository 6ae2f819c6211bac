import { GrantryError, type GrantryErrorCode, isGrantryError } from '../../base/errors.ts';
import { readTokenAnswer, salvageTokens } from '../../oauth/answer.ts';
import type { RawAnswer, TokenOutcome } from '../../oauth/types.ts';
import type { ErrorClass } from '../../providers/definition.ts';
import { finishAttempt } from '../../storage/statements/attempts.ts';
import { lockGrant, readGrant } from '../../storage/statements/grants.ts';
import { type GrantVerdict, releaseLease, settleLease } from '../../storage/statements/leases.ts';
import { deleteTokenRequest } from '../../storage/statements/token-requests.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { isoNow, type VaultContext } from '../context.ts';
import { mustReauthorize } from '../grant/refusals.ts';
import { revokeOfGrant } from '../grant/revocations.ts';
import { reasons } from '../reasons.ts';
import { refusesCandidateClient, settleRefusedCandidateClient } from './candidate-client.ts';
import { type Claim, pendingOutcomeOf } from './claim.ts';
import { overlapLeftMs, overlapMsOf, pauseInOverlap } from './overlap.ts';
import type { RefreshPlan } from './plan-type.ts';
import { type CommitOutcome, commitTokens, parkTokens, type TokenAttempt } from './save.ts';
import { condemnedVerdict } from './second-chance.ts';
import { judgeRefusal } from './verdict.ts';

/** Tokens that arrived may wait for a database that is down for as long as it takes; the pause grows up to this. */
const commitPauseMsMax = 5_000;

/**
 * Understands an answer and writes what follows from it. Returns `saved`, or `again` when the row is to be read anew: it
 * says what is to be tried or waited for.
 *
 * @throws {GrantryError} everything else that a caller must know; the grant's row says the same by then
 */
export async function settleAnswer(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  raw: RawAnswer,
): Promise<'saved' | 'again'> {
  const outcome = readTokenAnswer(plan.definition, raw, 'refresh', context.world.now());
  const attempt = attemptOf(plan, claim);
  if (outcome.kind === 'tokens') {
    const kept = await untilStored(context, () => commitTokens(context, attempt, outcome.tokens));
    await finishKept(context, plan, kept);
    // Parked, they are no generation yet: whoever has the lease now will make it one.
    return kept === 'saved' ? 'saved' : 'again';
  }
  if (outcome.kind === 'unknown') {
    const kept = await salvage(context, attempt, raw);
    await finishKept(context, plan, kept);
    // A provider that cuts every answer is asked again at its back-off's pace: the candidate waits that long.
    if (kept === 'parked' && plan.candidateId === null) return 'again';
    throw await settleLostAnswer(context, plan, claim, new Error(outcome.reason), { code: 'provider_error' });
  }
  await plan.slot.discard();
  if (plan.isCandidateClient && refusesCandidateClient(outcome)) {
    const settle = () => settleRefusedCandidateClient(context, claim, outcome);
    throw await remembering(context, { plan, claim }, 'failed', outcome.error, settle);
  }
  if (outcome.class === 'grant_refused') return refused(context, plan, claim, outcome);
  throw await settleFailure(context, plan, claim, outcome);
}

/** The answer is in the database, one way or another: what becomes of its file, and of tokens that nobody may keep. */
async function finishKept(context: VaultContext, plan: RefreshPlan, kept: CommitOutcome | 'unusable'): Promise<void> {
  if (kept !== 'orphaned' && kept !== 'unusable') {
    await plan.slot.markCommitted().catch(() => {
      // The file stays under its first name and is replayed later, which changes nothing.
    });
    return;
  }
  await plan.slot.discard();
  if (kept === 'orphaned') await revokeOfGrant(context, { tenant: plan.row.client_id, grantId: plan.row.id });
}

/** What a commit needs to know of the attempt that brought the tokens. */
function attemptOf(plan: RefreshPlan, claim: Claim): TokenAttempt {
  return {
    lease: claim.lease,
    attemptId: claim.attemptId,
    candidateId: plan.candidateId,
    provider: plan.row.provider,
    spentToken: plan.refreshToken,
    spentFingerprint: plan.tokenFingerprint,
    tenantKeys: plan.tenantKeys,
  };
}

/** Nothing was sent: the attempt is taken back. True when we kept it back ourselves, so that trying again is due. */
export async function settleNotSent(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  keptBack: boolean,
): Promise<boolean> {
  const detail = keptBack ? 'kept back' : 'not reached';
  return remembering(context, { plan, claim }, 'not_sent', detail, async () => {
    const retryInMs = pauseInOverlap(context, claim.backOffMs, await overlapLeftMs(context, plan.row));
    await changing(context, async ({ tx }) => {
      await finishAttempt(tx, attemptEnd(claim, 'not_sent', detail));
      if (keptBack) await releaseLease(tx, claim.lease);
      else await settleLease(tx, claim.lease, unchanged(context, plan, claim, 'provider_unavailable', retryInMs));
      // In the order of a claim, grant before budget: else two processes could wait for each other.
      await deleteTokenRequest(tx, { fingerprint: plan.tokenFingerprint, attemptId: claim.attemptId });
    });
    return keptBack;
  });
}

/** An answer that says what became of the token is not forgotten because the database is away. */
function remembering<T>(
  context: VaultContext,
  { plan, claim }: { plan: RefreshPlan; claim: Claim },
  outcome: 'not_sent' | 'failed' | 'refused',
  detail: string | null,
  write: () => Promise<T>,
): Promise<T> {
  return context.pendingOutcomes.orRemember(pendingOutcomeOf(plan, claim.lease.fence, outcome, detail), write);
}

/** What is known of an answer that told nothing about the tokens. */
interface LostAnswer {
  readonly code?: GrantryErrorCode;
  /** The provider said when to come again. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * The request was sent and nobody knows what became of it. Returns the error for the caller.
 *
 * Where nothing rotates, nothing can be lost. Elsewhere the grant is uncertain from here on, and the provider's class says
 * when the spent token may be tried again: inside the overlap, at leisure, or, at a strict provider, not before our own
 * first request can no longer be under way.
 */
export async function settleLostAnswer(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  cause: unknown,
  { code = 'provider_unavailable', retryAfterMs }: LostAnswer = {},
): Promise<GrantryError> {
  if (isGrantryError(cause, 'provider_misconfigured')) {
    await settleNotSent(context, plan, claim, false);
    return cause;
  }
  const rotates = plan.definition.refreshToken.rotation !== 'none';
  const strict = plan.leaseKind === 'strict';
  const passedMs = context.world.monotonic() - claim.claimedAt;
  const overlapMs = overlapMsOf(context, plan.definition);
  const begunMs = await overlapLeftMs(context, plan.row);
  // What was sent before may never have arrived: then the overlap begins with this request.
  const ownMs = overlapMs === null ? null : overlapMs - passedMs;
  const leftMs = begunMs !== null && begunMs > 0 ? begunMs : ownMs;
  const pauseMs = retryAfterMs ?? claim.backOffMs;
  // Once an overlap is over there is no more to lose by coming when the provider says.
  const mayObey = retryAfterMs !== undefined && begunMs !== null && begunMs <= 0;
  const retryInMs = strict
    ? Math.max(retryAfterMs ?? 0, context.times.strictLeaseMs - passedMs)
    : pauseInOverlap(context, pauseMs, mayObey ? null : leftMs);
  const at = isoNow(context);
  await changing(context, async (change) => {
    const { tx } = change;
    await finishAttempt(tx, attemptEnd(claim, 'unknown', 'the answer was lost'));
    const verdict: GrantVerdict = rotates
      ? {
          state: 'uncertain',
          reason: reasons.answerLost,
          retryInMs,
          keepLease: strict,
          at,
        }
      : unchanged(context, plan, claim, code, pauseMs);
    const settled = await settleLease(tx, claim.lease, verdict);
    if (!settled || !rotates || claim.state === 'uncertain') return;
    const grant = { ...plan.row, state: claim.state };
    change.record(grant, { type: 'grant.uncertain', to: 'uncertain', reason: reasons.answerLost });
  });
  if (!rotates)
    return new GrantryError(code, 'The provider gave no usable answer.', { cause, retryAfterMs: retryInMs });
  return new GrantryError('refresh_uncertain', 'A refresh was sent and its answer was lost.', {
    cause,
    retryAfterMs: retryInMs,
  });
}

async function refused(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  outcome: Extract<TokenOutcome, { kind: 'refused' }>,
): Promise<'again'> {
  const { tenant, grantId, fence } = claim.lease;
  const judge = async (change: ChangeTransaction) => {
    await finishAttempt(change.tx, attemptEnd(claim, 'refused', outcome.error));
    const row = await lockGrant(change.tx, tenant, grantId);
    // Whoever lost the lease meanwhile was refused a token that somebody else may have replaced: it decides nothing.
    if (row === undefined || row.generation !== claim.lease.generation || row.lease_fence !== fence) return undefined;
    return judgeRefusal(context, plan, change, row, { fence, error: outcome.error });
  };
  const state = await remembering(context, { plan, claim }, 'refused', outcome.error, () => changing(context, judge));
  if (state === undefined || state === 'uncertain') return 'again';
  if (state === 'suspect') {
    throw new GrantryError(
      'refresh_uncertain',
      'The provider refused the refresh token once; that is being confirmed.',
      {
        retryAfterMs: context.times.suspectConfirmMs,
      },
    );
  }
  const row = await readGrant(context.store.db, tenant, grantId);
  throw mustReauthorize(row ?? { client_id: tenant, provider: plan.row.provider, reason: reasons.refused });
}

const failureCodes = {
  client_refused: 'provider_misconfigured',
  throttled: 'provider_throttled',
  unavailable: 'provider_unavailable',
  scope_refused: 'insufficient_scope',
  not_understood: 'provider_error',
} as const satisfies Record<Exclude<ErrorClass, 'grant_refused'>, GrantryErrorCode>;

const failureTexts = {
  client_refused: 'The provider refuses this app',
  throttled: 'The provider allows no more tokens now',
  unavailable: 'The provider cannot serve the request now',
  scope_refused: 'The provider refuses the scope',
  not_understood: 'The provider gave an answer that nobody understands',
} as const satisfies Record<keyof typeof failureCodes, string>;

/** The provider answered, and not about the grant: no word of it can harm the grant. */
async function settleFailure(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  outcome: Extract<TokenOutcome, { kind: 'refused' }>,
): Promise<GrantryError> {
  if (outcome.class === 'grant_refused') throw new GrantryError('internal', 'a refusal was taken for a failure');
  // A server that fails after it has burnt the token answers just like one that failed before.
  // Where a lost answer ends the grant, that would let an outage end them all: there an answer is an answer.
  const { rotation, replayAfterLoss } = plan.definition.refreshToken;
  if (outcome.class === 'unavailable' && rotation !== 'none' && replayAfterLoss) {
    const retryAfterMs = outcome.retryAfterMs ?? undefined;
    return settleLostAnswer(context, plan, claim, new Error(`status ${outcome.status}`), { retryAfterMs });
  }
  const code = failureCodes[outcome.class];
  const windowMs = (plan.definition.tokenLimit?.windowSeconds ?? 60) * 1_000;
  const throttledMs = outcome.class === 'throttled' ? windowMs : claim.backOffMs;
  const retryInMs = await remembering(context, { plan, claim }, 'failed', outcome.error, async () => {
    const leftMs = await overlapLeftMs(context, plan.row);
    const pauseMs = outcome.retryAfterMs ?? pauseInOverlap(context, throttledMs, leftMs);
    await changing(context, async ({ tx }) => {
      await finishAttempt(tx, attemptEnd(claim, 'failed', outcome.error));
      await settleLease(tx, claim.lease, unchanged(context, plan, claim, code, pauseMs));
    });
    return pauseMs;
  });
  const said = outcome.error === null ? `status ${outcome.status}` : `${outcome.error}, status ${outcome.status}`;
  return new GrantryError(code, `${failureTexts[outcome.class]} (${said}).`, { retryAfterMs: retryInMs });
}

/** A cut answer may hold the only copy of the living refresh token: what is complete in it becomes a candidate. */
async function salvage(
  context: VaultContext,
  attempt: TokenAttempt,
  raw: RawAnswer,
): Promise<CommitOutcome | 'unusable'> {
  const { refreshToken = null, accessToken = null } = salvageTokens(raw) ?? {};
  if (refreshToken === null) return 'unusable';
  return untilStored(context, () => parkTokens(context, attempt, { refreshToken, accessToken, expiresAt: null }));
}

/** Tokens exist in memory and in the spool now: the database is asked until it takes them. */
async function untilStored<T>(context: VaultContext, store: () => Promise<T>): Promise<T> {
  for (let pauseMs = 100; ; pauseMs = Math.min(commitPauseMsMax, pauseMs * 2)) {
    try {
      return await store();
    } catch (error) {
      if (!isGrantryError(error, 'storage_unavailable') || context.closing()) throw error;
      context.logger.error('the database does not take an answer; it is kept in the spool and tried again', {});
      await context.world.sleep(pauseMs);
    }
  }
}

function attemptEnd(claim: Claim, outcome: 'not_sent' | 'unknown' | 'refused' | 'failed', detail: string | null) {
  return { tenant: claim.lease.tenant, id: claim.attemptId, outcome, detail };
}

/** The state stays; a reason and a time say why the next try waits. */
function unchanged(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  code: GrantryErrorCode,
  retryInMs: number,
): GrantVerdict {
  // A condemned grant that was tried in vain stays what it was, for the reason it had.
  if (plan.recovering) {
    const condemnedForMs = context.world.now() - (plan.row.condemned_at ?? context.world.now());
    return {
      ...condemnedVerdict(context, plan.definition, { reason: plan.row.reason, condemnedForMs }),
      at: isoNow(context),
    };
  }
  return { state: claim.state, reason: code, retryInMs, at: isoNow(context) };
}
