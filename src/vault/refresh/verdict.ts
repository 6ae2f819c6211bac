import { limits } from '../../base/limits.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type AttemptRow, isUnresolved, listAttempts, mayHaveSpent } from '../../storage/statements/attempts.ts';
import { newestCandidate, rejectCandidate } from '../../storage/statements/candidates.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import { type GrantVerdict, settleLease } from '../../storage/statements/leases.ts';
import type { ChangeTransaction } from '../changing.ts';
import { isoNow, type VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';
import { reopenHastilyRejected } from './hasty.ts';
import { nextCandidate } from './next-candidate.ts';
import { isReplayFatal, pauseInOverlap } from './overlap.ts';
import type { RefreshPlan } from './plan-type.ts';
import { refusalsAt } from './refusal-count.ts';
import { condemnedVerdict } from './second-chance.ts';

/** The number of refusals inside the overlap before one is believed. */
const overlapRefusalsMax = 6;

/** A candidate whose token the provider has just refused. */
export interface RefusedCandidate {
  /** True if it was the answer to the stored token, which is therefore spent. */
  readonly succeedsStored: boolean;
  /** The number of earlier refusals. */
  readonly refusals: number;
  /** True if it was sent before and the answer was lost. */
  readonly spent: boolean;
  /** True if the stored token was sent after this candidate arrived. */
  readonly replayed: boolean;
}

/** A refusal together with everything else that is known about the grant. */
export interface RefusalEvidence {
  readonly definition: ProviderDefinition;
  readonly row: GrantRow;
  /** The candidate whose token was refused; null for the stored token. */
  readonly candidate: RefusedCandidate | null;
  /** True if other candidates wait to be tried. */
  readonly candidatesLeft: boolean;
  /** Other attempts on this generation. */
  readonly others: readonly AttemptRow[];
  /** By the database's clock. */
  readonly nowMs: number;
  /** The time for which an open attempt may still bring an answer. */
  readonly flightMs: number;
  readonly confirmMs: number;
  /** The pause before the next try after a refusal inside the overlap. */
  readonly overlapPauseMs: number;
  /** The time for which the provider should still accept the spent stored token; null if no overlap has begun. */
  readonly overlapLeftMs: number | null;
  /** The provider's grants that were tried within the window, and how many of them were refused or met a failure. */
  readonly provider: { readonly tried: number; readonly refused: number; readonly failed: number };
  readonly windowMs: number;
  readonly suspendedMsMax: number;
}

type RefusedState = 'uncertain' | 'suspect' | 'reauthorization_required';

export type RefusalVerdict = Omit<GrantVerdict, 'at' | 'state'> & { readonly state: RefusedState };

/**
 * Decides what a provider's refusal says about a grant (invariant I4: no false death).
 *
 * A refusal is evidence, not a verdict. The newest known token must have been refused. No other attempt may still bring
 * tokens, and no candidate may be left. It must have been refused twice with a pause between, since providers also
 * refuse by mistake. And the provider must not be refusing many grants at once.
 *
 * This also holds after a lost answer at a strict provider, and where a replay revokes the family. If the token was
 * spent, the replay that was just refused has done all the harm that a replay can do. So another look costs nothing. If
 * it was not spent, only another look shows that the refusal was a mistake.
 */
export function weighRefusal(evidence: RefusalEvidence): RefusalVerdict {
  const { row, others, definition, candidate } = evidence;
  const stands = standsForStored(evidence);
  if (candidate !== null && !stands) {
    const verdict = weighCandidate(evidence, candidate);
    if (verdict !== null) return verdict;
  }
  // The stored token failed: candidates are tried before anything is concluded.
  if (evidence.candidatesLeft) return { state: 'uncertain', reason: reasons.storedRefused, retryInMs: 0 };
  const flying = others.find(
    (attempt) => attempt.outcome === 'open' && attempt.started_at + evidence.flightMs > evidence.nowMs,
  );
  if (flying !== undefined) {
    const retryInMs = flying.started_at + evidence.flightMs - evidence.nowMs;
    return { state: 'uncertain', reason: reasons.otherAttemptOpen, retryInMs };
  }
  const rotates = definition.refreshToken.rotation !== 'none';
  // A parked answer spent the stored token too, and its tokens have been refused by now.
  const lost = stands ? candidate?.spent === true : rotates && others.some(mayHaveSpent);
  const reason = lost || (stands && candidate?.replayed === true) ? reasons.lostRotation : reasons.refused;
  // Inside the overlap a refusal contradicts the provider's promise, so it is believed only after several.
  const inOverlap = lost && (evidence.overlapLeftMs ?? 0) > 0;
  const refusals = others.filter((attempt) => attempt.outcome === 'refused');
  const confirmInMs = row.state === 'suspect' ? untilConfirmed(evidence, refusals) : evidence.confirmMs;
  if (confirmInMs > 0 || (inOverlap && refusals.length < overlapRefusalsMax)) {
    return { state: 'suspect', reason, retryInMs: inOverlap ? evidence.overlapPauseMs : confirmInMs };
  }
  if (isSuspended(evidence)) {
    // Before the window ends: the refusals of other grants must still count at the next try.
    return { state: 'suspect', reason: reasons.verdictsSuspended, retryInMs: evidence.windowMs / 2 };
  }
  return { state: 'reauthorization_required', reason, retryInMs: null, condemned: true };
}

/**
 * Returns the time until a refusal may confirm the first one. An overlap shortens the pauses, and so does an operator: a
 * short incident of the provider could refuse every try.
 */
function untilConfirmed({ nowMs, confirmMs }: RefusalEvidence, refusals: readonly AttemptRow[]): number {
  const refusedAt = refusals.flatMap(({ finished_at: at }) => at ?? []);
  return refusedAt.length === 0 ? 0 : Math.min(confirmMs, Math.min(...refusedAt) + confirmMs - nowMs);
}

/**
 * True while the provider refuses a large share of all grants, or fails for many and serves none: it, or our app, has an
 * incident that ends no grant. After an outage its back-offs let a few grants through at first. Only their refusals
 * would count, and look like an end.
 */
function isSuspended({ row, nowMs, provider, suspendedMsMax }: RefusalEvidence): boolean {
  const { tried, refused, failed } = provider;
  const massRefusal = refused >= limits.verdictRefusalsMin && refused > tried * limits.verdictRefusalShare;
  const servesNone = failed >= limits.verdictRefusalsMin && refused === tried;
  return (massRefusal || servesNone) && nowMs - (row.doubt_since ?? nowMs) < suspendedMsMax;
}

/**
 * True if the refused candidate takes the stored token's part. If a replay revokes the family, only the last successor
 * of the stored token may be sent.
 */
function standsForStored({ definition, candidate, candidatesLeft, overlapLeftMs }: RefusalEvidence): boolean {
  return candidate?.succeedsStored === true && isReplayFatal(definition, overlapLeftMs) && !candidatesLeft;
}

/** True if a candidate counts as dead: refused twice, while the provider does not refuse many grants. */
function isBelievedDead(evidence: RefusalEvidence, candidate: RefusedCandidate): boolean {
  return candidate.refusals > 0 && !isSuspended(evidence);
}

/** Weighs the refusal of a candidate. Returns null if nothing else is left to try. */
function weighCandidate(evidence: RefusalEvidence, candidate: RefusedCandidate): RefusalVerdict | null {
  const { row, candidatesLeft, confirmMs, overlapPauseMs } = evidence;
  const storedRefused = row.reason === reasons.storedRefused;
  const reason = storedRefused ? reasons.storedRefused : reasons.candidate;
  if (!isBelievedDead(evidence, candidate)) {
    const inOverlap = (evidence.overlapLeftMs ?? 0) > 0;
    const calmMs = candidate.refusals > 0 ? evidence.windowMs / 2 : confirmMs;
    return { state: 'uncertain', reason, retryInMs: inOverlap ? overlapPauseMs : calmMs };
  }
  if (candidatesLeft) return { state: 'uncertain', reason, retryInMs: 0 };
  return storedRefused ? null : { state: 'uncertain', reason, retryInMs: 0 };
}

/** Gathers the evidence, weighs a refusal and writes the verdict. Undefined if the lease was no longer ours. */
export async function judgeRefusal(
  context: VaultContext,
  plan: RefreshPlan,
  change: ChangeTransaction,
  row: GrantRow,
  refused: { fence: number; error: string | null },
): Promise<RefusedState | undefined> {
  const { tx } = change;
  const tenant = row.client_id;
  const grant = { tenant, grantId: row.id };
  const evidence = await gatherEvidence(context, plan, change, row);
  const { candidate, nowMs } = evidence;
  const id = plan.candidateId;
  if (id !== null && candidate !== null && isBelievedDead(evidence, candidate) && !standsForStored(evidence)) {
    await rejectCandidate(tx, { tenant, id });
  }
  const verdict = plan.recovering ? stillCondemned(row) : await weighLastly(context, change, evidence);
  const lease = { ...grant, generation: row.generation, owner: context.owner.id, fence: refused.fence };
  const condemnedForMs = nowMs - (row.condemned_at ?? nowMs);
  const written =
    verdict.state === 'reauthorization_required'
      ? condemnedVerdict(context, plan.definition, { reason: verdict.reason, condemnedForMs })
      : verdict;
  if (!(await settleLease(tx, lease, { ...written, at: isoNow(context) }))) return undefined;
  if (verdict.state !== row.state) {
    const { state: to, reason } = verdict;
    change.record(row, { type: `grant.${to}`, to, reason, details: { error: refused.error } });
  }
  return verdict.state;
}

/** Weighs a refusal, and finds candidates that need another try before a verdict. */
async function weighLastly(
  context: VaultContext,
  change: ChangeTransaction,
  evidence: RefusalEvidence,
): Promise<RefusalVerdict> {
  const { row, others, definition, overlapLeftMs } = evidence;
  const verdict = weighRefusal(evidence);
  // If a replay revokes the family, only the last successor may be sent, and the verdict is on that one.
  if (verdict.state !== 'reauthorization_required' || isReplayFatal(definition, overlapLeftMs)) return verdict;
  const reopened = await reopenHastilyRejected(context, change, row, others);
  return reopened ? { state: 'uncertain', reason: reasons.storedRefused, retryInMs: 0 } : verdict;
}

/** Gathers what is known about a grant whose token was refused just now. */
async function gatherEvidence(
  context: VaultContext,
  plan: RefreshPlan,
  { tx }: ChangeTransaction,
  row: GrantRow,
): Promise<RefusalEvidence> {
  const { times } = context;
  const grant = { tenant: row.client_id, grantId: row.id };
  const attempts = await listAttempts(tx, { ...grant, generation: row.generation });
  const others = attempts.filter((attempt) => attempt.id !== plan.attemptId);
  const { now: nowMs } = await tx.selectNoFrom(tx.now.as('now')).executeTakeFirstOrThrow();
  const leftMs = row.overlap_until === null ? null : row.overlap_until - nowMs;
  const { definition, candidateId: exceptId } = plan;
  const newest = await newestCandidate(tx, { ...grant, authorizedGeneration: row.authorized_generation, exceptId });
  const left = await nextCandidate(tx, row, { newest, definition, leftMs, exceptId });
  return {
    definition,
    row,
    candidate: refusedCandidate(plan, others, (leftMs ?? 0) > 0 ? nowMs : nowMs - times.suspectConfirmMs),
    candidatesLeft: left !== undefined,
    others,
    nowMs,
    flightMs: times.answerDeadlineMs + times.marginMs,
    confirmMs: times.suspectConfirmMs,
    overlapLeftMs: leftMs,
    overlapPauseMs: pauseInOverlap(context, times.suspectConfirmMs, leftMs),
    provider: await refusalsAt(context, tx, row.provider),
    windowMs: times.verdictWindowMs,
    suspendedMsMax: times.verdictSuspendedMsMax,
  };
}

/**
 * Describes the refused candidate. Only refusals written before `countedUntilMs` count, since an operator or a database
 * outage may have shortened the pause.
 */
function refusedCandidate(
  plan: RefreshPlan,
  others: readonly AttemptRow[],
  countedUntilMs: number,
): RefusedCandidate | null {
  if (plan.candidateId === null) return null;
  const own = others.filter((attempt) => attempt.candidate_id === plan.candidateId);
  return {
    succeedsStored: plan.succeedsStored,
    refusals: own.filter(({ outcome, finished_at: at }) => outcome === 'refused' && at !== null && at <= countedUntilMs)
      .length,
    spent: own.some(isUnresolved),
    replayed: others.some(
      (attempt) =>
        attempt.candidate_id === null &&
        attempt.fence > (plan.candidateFence ?? 0) &&
        (isUnresolved(attempt) || attempt.outcome === 'refused'),
    ),
  };
}

/** The unchanged verdict on a condemned grant whose second chance was refused. */
function stillCondemned(row: GrantRow): RefusalVerdict {
  return { state: 'reauthorization_required', reason: row.reason, retryInMs: null };
}

/**
 * Condemns a grant whose answer was lost without another request, if the provider's definition forbids a replay. Its
 * tokens stay sealed. Returns true if the grant was condemned.
 */
export async function condemnUnreplayable(
  context: VaultContext,
  plan: RefreshPlan,
  change: ChangeTransaction,
  claim: { fence: number; abandoned: number },
): Promise<boolean> {
  const { row, definition } = plan;
  if (definition.refreshToken.rotation !== 'strict' || definition.refreshToken.replayAfterLoss) return false;
  const lost = claim.abandoned > 0 || plan.prior.some((attempt) => attempt.outcome === 'unknown');
  if (!lost || plan.candidateId !== null || plan.recovering) return false;
  const reason = reasons.lostRotation;
  const grant = { tenant: row.client_id, grantId: row.id, generation: row.generation };
  await settleLease(
    change.tx,
    { ...grant, owner: context.owner.id, fence: claim.fence },
    { ...condemnedVerdict(context, definition, { reason, condemnedForMs: 0 }), at: isoNow(context) },
  );
  change.record(row, { type: 'grant.reauthorization_required', to: 'reauthorization_required', reason });
  return true;
}
