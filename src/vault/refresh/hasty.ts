import type { AttemptRow } from '../../storage/statements/attempts.ts';
import { reopenCandidates } from '../../storage/statements/candidates.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { ChangeTransaction } from '../changing.ts';
import type { VaultContext } from '../context.ts';

/**
 * Opens the candidates again that were rejected by refusals within one pause: an overlap has no time for a longer one. Returns
 * true if one of them waits for another try.
 *
 * A short incident of the provider could have refused all of these tries, so no verdict may rest on them.
 */
export async function reopenHastilyRejected(
  context: VaultContext,
  { tx }: ChangeTransaction,
  row: GrantRow,
  attempts: readonly AttemptRow[],
): Promise<boolean> {
  const refused = attempts.filter(({ outcome, candidate_id: id }) => outcome === 'refused' && id !== null);
  const byCandidate = [...Map.groupBy(refused, ({ candidate_id: id }) => id ?? '')];
  const hasty = byCandidate.filter(([, each]) => spanOf(each) < context.times.suspectConfirmMs).map(([id]) => id);
  if (hasty.length === 0) return false;
  const { client_id: tenant, id: grantId, authorized_generation: authorizedGeneration } = row;
  return (await reopenCandidates(tx, { tenant, grantId, authorizedGeneration, ids: hasty })) > 0;
}

function spanOf(attempts: readonly AttemptRow[]): number {
  const times = attempts.flatMap(({ finished_at: at }) => at ?? []);
  return Math.max(...times) - Math.min(...times);
}
