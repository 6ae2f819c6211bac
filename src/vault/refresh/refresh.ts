import { isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import { sendRefresh } from '../../oauth/requests.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import { type CallHealth, compartmentOf, retryBudgetOf } from '../bulkhead.ts';
import type { VaultContext } from '../context.ts';
import { deadlineSignal } from '../deadline.ts';
import { missingGrant } from '../grant/missing.ts';
import { refreshBlocker, stopping } from '../grant/refusals.ts';
import { isKnownDead } from '../spool/owner.ts';
import { unreached } from '../unreached.ts';
import type { CandidateClient } from './candidate-client.ts';
import { type Claim, claimRefresh } from './claim.ts';
import { cutTimes } from './clocks.ts';
import { type HeldLease, holdLease } from './lease.ts';
import { type LeaseWait, stillUncertain } from './lease-wait.ts';
import { observeRequest, observeRound, observeWait } from './observe.ts';
import { isUrgent } from './overlap.ts';
import { planRefresh, type RefreshOptions } from './plan.ts';
import type { RefreshPlan } from './plan-type.ts';
import { releaseOthers } from './release.ts';
import { settleAnswer, settleLostAnswer, settleNotSent, untilProbe } from './settle.ts';
import { waitForChange } from './wait.ts';

/**
 * Replaces the tokens of one generation of a grant exactly once, even if many processes try.
 *
 * The provider's token endpoint is the resource to protect, and it does not know our locks. If the provider rotates, a
 * refresh token is good for one request. Only one process may send it, and its answer exists nowhere else until it is
 * stored. The order of these steps is the protocol:
 *
 * 1. **Read.** Another process may have refreshed already. A grant that is condemned or throttled is not tried.
 * 2. **Prepare.** Steps that may fail without harm come before anything is spent: unwrap keys, open the app's secret,
 *    reserve room in the spool.
 * 3. **Claim.** One transaction takes the lease and writes the attempt: its generation and its token. A store that
 *    cannot write now could not save the answer either, so nothing is spent.
 * 4. **Point of no return.** The request is written. From here no caller can cancel, however long it has waited.
 * 5. **Keep.** The raw answer goes to the spool, sealed and flushed, before it is parsed.
 * 6. **Settle.** One transaction saves the tokens as the next generation if lease and generation are still ours. If
 *    not, it parks the answer as a candidate and never drops it. A refusal is evidence, which `verdict.ts` weighs.
 * 7. **Hand out.** Callers read the row, so they never see a token that is not saved.
 *
 * A process that finds the lease taken waits for the row to change instead. Returns when the grant has a newer
 * generation than `seen`.
 *
 * @throws {GrantryError} `grant_not_found`, `reauthorization_required`, `grant_quarantined`, `refresh_uncertain`,
 * `provider_throttled`, `provider_unavailable`, `provider_misconfigured`, `provider_error`, `insufficient_scope`,
 * `integrity_failed`, `vault_sealed`, `storage_unavailable`
 */
export async function refreshGrant(
  context: VaultContext,
  key: CheckedKey,
  seen: number,
  { candidateClient, wait = {} }: { candidateClient?: CandidateClient | undefined; wait?: LeaseWait } = {},
): Promise<void> {
  const giveUpAt = context.world.monotonic() + context.callerWaitMs;
  let waited = false;
  let rounds = 0;
  for (;;) {
    const row = await findGrant(context.store.db, key);
    if (row === undefined) throw await missingGrant(context, key);
    if (row.generation > seen) return;
    if (await cutTimes(context, row)) continue;
    // Outcomes that the database has not recorded yet decide whether anything is in doubt.
    if (!context.pendingOutcomes.isEmpty && (await recordKnownOutcomes(context, row))) continue;
    const blocker = await refreshBlocker(context, row);
    // A refusal of the stored client says nothing about another one.
    const applies = candidateClient === undefined || blocker?.error.code !== 'provider_misconfigured';
    if (blocker !== undefined && applies && !blocker.isProbe) throw blocker.error;
    // If every answer finds its lease gone, the requests must still end. Another process may have saved a token meanwhile,
    // so the row was read once more.
    if (rounds >= limits.refreshRoundsMax || (rounds > 0 && context.world.monotonic() >= giveUpAt)) {
      throw stillUncertain(context.times.retryBackOffMs);
    }
    const backOff = blocker?.isProbe === true ? blocker.error : undefined;

    // If another process holds the lease, wait for it first. Preparing a refresh that it is already sending only costs
    // processor and database time. Wait once and briefly: a dead holder's answer is found only by preparing. After that
    // the claim decides.
    if (!waited && row.lease_owner !== null && !isKnownDead(row.lease_owner)) {
      waited = true;
      await waitForLease(context, row, giveUpAt, wait);
      continue;
    }

    // A failing provider delays only its own callers, and no process holds a lease while it queues here.
    // Near the end of an overlap the breaker's pause could cost the grant.
    const urgent = await isUrgent(context, row);
    const round = (report: (health: CallHealth) => void) =>
      refreshRound(context, row, report, { candidateClient, backOff });
    const { tenant } = key;
    const probe = backOff !== undefined;
    const outcome = await context.bulkheads.run(compartmentOf(row), round, { tenant, urgent, probe });
    if (outcome === 'saved') return;
    if (outcome === 'taken') {
      waited = true;
      await observeWait(context, row, () => waitForChange(context, row, giveUpAt, wait));
    }
    wait.retryAfterMs = undefined;
    rounds += 1;
  }
}

/** Records what is known about this grant, and lets the rest follow. Returns true if the row may have changed. */
async function recordKnownOutcomes(context: VaultContext, row: GrantRow): Promise<boolean> {
  const { pendingOutcomes: outcomes } = context;
  const wrote = await outcomes.writeOf(context, row.id);
  // Not waited for: what holds up another grant's outcome must not hold up this grant.
  if (!outcomes.isEmpty) void outcomes.write(context);
  return wrote;
}

/** Waits for another process's lease, for at most the time that an unrenewed lease lasts. */
async function waitForLease(context: VaultContext, row: GrantRow, giveUpAt: number, wait: LeaseWait): Promise<void> {
  const { world, times } = context;
  const until = Math.min(giveUpAt, world.monotonic() + times.renewedLeaseMs);
  try {
    await observeWait(context, row, () => waitForChange(context, row, until, wait));
  } catch (error) {
    if (!isGrantryError(error, 'refresh_uncertain') || world.monotonic() >= giveUpAt) throw error;
  }
  wait.retryAfterMs = undefined;
}

/** Runs one round: prepare, claim, spend. `taken`: another process is refreshing. `again`: read the row again. */
export function refreshRound(
  context: VaultContext,
  row: GrantRow,
  report: (health: CallHealth) => void,
  options: RefreshOptions,
): Promise<'saved' | 'taken' | 'again'> {
  return observeRound(context, row, () => runRound(context, row, report, options));
}

async function runRound(
  context: VaultContext,
  row: GrantRow,
  report: (health: CallHealth) => void,
  options: RefreshOptions,
): Promise<'saved' | 'taken' | 'again'> {
  if (context.closing()) throw stopping(context);
  const plan = await planRefresh(context, row, options);
  if (plan === 'look_again') return 'again';
  return context.spending.run(() => claimAndSpend(context, plan, report, options));
}

/** From here on a program that is asked to end waits: the answer may be the only copy of the new token. */
async function claimAndSpend(
  context: VaultContext,
  plan: RefreshPlan,
  report: (health: CallHealth) => void,
  options: RefreshOptions,
): Promise<'saved' | 'taken' | 'again'> {
  if (context.closing()) {
    await plan.slot.discard();
    throw stopping(context);
  }
  const claim = await claimRefresh(context, plan);
  if (claim === 'look_again') return 'again';
  if (claim === 'taken') {
    await plan.slot.discard();
    return 'taken';
  }
  const outcome = await spend(context, plan, claim, report);
  if (outcome === 'saved') {
    await options.candidateClient?.onAccepted({ id: plan.row.id, dc: plan.client.dc });
    await releaseOthers(context, plan);
  }
  return outcome;
}

/**
 * Sends the one request that a claim allows and settles its outcome. Returns `saved`, or `again` if there is something
 * left to try at once. Every other outcome throws after it is settled.
 */
async function spend(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  report: (health: CallHealth) => void,
): Promise<'saved' | 'again'> {
  const held = holdLease(context, claim.lease, plan.leaseKind, claim.claimedAt);
  let health: CallHealth = 'bad';
  try {
    const answer = await sendRequest(context, plan, claim, held);
    if (answer === 'overtaken') return 'again';
    if (answer === undefined || answer.status < 500) health = 'good';
    if (answer === undefined) return 'again';
    // Point of no return, second half: the answer exists only in this process.
    await spoolAnswer(context, plan, claim, answer);
    const settled = await settleAnswer(context, plan, claim, answer);
    if (settled === 'saved') context.bulkheads.retries.countServed(retryBudgetOf(plan.row, plan.client.clientId));
    return settled;
  } finally {
    report(health);
    held.release();
  }
}

/**
 * Returns the raw answer, or undefined if the last look stopped the request. `overtaken`: no answer came, and another
 * process has taken the lease meanwhile.
 */
async function sendRequest(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  held: HeldLease,
): Promise<RawAnswer | 'overtaken' | undefined> {
  const deadline = deadlineSignal(context, plan.answerDeadlineMs);
  let answered = false;
  try {
    const { client, refreshToken } = plan;
    return await observeRequest(context, { provider: plan.row.provider, dc: client.dc }, () =>
      sendRefresh(context.world, client, {
        refreshToken,
        signal: deadline.signal,
        // Point of no return. The provider may spend the token when it reads the request. The check runs on the open
        // connection, immediately before the first byte. A pause until here may have cost us the lease, and the
        // previous holder may have been paused and have received its answer just now.
        beforeSend: () => {
          held.assertTimeLeft();
          answered = plan.isAnswered();
          if (answered) throw new NotSentError('the answer to an earlier request has arrived');
        },
      }),
    );
  } catch (error) {
    if (error instanceof NotSentError) {
      await plan.slot.discard();
      const keptBack = held.lapsed || answered;
      if (await settleNotSent(context, plan, claim, keptBack)) return keptBack ? undefined : 'overtaken';
      const message = `${plan.row.provider} cannot be reached: nothing was sent.`;
      throw unreached(error, message, untilProbe(context, claim.backOffMs));
    }
    // The provider may have processed any request that is not known to be unsent. That includes a defect of ours.
    await plan.slot.discard();
    const settled = await settleLostAnswer(context, plan, claim, error);
    if (settled === 'again') return 'overtaken';
    throw settled;
  } finally {
    deadline.clear();
  }
}

/** Spools an answer. A spool that fails does not lose the answer: the database may still save it. */
async function spoolAnswer(context: VaultContext, plan: RefreshPlan, claim: Claim, answer: RawAnswer): Promise<void> {
  try {
    await plan.slot.keep(claim.head, plan.tenantKeys, answer);
  } catch (error) {
    context.logger.error('an answer could not be spooled', {
      grant: claim.lease.grantId,
      code: isGrantryError(error) ? error.code : 'spool',
    });
  }
}
