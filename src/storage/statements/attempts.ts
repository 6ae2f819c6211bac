import { type Selectable, sql } from 'kysely';
import { limits } from '../../base/limits.ts';
import { changedOne, changedRows, countRows, type Reader, type WriteTx } from '../database.ts';
import type { AttemptOutcome, AttemptTable } from '../schema.ts';

export type AttemptRow = Selectable<AttemptTable>;

const unreported = 'the holder of the lease did not report';

/** The outcome is unknown: the request may not even have been sent. */
const unresolved: readonly AttemptOutcome[] = ['open', 'unknown'];
/** The token that was sent is spent, or may be. */
const spending: readonly AttemptOutcome[] = [...unresolved, 'parked'];

/** Returns true while the outcome of an attempt is unknown: its answer may be lost, or still come. */
export function isUnresolved({ outcome }: Pick<AttemptRow, 'outcome'>): boolean {
  return unresolved.includes(outcome);
}

/** Returns true when an attempt has spent its token, or may have, without a later generation. */
export function mayHaveSpent({ outcome }: Pick<AttemptRow, 'outcome'>): boolean {
  return spending.includes(outcome);
}

/** Returns true while an answer may still arrive: its holder may be a stopped or slow process. */
export function mayStillAnswer({ outcome, detail }: AttemptRow): boolean {
  return outcome === 'open' || (outcome === 'unknown' && detail === unreported);
}

/** Writes the intent to spend a refresh token, in the transaction that claims the lease. */
export async function insertAttempt(
  tx: WriteTx,
  attempt: Omit<AttemptRow, 'started_at' | 'finished_at' | 'outcome' | 'detail'>,
): Promise<void> {
  await tx
    .insertInto('grantry_attempts')
    .values({ ...attempt, started_at: tx.now, finished_at: null, outcome: 'open', detail: null })
    .execute();
}

/** Writes the outcome of an attempt. A late answer may replace `unknown`, but never another outcome. */
export async function finishAttempt(
  tx: WriteTx,
  attempt: { tenant: string; id: string; outcome: AttemptOutcome; detail: string | null },
): Promise<boolean> {
  return tx
    .updateTable('grantry_attempts')
    .set({ outcome: attempt.outcome, detail: attempt.detail, finished_at: tx.now })
    .where('tenant', '=', attempt.tenant)
    .where('id', '=', attempt.id)
    .where('outcome', 'in', unresolved)
    .$call(changedOne);
}

/** Marks the open attempts on a generation as unknown: their lease has ended, and their holders did not report. */
export async function abandonAttempts(
  tx: WriteTx,
  grant: { tenant: string; grantId: string; generation: number; exceptId: string },
): Promise<number> {
  return tx
    .updateTable('grantry_attempts')
    .set({ outcome: 'unknown', detail: unreported, finished_at: tx.now })
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('generation', '=', grant.generation)
    .where('outcome', '=', 'open')
    .where('id', '!=', grant.exceptId)
    .$call(changedRows);
}

/**
 * Lists the attempts on one generation, newest first: the last ones, and before them the last ones that may have spent the
 * token. Those decide what a refusal means, even when a provider was out of reach many times since.
 */
export async function listAttempts(
  db: Reader,
  grant: { tenant: string; grantId: string; generation: number },
): Promise<AttemptRow[]> {
  const last = await selectAttempts(db, grant).execute();
  const oldest = last.at(-1);
  if (oldest === undefined || last.length < limits.attemptsListedMax) return last;
  const older = await selectAttempts(db, grant)
    .where('fence', '<', oldest.fence)
    .where('outcome', 'in', spending)
    .execute();
  return [...last, ...older];
}

function selectAttempts(db: Reader, grant: { tenant: string; grantId: string; generation: number }) {
  return db
    .selectFrom('grantry_attempts')
    .selectAll()
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('generation', '=', grant.generation)
    .orderBy('fence', 'desc')
    .limit(limits.attemptsListedMax);
}

/** Finds the attempt that a spooled answer belongs to. */
export async function findAttempt(
  db: Reader,
  attempt: { tenant: string; grantId: string; fence: number },
): Promise<AttemptRow | undefined> {
  return db
    .selectFrom('grantry_attempts')
    .selectAll()
    .where('tenant', '=', attempt.tenant)
    .where('grant_id', '=', attempt.grantId)
    .where('fence', '=', attempt.fence)
    .executeTakeFirst();
}

/** Deletes finished attempts on generations that were replaced long ago. The events stay. */
export async function pruneAttempts(
  tx: WriteTx,
  grant: { tenant: string; grantId: string; belowGeneration: number },
): Promise<void> {
  await tx
    .deleteFrom('grantry_attempts')
    .where('tenant', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('generation', '<', grant.belowGeneration)
    .where('outcome', '!=', 'open')
    .execute();
}

/** Outcomes that say nothing about a grant: the provider failed, or was out of reach. */
const failures: readonly AttemptOutcome[] = ['failed', 'unknown', 'not_sent'];

/** Returns true when an attempt met a failure of the provider, or did not reach it. */
export function hasFailed({ outcome }: Pick<AttemptRow, 'outcome'>): boolean {
  return failures.includes(outcome);
}

/** Grants of a provider, within a window. */
export interface RefusalCount {
  /** Those that were served or refused. */
  readonly tried: number;
  readonly refused: number;
  /** Those that met the most frequent kind of failure: a grant may have met several kinds. */
  readonly failed: number;
}

/**
 * Counts the grants of a provider that were tried within a window, and those that were refused or met a failure, of all
 * tenants.
 *
 * A verdict asks whether the refused ones are `enough` and more than the `share` of those tried, or whether `enough` failed
 * and none was served. So it counts until that is decided, newest first, and looks at a limited number of rows. Where the
 * limit leaves it open, the count errs on the side of too many refusals, which gives up no grant.
 */
export async function countRefusals(
  db: Reader,
  provider: string,
  { windowMs, enough, share }: { windowMs: number; enough: number; share: number },
): Promise<RefusalCount> {
  const { refusalsReadMax, attemptsReadMax } = limits;
  const recent = (outcomes: readonly AttemptOutcome[], rowsMax: number) =>
    db
      .selectFrom('grantry_attempts')
      .select(['tenant', 'grant_id'])
      // As a subquery the clock is read once, and the index can serve.
      .where('started_at', '>', sql<number>`(select ${db.now} - ${windowMs})`)
      .where('outcome', 'in', outcomes)
      .orderBy('started_at', 'desc')
      .limit(rowsMax);
  const grantsOf = async (attempts: ReturnType<typeof recent>, grantsMax: number): Promise<number> => {
    const grants = db
      .selectFrom(attempts.as('attempt'))
      .innerJoin('oauth_tokens', (join) =>
        join.onRef('oauth_tokens.client_id', '=', 'attempt.tenant').onRef('oauth_tokens.id', '=', 'attempt.grant_id'),
      )
      .select('attempt.grant_id')
      .distinct()
      .where('oauth_tokens.provider', '=', provider)
      .limit(grantsMax);
    return db.selectFrom(grants.as('grants')).$call(countRows);
  };
  const refused = await grantsOf(recent(['refused'], refusalsReadMax), refusalsReadMax);
  if (refused < enough) {
    const { length } = await recent(['refused'], refusalsReadMax).execute();
    // So many refusals of other providers hide those of this one. Then this one counts as refusing too.
    if (length >= refusalsReadMax) return { tried: enough, refused: enough, failed: 0 };
    let failed = 0;
    for (const kind of failures) failed = Math.max(failed, await grantsOf(recent([kind], refusalsReadMax), enough));
    const served = failed < enough ? 0 : await grantsOf(recent(['saved', 'parked'], attemptsReadMax), 1);
    return { tried: refused + served, refused, failed };
  }
  const decided = Math.floor(refused / share) + 1;
  const tried = await grantsOf(recent(['saved', 'parked', 'refused'], attemptsReadMax), decided);
  return { tried, refused, failed: 0 };
}

/** The attempts of a grant that were not removed, newest first. */
export async function attemptsOfGrant(
  db: Reader,
  { tenant, grantId, limit }: { tenant: string; grantId: string; limit: number },
): Promise<AttemptRow[]> {
  return db
    .selectFrom('grantry_attempts')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('grant_id', '=', grantId)
    .orderBy('fence', 'desc')
    .limit(limit)
    .execute();
}
