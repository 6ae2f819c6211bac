import { knownAttempts, lacksAttempt } from '../../storage/statements/lost-attempts.ts';
import type { VaultContext } from '../context.ts';
import type { SpoolPart } from '../spool/spool.ts';

/** A database that lost something has lost the newest attempts, so a few of those suffice. */
const askedMax = 64;

/**
 * Tells whether the spool holds answers to attempts that the database does not know. Each attempt reaches the database
 * before its file is written. Such a database is therefore an older copy of itself. It was restored together with its
 * home, whose high-water mark is as old and reveals nothing.
 *
 * @param since attempts before this time do not count
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
