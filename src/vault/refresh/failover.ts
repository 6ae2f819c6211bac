import type { VaultContext } from '../context.ts';

/**
 * Replays the spool after a standby was promoted that lacks the last commits. Returns true if it did: rows that were
 * read before must be read again.
 *
 * Called at each place that may notice a promotion first. Nothing may be spent before.
 */
export async function recoverLostTail(context: VaultContext): Promise<boolean> {
  const { guard } = context;
  if (guard.reason !== null || !guard.failedOver) return false;
  const { replaySpool } = await import('./replay.ts');
  // The lost tail may be in files of processes that have not noticed the promotion, and in committed files. Files past
  // their keeping time count too, because the time of the loss is unknown.
  await guard.finishFailover(() => replaySpool(context, { ownToo: true, oldToo: true }));
  return true;
}
