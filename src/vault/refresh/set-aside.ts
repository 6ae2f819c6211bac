import { codeOf, isVaultDown } from '../../base/errors.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { finishAttempt } from '../../storage/statements/attempts.ts';
import { type GrantRow, lockGrant } from '../../storage/statements/grants.ts';
import { raiseDoubt, releaseLease, settleLease } from '../../storage/statements/leases.ts';
import { changing } from '../changing.ts';
import { isoNow, type VaultContext } from '../context.ts';
import { answerSetAside, answerUnreadable } from '../grant/refusals.ts';
import { type Reason, reasons } from '../reasons.ts';
import type { SpoolEntry, SpoolHead } from '../spool/spool.ts';
import { overlapLeftMs } from './overlap.ts';

/** The pause before a set-aside answer is tried again doubles with each try, at most this many times. */
const doublingsMax = 9;

/** When the answers that were set aside may be tried again, by attempt. A new process tries each at once. */
const retries = new WeakMap<VaultContext, Map<string, { readonly tries: number; readonly notBefore: number }>>();

/**
 * Sets an answer aside that the database refuses to save. Only its grant is held: its file waits for a later try, and the
 * spent token is not sent again meanwhile.
 *
 * Not for a database that is down: that delays all answers alike, and a later try saves them. Returns false if the answer
 * is in no file, and so is lost.
 */
export async function setAside(
  context: VaultContext,
  head: SpoolHead,
  file: Pick<SpoolEntry, 'setAside'>,
  { error, retryInMs }: { error: unknown; retryInMs: number },
): Promise<boolean> {
  const { tenant, grantId: grant, attemptId: attempt } = head;
  const isKept = await file.setAside('refused');
  postponeRetry(context, attempt);
  const code = codeOf(error);
  context.logger.error('the database refuses to save an answer, which is set aside', {
    tenant,
    grant,
    attempt,
    code,
    isKept,
  });
  try {
    await holdGrant(context, head, { code, retryInMs, reason: isKept ? reasons.answerRefused : reasons.answerLost });
  } catch (failure) {
    if (isVaultDown(failure)) throw failure;
    // The database refuses this as well. The open attempt and the file still hold the grant.
    context.logger.error('the database refuses to hold a grant', { tenant, grant, code: codeOf(failure) });
  }
  return isKept;
}

/** Ends the hold of a grant whose set-aside answer turned out to bring nothing: the answer counts as lost. */
export async function liftHold(context: VaultContext, { tenant, grantId }: SpoolHead): Promise<void> {
  await changing(context, async (change) => {
    const { tx } = change;
    const row = await lockGrant(tx, tenant, grantId);
    if (row?.reason !== reasons.answerRefused) return;
    const reason = reasons.answerLost;
    await raiseDoubt(tx, { tenant, grantId, reason, at: isoNow(context), from: ['uncertain'] });
    change.record(row, { type: 'grant.uncertain', to: 'uncertain', reason });
  });
}

/** Tells whether it is time to try an answer again that was set aside, or could not be understood. */
export function isRetryDue(context: VaultContext, { attemptId }: SpoolHead): boolean {
  return (retries.get(context)?.get(attemptId)?.notBefore ?? 0) <= context.world.monotonic();
}

/** Doubles the pause before the next try of an answer. */
export function postponeRetry(context: VaultContext, attemptId: string): void {
  const known = retries.get(context) ?? new Map();
  retries.set(context, known);
  const tries = known.get(attemptId)?.tries ?? 0;
  const pauseMs = context.times.retryBackOffMs * 2 ** Math.min(doublingsMax, tries);
  known.set(attemptId, { tries: tries + 1, notBefore: context.world.monotonic() + pauseMs });
}

/** Forgets the tries of an answer that is settled. */
export function forgetRetry(context: VaultContext, attemptId: string): void {
  retries.get(context)?.delete(attemptId);
}

/**
 * Prevents the refresh of a grant whose newest answer waits in a file. Its stored token is spent, so sending it again
 * could only end the grant. A request is allowed where a replay is harmless.
 *
 * @param fence the fence of the attempt that brought the token to be sent; a later answer holds the grant
 * @throws {GrantryError} `refresh_uncertain` with the cause
 */
export async function assertNotHeld(
  context: VaultContext,
  row: GrantRow,
  definition: ProviderDefinition,
  { waiting, fence }: { waiting: readonly SpoolHead[]; fence: number },
): Promise<void> {
  if (await isReplayHarmless(context, row, definition)) return;
  const unreadable = (await context.spool()).unreadableOf(row.id);
  if (unreadable !== undefined) throw answerUnreadable(row, unreadable);
  const isHere = waiting.some((head) => head.generation >= row.generation && head.fence > fence);
  // Another host may hold the file; this one sees only the reason in the row.
  if (isHere || row.reason === reasons.answerRefused) throw answerSetAside(row, context.times.suspectConfirmMs);
}

/** True if the provider still takes the stored token, although it was sent once. */
async function isReplayHarmless(
  context: VaultContext,
  row: GrantRow,
  { refreshToken: { rotation } }: ProviderDefinition,
): Promise<boolean> {
  if (rotation === 'none' || rotation === 'retire_on_use') return true;
  return rotation === 'timed_overlap' && ((await overlapLeftMs(context, row)) ?? 0) > 0;
}

/** Marks the grant, so that callers, operators and other hosts see that its newest answer is not saved. */
async function holdGrant(
  context: VaultContext,
  head: SpoolHead,
  { code, retryInMs, reason }: { code: string; retryInMs: number; reason: Reason },
): Promise<void> {
  const { tenant, grantId, generation, fence } = head;
  const lease = { tenant, grantId, generation, owner: head.owner.id, fence };
  await changing(context, async (change) => {
    const { tx } = change;
    const row = await lockGrant(tx, tenant, grantId);
    // A grant with a later generation does not need this answer.
    if (row === undefined || row.generation > generation || row.reason === reason) return;
    await finishAttempt(tx, { tenant, id: head.attemptId, outcome: 'unknown', detail: 'the answer is set aside' });
    if (row.state === 'reauthorization_required' || row.state === 'disconnected') {
      await releaseLease(tx, lease);
      return;
    }
    const at = isoNow(context);
    const isHeld =
      (await settleLease(tx, lease, { state: 'uncertain', reason, retryInMs, at })) ||
      // The database lost the claim, or another process has claimed the grant since.
      (await raiseDoubt(tx, { tenant, grantId, reason, at, from: ['active', 'uncertain', 'suspect'] }));
    if (isHeld) change.record(row, { type: 'grant.uncertain', to: 'uncertain', reason, details: { code } });
  });
}
