import { GrantryError } from '../../base/errors.ts';
import { randomFraction } from '../../base/world.ts';
import { abandonAttempts, insertAttempt } from '../../storage/statements/attempts.ts';
import { newestCandidate } from '../../storage/statements/candidates.ts';
import { lockGrant } from '../../storage/statements/grants.ts';
import { claimLease, type Lease, raiseDoubt } from '../../storage/statements/leases.ts';
import {
  insertTokenRequest,
  lockBudget,
  pruneTokenRequests,
  recentTokenRequests,
} from '../../storage/statements/token-requests.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { isoNow, type PendingOutcome, type VaultContext } from '../context.ts';
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
  /** How long a failure without harm holds the next try back. */
  readonly backOffMs: number;
}

/** Back-off doubles with each failure of a generation, up to this many times. */
const doublingsMax = 5;

/**
 * Takes the lease and writes the intent, in one transaction.
 *
 * `taken`: somebody else holds it, or the row has changed. `look_again`: the claim showed that nothing may be sent.
 *
 * @throws {GrantryError} `provider_throttled` when the request would break the provider's limit: it is not sent
 */
export async function claimRefresh(context: VaultContext, plan: RefreshPlan): Promise<Claim | 'taken' | 'look_again'> {
  const { row, attemptId } = plan;
  const claimedAt = context.world.monotonic();
  try {
    // A commit whose answer was lost has begun an attempt that nobody will end.
    const end = endOf(plan, row.lease_fence + 1, 'not_sent', 'the claim was not confirmed');
    const claimed = await context.pendingOutcomes.orRemember(end, () =>
      changing(context, (change) => claim(context, plan, change)),
    );
    if (claimed === 'taken') return 'taken';
    if (claimed === 'condemned' || claimed === 'candidate_came') {
      await plan.slot.discard();
      return 'look_again';
    }
    const lease: Lease = {
      tenant: row.client_id,
      grantId: row.id,
      generation: row.generation,
      owner: context.owner.id,
      fence: claimed.fence,
    };
    const { fence } = claimed;
    return {
      lease,
      attemptId,
      claimedAt,
      head: {
        version: 1,
        tenant: row.client_id,
        grantId: row.id,
        attemptId,
        generation: row.generation,
        fence,
        tokenFingerprint: plan.tokenFingerprint,
        candidateId: plan.candidateId,
        owner: context.owner,
        at: context.world.now(),
      },
      state: claimed.state,
      backOffMs: backOffMs(context, plan),
    };
  } catch (error) {
    await plan.slot.discard();
    throw error;
  }
}

/** How an attempt ended, for the time when the database listens again. */
export function endOf(
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
): Promise<{ fence: number; state: Claim['state'] } | 'taken' | 'condemned' | 'candidate_came'> {
  const { row, definition, attemptId } = plan;
  const { tx, now } = change;
  if (await hasNewCandidate(context, plan, change)) return 'candidate_came';
  const fence = await claimLease(tx, now, {
    seen: row,
    owner: context.owner.id,
    leaseMs: plan.leaseKind === 'strict' ? context.times.strictLeaseMs : context.times.renewedLeaseMs,
    overlapMs: overlapMsOf(context, definition),
    waived: waivedLease(context, definition, row.lease_owner),
  });
  if (fence === undefined) return 'taken';
  // Looked at once nobody else is asking: who finds the lease taken waits for what the last permitted request brings.
  await keepWithinBudget(context, plan, change);
  const grant = { tenant: row.client_id, grantId: row.id, generation: row.generation };
  // Their lease has ended, or the claim would have failed: whatever they sent, they have not reported.
  const abandoned = await abandonAttempts(tx, now, { ...grant, exceptId: attemptId });
  if (await condemnUnreplayable(context, plan, change, { fence, abandoned })) return 'condemned';
  await insertAttempt(tx, now, {
    id: attemptId,
    client_id: row.client_id,
    grant_id: row.id,
    fence,
    generation: row.generation,
    token_fingerprint: plan.tokenFingerprint,
    candidate_id: plan.candidateId,
    owner: context.owner.id,
  });
  await insertTokenRequest(tx, now, { fingerprint: plan.tokenFingerprint, attemptId });
  if (abandoned === 0 || definition.refreshToken.rotation === 'none' || row.state !== 'active') {
    return { fence, state: row.state };
  }
  await raiseDoubt(tx, now, { ...grant, reason: 'answer_lost', at: isoNow(context), from: ['active'] });
  await change.record({
    type: 'grant.uncertain',
    ...grant,
    provider: row.provider,
    account: row.account,
    from: 'active',
    to: 'uncertain',
    reason: 'answer_lost',
  });
  return { fence, state: 'uncertain' };
}

/**
 * Whether a token was parked since the plan was made: it may be the successor of the one that would be sent now. Only where
 * the row is in doubt already can that have happened without a change that the claim notices.
 */
async function hasNewCandidate(
  context: VaultContext,
  { row, newestCandidateId, recovering }: RefreshPlan,
  { tx }: ChangeTransaction,
): Promise<boolean> {
  if (recovering || row.state === 'active') return false;
  const { client_id: tenant, id: grantId, authorized_generation: authorizedGeneration } = row;
  // Under the lock of the row, since whoever parks a token takes it first.
  await lockGrant(tx, context.store.kind, tenant, grantId);
  const newest = await newestCandidate(tx, { tenant, grantId, authorizedGeneration });
  return (newest?.id ?? null) !== newestCandidateId;
}

/** The provider's own limit, shared by all processes and by all rows that hold the same token. */
async function keepWithinBudget(context: VaultContext, plan: RefreshPlan, change: ChangeTransaction): Promise<void> {
  const limit = plan.definition.tokenLimit;
  if (limit === undefined) return;
  const windowMs = limit.windowSeconds * 1_000;
  await lockBudget(change.tx, context.store.kind, plan.tokenFingerprint);
  const recent = await recentTokenRequests(change.tx, change.now, plan.tokenFingerprint, windowMs);
  if (recent.length < limit.requests) {
    await pruneTokenRequests(change.tx, change.now, plan.tokenFingerprint, windowMs);
    return;
  }
  const oldestMs = recent[recent.length - limit.requests] ?? 0;
  const { now: nowMs } = await change.tx.selectNoFrom(change.now.as('now')).executeTakeFirstOrThrow();
  const ageMs = Math.max(0, nowMs - oldestMs);
  throw new GrantryError(
    'provider_throttled',
    `The provider allows ${limit.requests} tokens in ${limit.windowSeconds} s with one refresh token, and all are used.`,
    { retryAfterMs: Math.min(windowMs, Math.max(1_000, windowMs - ageMs)) },
  );
}

/** Doubles with each failure on this generation, with jitter: many grants may have failed in the same second. */
function backOffMs(context: VaultContext, plan: RefreshPlan): number {
  const failures = plan.prior.filter((attempt) => ['failed', 'not_sent', 'unknown'].includes(attempt.outcome)).length;
  const doubled = context.times.retryBackOffMs * 2 ** Math.min(doublingsMax, failures);
  return Math.round(doubled * (0.75 + randomFraction(context.world) / 2));
}
