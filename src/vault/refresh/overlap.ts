import { GrantryError } from '../../base/errors.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type AttemptRow, isUnresolved, mayStillAnswer } from '../../storage/statements/attempts.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { leaseKindOf } from './lease-kind.ts';

/** The provider's overlap: the time for which a spent token may be tried again. Null if the provider has none. */
export function overlapMsOf(context: VaultContext, definition: ProviderDefinition): number | null {
  const { rotation, overlapSeconds } = definition.refreshToken;
  return rotation === 'timed_overlap' ? overlapSeconds * 1_000 * (context.world.timeScale ?? 1) : null;
}

/** The rest of the overlap in which the stored token may still be tried. Null if no overlap has begun. */
export async function overlapLeftMs(context: VaultContext, row: GrantRow): Promise<number | null> {
  return row.overlap_until === null ? null : row.overlap_until - (await context.store.nowMs());
}

/**
 * True if the stored token may have been spent and its overlap ends soon. Such a grant bypasses circuit breakers,
 * budgets and queues. An overlap of hours makes a grant urgent only near its end.
 */
export async function isUrgent(context: VaultContext, row: GrantRow): Promise<boolean> {
  const leftMs = (await overlapLeftMs(context, row)) ?? 0;
  return leftMs > 0 && leftMs <= 2 * context.times.answerDeadlineMs;
}

/** True if sending a token whose successor has arrived would end the grant. While its overlap runs, it would not. */
export function isReplayFatal(definition: ProviderDefinition, leftMs: number | null): boolean {
  return definition.refreshToken.reuse === 'revokes_family' && (leftMs ?? 0) <= 0;
}

/**
 * Returns the deadline for the answer to the next request. It is the usual one, the longest, with two exceptions.
 *
 * Inside an overlap, only a replay brings back an answer that never comes. So the deadline leaves room for one. Once
 * there is no more room, the request is the last that can help, and its answer is waited for as long as any other.
 *
 * If tokens do not rotate, a second request is harmless, even beside the first. So a silent connection is given up after
 * the time that callers wait. A provider that needs longer gets twice as long with each try.
 *
 * `leftMs` is the rest of an overlap that has begun.
 */
export function deadlineFor(
  context: VaultContext,
  definition: ProviderDefinition,
  { leftMs, prior }: { leftMs: number | null; prior: readonly AttemptRow[] },
): number {
  const { times } = context;
  const longestMs = times.answerDeadlineMs;
  if (definition.refreshToken.rotation === 'none') {
    return Math.min(longestMs, times.callerWaitMs * 2 ** prior.filter(isUnresolved).length);
  }
  const overlapMs = overlapMsOf(context, definition);
  if (overlapMs === null || leaseKindOf(context, definition) === 'strict') return longestMs;
  const roomMs = Math.min(times.replayRoomMs, overlapMs / 2);
  // After an overlap, either the token is dead, or no request has arrived yet: then this one begins an overlap.
  const beforeReplayMs = (leftMs !== null && leftMs > 0 ? leftMs : overlapMs) - roomMs;
  return beforeReplayMs < times.replayRoomMs / 3 ? longestMs : Math.min(longestMs, beforeReplayMs);
}

/** Limits a back-off to half of the overlap that is left, but not below half of the usual first back-off. */
export function pauseInOverlap(context: VaultContext, pauseMs: number, leftMs: number | null): number {
  if (leftMs === null || leftMs <= 0) return pauseMs;
  return Math.round(Math.min(pauseMs, Math.max(context.times.retryBackOffMs / 2, leftMs / 2)));
}

/**
 * Prevents a replay of a spent token that could only do harm.
 *
 * Inside the overlap, a replay is the cure for a lost answer. Once the overlap is over, a replay is refused at best,
 * and may revoke the family. The answer of a paused or slow holder may still arrive, and it is the grant's only hope.
 * So nothing is sent while an answer may be under way.
 *
 * @throws {GrantryError} `refresh_uncertain` while an answer may be under way
 */
export async function waitForLateAnswer(
  context: VaultContext,
  definition: ProviderDefinition,
  prior: readonly AttemptRow[],
): Promise<void> {
  const overlapMs = overlapMsOf(context, definition);
  if (overlapMs === null) return;
  const pending = prior.filter(mayStillAnswer);
  if (pending.length === 0) return;
  const sentAt = pending.map((attempt) => attempt.started_at);
  // An earlier request may have had the longest deadline.
  const { answerDeadlineMs: deadlineMs, marginMs } = context.times;
  const overlapEndsAt = Math.min(...sentAt) + overlapMs;
  const answersEndAt = Math.max(...sentAt) + deadlineMs + marginMs;
  const now = await context.store.nowMs();
  if (now < overlapEndsAt || now >= answersEndAt) return;
  throw new GrantryError('refresh_uncertain', 'A refresh was sent, and its answer may still be on its way.', {
    retryAfterMs: answersEndAt - now,
  });
}
