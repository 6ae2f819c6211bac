import type { VaultContext } from '../context.ts';

/**
 * After a standby was promoted that lacks the last commits, brings back from the spool what they held. True when it was
 * looked for: rows that were read before are to be read anew.
 *
 * Called wherever a promotion may be noticed first; nothing may be spent before.
 */
export async function recoverLostTail(context: VaultContext): Promise<boolean> {
  const { guard } = context;
  if (guard.reason !== null || !guard.failedOver) return false;
  const { replaySpool } = await import('./replay.ts');
  // What the standby lacks may stand in files of processes that have not noticed yet, and in committed ones. A file that is
  // older than it needed to be kept is as good as any: nobody knows when the tail was lost.
  await guard.finishFailover(() => replaySpool(context, { ownToo: true, oldToo: true }));
  return true;
}
