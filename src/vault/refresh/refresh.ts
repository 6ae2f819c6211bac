import { GrantryError, isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { NotSentError } from '../../base/outbound-errors.ts';
import { sendRefresh } from '../../oauth/requests.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import { type CallHealth, compartmentOf } from '../bulkhead.ts';
import type { VaultContext } from '../context.ts';
import { deadlineSignal } from '../deadline.ts';
import { noSuchGrant, refreshBlocker, stopping } from '../grant/refusals.ts';
import { isKnownDead } from '../spool/owner.ts';
import type { CandidateClient } from './candidate-client.ts';
import { type Claim, claimRefresh } from './claim.ts';
import { type HeldLease, holdLease } from './lease.ts';
import { observeRequest, observeRound, observeWait } from './observe.ts';
import { isUrgent } from './overlap.ts';
import { planRefresh, type RefreshOptions } from './plan.ts';
import type { RefreshPlan } from './plan-type.ts';
import { settleAnswer, settleLostAnswer, settleNotSent } from './settle.ts';
import { type LeaseWait, stillUncertain, waitForChange } from './wait.ts';

/**
 * Replaces the tokens of one generation of a grant, once, whoever else is trying to.
 *
 * The provider's token endpoint is the resource to protect, and it knows nothing of our locks. At a provider that rotates,
 * a refresh token is good for one request: the request must be made by one of us alone, and what comes back exists
 * nowhere else until it is stored. So the steps are these, and their order is the protocol:
 *
 * 1. **Read.** Somebody may have refreshed already; a grant that is condemned, or held back by a throttle, is not tried.
 * 2. **Prepare.** Everything that may fail without harm is done before anything is spent: keys are unwrapped, the app's
 *    secret is opened, room in the spool is taken.
 * 3. **Claim.** One transaction takes the lease and writes the attempt: which generation, which token. If the store cannot
 *    write now, it could not save the answer either, and nothing is spent.
 * 4. **Point of no return.** The request is written. From here on nobody may cancel, however long the callers waited.
 * 5. **Keep.** The raw answer goes to the spool, sealed and flushed, before anybody tries to understand it.
 * 6. **Settle.** One transaction saves the tokens as the next generation if lease and generation are still ours; if not,
 *    the answer is parked as a candidate, never dropped. A refusal is evidence, weighed in `verdict.ts`.
 * 7. **Only then** a caller sees a token: readers read the row, so nothing can be used that is not saved.
 *
 * Whoever finds the lease taken waits for the row to change instead. Returns when the grant has a newer generation than
 * `seen`.
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
  // What the database could not be told while it was away decides whether anything is in doubt.
  if (!context.pendingOutcomes.isEmpty) await context.pendingOutcomes.write(context);
  let waited = false;
  let rounds = 0;
  for (;;) {
    const row = await findGrant(context.store.db, key);
    if (row === undefined) throw noSuchGrant(key);
    if (row.generation > seen) return;
    const held = await refreshBlocker(context, row);
    // What the stored client was refused says nothing about another one.
    const stands = held !== undefined && (candidateClient === undefined || held.code !== 'provider_misconfigured');
    if (stands) throw held;

    // A lease that is seen is waited for at once: whoever prepares a refresh that somebody else sends takes his processor
    // and his database. Whether it still holds is found out by waiting, once and not for long: what a dead one left behind
    // is looked for by those who prepare. After that the claim decides.
    if (!waited && row.lease_owner !== null && !isKnownDead(row.lease_owner)) {
      waited = true;
      await waitAWhile(context, row, giveUpAt, wait);
      continue;
    }

    // A provider in trouble holds up its own callers, and nobody holds a lease while waiting for a turn.
    // Where an overlap is running out, the breaker's pause could cost the grant.
    const urgent = await isUrgent(context, row);
    const round = (report: (health: CallHealth) => void) => refreshRound(context, row, report, { candidateClient });
    const outcome = await context.bulkheads.run(compartmentOf(row), round, { urgent });
    if (outcome === 'saved') return;
    if (outcome === 'taken') {
      waited = true;
      await observeWait(context, row, () => waitForChange(context, row, giveUpAt, wait));
    }
    wait.retryAfterMs = undefined;
    // Where each answer finds its lease gone, the provider is not asked without end.
    rounds += 1;
    if (rounds >= limits.refreshRoundsMax || context.world.monotonic() >= giveUpAt) {
      throw stillUncertain(context.times.retryBackOffMs);
    }
  }
}

/** Waits for a lease that was seen no longer than one lasts that is not renewed. */
async function waitAWhile(context: VaultContext, row: GrantRow, giveUpAt: number, wait: LeaseWait): Promise<void> {
  const { world, times } = context;
  const until = Math.min(giveUpAt, world.monotonic() + times.renewedLeaseMs);
  try {
    await observeWait(context, row, () => waitForChange(context, row, until, wait));
  } catch (error) {
    if (!isGrantryError(error, 'refresh_uncertain') || world.monotonic() >= giveUpAt) throw error;
  }
  wait.retryAfterMs = undefined;
}

/** One round: prepare, claim, spend. `taken`: somebody else is refreshing. `again`: the row is to be read anew. */
export function refreshRound(
  context: VaultContext,
  row: GrantRow,
  report: (health: CallHealth) => void,
  wish: RefreshOptions,
): Promise<'saved' | 'taken' | 'again'> {
  return observeRound(context, row, () => runRound(context, row, report, wish));
}

async function runRound(
  context: VaultContext,
  row: GrantRow,
  report: (health: CallHealth) => void,
  wish: RefreshOptions,
): Promise<'saved' | 'taken' | 'again'> {
  if (context.closing()) throw stopping(context);
  const plan = await planRefresh(context, row, wish);
  if (plan === 'look_again') return 'again';
  const claim = await claimRefresh(context, plan);
  if (claim === 'look_again') return 'again';
  if (claim === 'taken') {
    await plan.slot.discard();
    return 'taken';
  }
  const outcome = await spend(context, plan, claim, report);
  if (outcome === 'saved') await wish.candidateClient?.onAccepted({ id: row.id, dc: plan.client.dc });
  return outcome;
}

/**
 * Sends the one request that a claim allows and settles its outcome: `saved`, or `again` when there is something left to
 * try at once. Everything else throws, after it was settled.
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
    const answer = await send(context, plan, claim, held);
    if (answer === undefined || answer.status < 500) health = 'good';
    if (answer === undefined) return 'again';
    // Point of no return, second half: the answer is here and nowhere else.
    await keep(context, plan, claim, answer);
    const settled = await settleAnswer(context, plan, claim, answer);
    if (settled === 'saved') context.bulkheads.countServed(compartmentOf(plan.row));
    return settled;
  } finally {
    report(health);
    held.release();
  }
}

/** Returns the raw answer, or undefined when a last look has kept it from being sent. */
async function send(
  context: VaultContext,
  plan: RefreshPlan,
  claim: Claim,
  held: HeldLease,
): Promise<RawAnswer | undefined> {
  const deadline = deadlineSignal(context, context.times.answerDeadlineMs);
  let answered = false;
  try {
    const { client, refreshToken } = plan;
    return await observeRequest(context, { provider: plan.row.provider, dc: client.dc }, () =>
      sendRefresh(context.world, client, {
        refreshToken,
        signal: deadline.signal,
        // Point of no return. The provider may burn the token the moment it reads our request. This is looked at when the
        // connection stands, immediately before the first byte: a pause until here may have cost us the lease, and whoever
        // had it before us may have been stopped, and have got his answer just now.
        beforeSend: () => {
          held.assertTimeLeft();
          answered = plan.isAnswered();
          if (answered) throw new NotSentError('the answer to an earlier request has come');
        },
      }),
    );
  } catch (error) {
    if (error instanceof NotSentError) {
      await plan.slot.discard();
      if (await settleNotSent(context, plan, claim, held.lapsed || answered)) return undefined;
      throw new GrantryError('provider_unavailable', 'The provider cannot be reached.', {
        cause: error,
        retryAfterMs: claim.backOffMs,
      });
    }
    // What is not known to be unsent may have been processed. A defect of ours in here is no exception to that.
    await plan.slot.discard();
    throw await settleLostAnswer(context, plan, claim, error);
  } finally {
    deadline.clear();
  }
}

/** A spool that fails now is no reason to drop the answer: the database may still take it. */
async function keep(context: VaultContext, plan: RefreshPlan, claim: Claim, answer: RawAnswer): Promise<void> {
  try {
    await plan.slot.keep(claim.head, plan.tenantKeys, answer);
  } catch (error) {
    context.logger.error('an answer could not be spooled', {
      grant: claim.lease.grantId,
      code: isGrantryError(error) ? error.code : 'spool',
    });
  }
}
