import type { ProviderDefinition } from '../../providers/definition.ts';
import type { Reader } from '../../storage/database.ts';
import { listAttempts } from '../../storage/statements/attempts.ts';
import { type CandidateRow, listSuccessors } from '../../storage/statements/candidates.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import { isFromConsent } from '../grant/replaced.ts';
import { isReplayFatal } from './overlap.ts';

/**
 * Finds the candidate that may be sent next: the newest, unless a replay could harm.
 *
 * If a replay revokes the family, that is the last successor of the stored token only. An earlier successor may have been
 * replaced by it at the provider, and then counts as used. So does a candidate of an older token. The stored token's
 * overlap protects only the stored token. An answer with several tokens has several last successors.
 */
export async function nextCandidate(
  db: Reader,
  row: GrantRow,
  known: {
    /** The newest candidate of the authorization, without the excepted one. */
    newest: CandidateRow | undefined;
    definition: ProviderDefinition;
    /** The rest of the stored token's overlap; null if none has begun. */
    leftMs: number | null;
    exceptId?: string | null;
  },
): Promise<CandidateRow | undefined> {
  const { newest, definition, leftMs, exceptId = null } = known;
  if (newest === undefined || definition.refreshToken.reuse !== 'revokes_family') return newest;
  const successors = await successorsOf(db, row);
  const [last] = successors;
  if (last !== undefined) {
    return successors.find(({ id, fence, state }) => fence === last.fence && state === 'untested' && id !== exceptId);
  }
  if (isReplayFatal(definition, leftMs)) return undefined;
  // The other tokens of a broken consent succeed nothing: none of them was ever sent.
  return isFromConsent(newest) ? newest : undefined;
}

/**
 * Lists the candidates that came for the stored token, also rejected ones. The one whose request was sent last comes
 * first: a process that was paused, or a file that was set aside, may bring an earlier answer later.
 */
export async function successorsOf(db: Reader, row: GrantRow): Promise<CandidateRow[]> {
  const { client_id: tenant, id: grantId, generation } = row;
  const successors = await listSuccessors(db, { tenant, grantId, generation });
  if (successors.length < 2) return successors;
  const attempts = await listAttempts(db, { tenant, grantId, generation });
  // A database that has lost its tail knows no attempt, and begins to count leases again.
  const sentAt = ({ fence, received_at: receivedAt }: CandidateRow): number =>
    attempts.find((attempt) => attempt.fence === fence && attempt.outcome === 'parked')?.started_at ?? receivedAt;
  return successors.toSorted((one, other) => sentAt(other) - sentAt(one));
}
