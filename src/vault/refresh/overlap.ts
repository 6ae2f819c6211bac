import { GrantryError } from '../../base/errors.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type AttemptRow, mayStillAnswer } from '../../storage/statements/attempts.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';

/** How long a spent token may be tried again, where it may for a while. */
export function overlapMsOf(context: VaultContext, definition: ProviderDefinition): number | null {
  const { rotation, overlapSeconds } = definition.refreshToken;
  return rotation === 'timed_overlap' ? overlapSeconds * 1_000 * (context.world.timeScale ?? 1) : null;
}

/** How long the stored token, which may have been spent, may still be tried; null where no overlap was begun. */
export async function overlapLeftMs(context: VaultContext, row: GrantRow): Promise<number | null> {
  return row.overlap_until === null ? null : row.overlap_until - (await context.store.nowMs());
}

/**
 * The stored token may have been spent, and can be tried again for a short while yet: whatever holds others up must not
 * hold it. Where the overlap lasts for hours, that is so at its end alone.
 */
export async function isUrgent(context: VaultContext, row: GrantRow): Promise<boolean> {
  const leftMs = (await overlapLeftMs(context, row)) ?? 0;
  return leftMs > 0 && leftMs <= 2 * context.times.answerDeadlineMs;
}

/** Whether to send a token whose successor has arrived would end the grant: not while its overlap is running. */
export function isReplayFatal(definition: ProviderDefinition, leftMs: number | null): boolean {
  return definition.refreshToken.reuse === 'revokes_family' && (leftMs ?? 0) <= 0;
}

/** A back-off that does not outlast the overlap: what is left of it is halved with every try. */
export function pauseInOverlap(context: VaultContext, pauseMs: number, leftMs: number | null): number {
  if (leftMs === null || leftMs <= 0) return pauseMs;
  return Math.round(Math.min(pauseMs, Math.max(context.times.retryBackOffMs / 2, leftMs / 2)));
}

/**
 * Keeps a spent token from being replayed when that could only do harm.
 *
 * Inside a provider's overlap a replay is the cure for a lost answer. Once the overlap is over it is refused at best, and
 * may revoke the family, while the answer of a holder who was paused or is slow may still arrive and is the grant's only
 * hope. So nothing is sent until no answer can be under way any more.
 *
 * @throws {GrantryError} `refresh_uncertain` until then
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
  const { answerDeadlineMs, marginMs } = context.times;
  const overlapEndsAt = Math.min(...sentAt) + overlapMs;
  const answersEndAt = Math.max(...sentAt) + answerDeadlineMs + marginMs;
  const now = await context.store.nowMs();
  if (now < overlapEndsAt || now >= answersEndAt) return;
  throw new GrantryError('refresh_uncertain', 'A refresh was sent, and its answer may still be on its way.', {
    retryAfterMs: answersEndAt - now,
  });
}
