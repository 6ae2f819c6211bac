import { knownAttempts, lacksAttempt } from '../../storage/statements/lost-attempts.ts';
import type { VaultContext } from '../context.ts';
import type { SpoolPart } from '../spool/spool.ts';

/** A database that lost something has lost the newest attempts: a few of those tell. */
const askedMax = 64;

/**
 * Whether the spool holds answers to attempts that the database has no trace of. Each attempt is written there before its
 * file, so the database is an older copy of itself, which was put back together with its home: the home's mark is as old.
 *
 * @param since attempts before this time say nothing
 */
export async function knowsMoreThanDatabase(context: VaultContext, since: number, part: SpoolPart): Promise<boolean> {
  const { db } = context.store;
  const heads = (await (await context.spool()).heads(part)).filter((head) => head.at > since);
  const newest = heads.sort((one, other) => other.at - one.at).slice(0, askedMax);
  if (newest.length === 0) return false;
  const known = await knownAttempts(db, newest);
  for (const head of newest) {
    if (!known.has(head.attemptId) && (await lacksAttempt(db, head))) return true;
  }
  return false;
}
