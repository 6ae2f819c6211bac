import { GrantryError } from '../base/errors.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import type { AttemptRow } from '../storage/attempts.ts';
import type { VaultContext } from './context.ts';

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
  const { rotation, overlapSeconds } = definition.refreshToken;
  if (rotation !== 'timed_overlap') return;
  const pending = prior.filter((attempt) => attempt.outcome === 'open' || attempt.outcome === 'unknown');
  if (pending.length === 0) return;
  const sentAt = pending.map((attempt) => attempt.started_at);
  const { answerDeadlineMs, marginMs } = context.times;
  const overlapEndsAt = Math.min(...sentAt) + overlapSeconds * 1_000 * (context.world.timeScale ?? 1);
  const answersEndAt = Math.max(...sentAt) + answerDeadlineMs + marginMs;
  const now = await context.store.nowMs();
  if (now < overlapEndsAt || now >= answersEndAt) return;
  throw new GrantryError('refresh_uncertain', 'A refresh was sent, and its answer may still be on its way.', {
    retryAfterMs: answersEndAt - now,
  });
}
