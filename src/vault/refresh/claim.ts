import { GrantryError } from '../../base/errors.ts';
import { randomFraction } from '../../base/world.ts';
import { abandonAttempts, hasFailed, insertAttempt } from '../../storage/statements/attempts.ts';
import { newestCandidate } from '../../storage/statements/candidates.ts';
import { assumedScopes } from '../../storage/statements/grant-scopes.ts';
import { lockGrant } from '../../storage/statements/grants.ts';
import { claimLease, type Lease, raiseDoubt } from '../../storage/statements/leases.ts';
import { countTokenRequest } from '../../storage/statements/token-requests.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { isoNow, type PendingOutcome, type VaultContext } from '../context.ts';
import { factsOf } from '../grant/facts.ts';
import { reasons } from '../reasons.ts';
import type { SpoolHead } from '../spool/spool.ts';
import { waivedLease } from './lease-kind.ts';
import { overlapMsOf } from './overlap.ts';
import type { RefreshPlan } from './plan-type.ts';
import { condemnUnreplayable } from './verdict.ts';

/** The right to send one request with one refresh token. */
export interface Claim {
  readonly lease: Lease;
  readonly attemptId: string;
  /** By `World.monotonic`, from before the claim was written. */
  readonly claimedAt: number;
  readonly head: SpoolHead;
  /** The state that the row has now. */
  readonly state: RefreshPlan['row']['state'];
  /** The pause before the next try after a failure without harm. */
  readonly backOffMs: number;
  /** The scopes that were added to the grant so far. Those added from now on are not the answer's. */
  readonly added: readonly string[];
}

/** The back-off doubles with each failure of a generation, at most this many times. */
const doublingsMax = 5;

/**
 * Takes the lease and writes the intent, in one transaction.
 *
 * `taken`: another process holds it, or the row has changed. `look_again`: the claim showed that nothing may be sent.
 *
 * @throws {GrantryError} `provider_throttled` if the request would exceed the provider's limit: it is not sent
 */
export async function claimRefresh(context: VaultContext, plan: RefreshPlan): Promise<Claim | 'taken' | 'look_again'> {
  const { row, attemptId } = plan;
  const claimedAt = context.world.monotonic();
  try {
    // A commit without an answer may have begun an attempt that no process would end.
    const end = pendingOutcomeOf(plan, row.lease_fence + 1, 'not_sent', 'the claim was not confirmed');
    const key = { tenant: row.client_id, provider: row.provider, account: row.account };
    const claimed = await context.turns.run(key, () =>
      context.pendingOutcomes.orRemember(end, () => changing(context, (change) => claim(context, plan, change))),
    );
    if (claimed === 'taken') return 'taken';
    if (claimed === 'condemned' || claimed === 'candidate_came') {
      await plan.slot.discard();
      return 'look_again';
    }
    const { client_id: tenant, id: grantId, generation } = row;
    const { fence, state, added } = claimed;
    return {
      lease: { tenant, grantId, generation, owner: context.owner.id, fence },
      attemptId,
      claimedAt,
      head: {
        version: 2,
        facts: [...factsOf(row)],
        tenant,
        grantId,
        attemptId,
        generation,
        fence,
        tokenFingerprint: plan.tokenFingerprint,
        candidateId: plan.candidateId,
        owner: context.owner,
        at: context.world.now(),
      },
      state,
      backOffMs: backOffMs(context, plan),
      added,
    };
  } catch (error) {
    await plan.slot.discard();
    throw error;
  }
}

/** Describes the end of an attempt, to be recorded once the database is back. */
export function pendingOutcomeOf(
  { row, attemptId, tokenFingerprint }: RefreshPlan,
  fence: number,
  outcome: PendingOutcome['outcome'],
  detail: string | null,
): PendingOutcome {
  const { client_id: tenant, id: grantId, generation } = row;
  return { tenant, grantId, generation, attemptId, tokenFingerprint, fence, outcome, detail };
}

async function claim(
  context: VaultContext,
  plan: RefreshPlan,
  change: ChangeTransaction,
): Promise<(Pick<Claim, 'state' | 'added'> & { fence: number }) | 'taken' | 'condemned' | 'candidate_came'> {
  const { row, definition, attemptId } = plan;
  const { tx } = change;
  if (await hasNewCandidate(plan, change)) return 'candidate_came';
  const fence = await claimLease(tx, {
    seen: row,
    owner: context.owner.id,
    leaseMs: plan.leaseKind === 'strict' ? context.times.strictLeaseMs : context.times.renewedLeaseMs,
    overlapMs: overlapMsOf(context, definition),
    waived: waivedLease(context, definition, row.lease_owner),
  });
  if (fence === undefined) return 'taken';
  const grant = { tenant: row.client_id, grantId: row.id, generation: row.generation };
  // The leases of these attempts have ended, or the claim would have failed. Their holders reported no outcome.
  const abandoned = await abandonAttempts(tx, { ...grant, exceptId: attemptId });
  if (await condemnUnreplayable(context, plan, change, { fence, abandoned })) return 'condemned';
  // Counted after the lease is taken: a process that finds it taken waits for the answer to the last permitted request.
  await keepWithinBudget(plan, change, context.times.marginMs);
  await insertAttempt(tx, {
    id: attemptId,
    tenant: row.client_id,
    grant_id: row.id,
    fence,
    generation: row.generation,
    token_fingerprint: plan.tokenFingerprint,
    candidate_id: plan.candidateId,
    owner: context.owner.id,
  });
  // Under the lock of the row, so that a callback comes either before or after this claim.
  const added = definition.scopeEnhancement === undefined ? [] : await assumedScopes(tx, grant);
  if (abandoned === 0 || definition.refreshToken.rotation === 'none' || row.state !== 'active') {
    return { fence, state: row.state, added };
  }
  const reason = reasons.answerLost;
  await raiseDoubt(tx, { ...grant, reason, at: isoNow(context), from: ['active'] });
  change.record(row, { type: 'grant.uncertain', to: 'uncertain', reason });
  return { fence, state: 'uncertain', added };
}

/**
 * Tells whether a token was parked since the plan was made. It may be the successor of the one that would be sent now.
 * Only on a row in doubt can that happen without a change that the claim notices.
 */
async function hasNewCandidate(
  { row, newestCandidateId, recovering }: RefreshPlan,
  { tx }: ChangeTransaction,
): Promise<boolean> {
  if (recovering || row.state === 'active') return false;
  const { client_id: tenant, id: grantId, authorized_generation: authorizedGeneration } = row;
  // A process that parks a token takes the lock of the row first.
  await lockGrant(tx, tenant, grantId);
  const newest = await newestCandidate(tx, { tenant, grantId, authorizedGeneration });
  return (newest?.id ?? null) !== newestCandidateId;
}

/**
 * Counts the request against the provider's limit. All processes, and all rows with the same token, share that limit.
 * Probes use at most half of it: when the provider is well again, there must be room for the request that counts.
 *
 * @throws {GrantryError} `provider_throttled` if the limit is used up; the claim is undone
 */
async function keepWithinBudget(
  { definition, tokenFingerprint, attemptId, backOff }: RefreshPlan,
  { tx }: ChangeTransaction,
  marginMs: number,
): Promise<void> {
  const limit = definition.tokenLimit;
  if (limit === undefined) return;
  const windowMs = limit.windowSeconds * 1_000;
  const request = { fingerprint: tokenFingerprint, attemptId };
  const requests = backOff === null ? limit.requests : Math.ceil(limit.requests / 2);
  const refused = await countTokenRequest(tx, request, { requests, windowMs, marginMs });
  if (refused === undefined) return;
  if (backOff !== null) throw backOff;
  throw new GrantryError(
    'provider_throttled',
    `${definition.id} allows ${limit.requests} tokens in ${limit.windowSeconds} s for one refresh token, and all are used.`,
    { retryAfterMs: Math.min(windowMs, Math.max(1_000, windowMs - refused.ageMs)) },
  );
}

/** Doubles the back-off with each failure of this generation. Jitter separates grants that failed together. */
function backOffMs(context: VaultContext, plan: RefreshPlan): number {
  const failures = plan.prior.filter(hasFailed).length;
  const doubled = context.times.retryBackOffMs * 2 ** Math.min(doublingsMax, failures);
  return Math.round(doubled * (0.75 + randomFraction(context.world) / 2));
}
