import { type Kysely, type RawBuilder, type Selectable, sql } from 'kysely';
import type { AttemptOutcome, AttemptTable, Schema } from '../schema.ts';

export type AttemptRow = Selectable<AttemptTable>;

const columns = [
  'id',
  'client_id',
  'grant_id',
  'fence',
  'generation',
  'token_fingerprint',
  'candidate_id',
  'owner',
  'started_at',
  'finished_at',
  'outcome',
  'detail',
] as const satisfies readonly (keyof AttemptRow)[];

const unreported = 'the holder of the lease did not report';

/** Nobody knows what became of the request, if it was sent at all. */
const unresolved: readonly AttemptOutcome[] = ['open', 'unknown'];
/** The token that was sent is spent, or may be. */
const spending: readonly AttemptOutcome[] = [...unresolved, 'parked'];

/** Nobody knows what became of an attempt: its answer may have been lost, or may still come. */
export function isUnresolved({ outcome }: Pick<AttemptRow, 'outcome'>): boolean {
  return unresolved.includes(outcome);
}

/** An attempt has spent its token, or may have, without a later generation. */
export function mayHaveSpent({ outcome }: Pick<AttemptRow, 'outcome'>): boolean {
  return spending.includes(outcome);
}

/** Its holder never said that nothing more will come: an answer may arrive at a process that was stopped, or is slow. */
export function mayStillAnswer({ outcome, detail }: AttemptRow): boolean {
  return outcome === 'open' || (outcome === 'unknown' && detail === unreported);
}

/** Writes the intent to spend a refresh token, in the transaction that claims the lease. */
export async function insertAttempt(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  attempt: Omit<AttemptRow, 'started_at' | 'finished_at' | 'outcome' | 'detail'>,
): Promise<void> {
  await tx
    .insertInto('grantry_attempts')
    .values({ ...attempt, started_at: now, finished_at: null, outcome: 'open', detail: null })
    .execute();
}

/** Writes what became of an attempt. A late answer may overwrite `unknown`, but never an answer that came. */
export async function finishAttempt(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  attempt: { tenant: string; id: string; outcome: AttemptOutcome; detail: string | null },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('grantry_attempts')
    .set({ outcome: attempt.outcome, detail: attempt.detail, finished_at: now })
    .where('client_id', '=', attempt.tenant)
    .where('id', '=', attempt.id)
    .where('outcome', 'in', unresolved)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Calls the open attempts on a generation unknown: their lease has ended, and nobody said what became of them. */
export async function abandonAttempts(
  tx: Kysely<Schema>,
  now: RawBuilder<number>,
  grant: { tenant: string; grantId: string; generation: number; exceptId: string },
): Promise<number> {
  const { numUpdatedRows } = await tx
    .updateTable('grantry_attempts')
    .set({ outcome: 'unknown', detail: unreported, finished_at: now })
    .where('client_id', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('generation', '=', grant.generation)
    .where('outcome', '=', 'open')
    .where('id', '!=', grant.exceptId)
    .executeTakeFirstOrThrow();
  return Number(numUpdatedRows);
}

/**
 * The attempts made on one generation, newest first: the last ones, and of older ones the last that may have spent the
 * token. However often a provider was out of reach since, those decide what a refusal means.
 */
export async function listAttempts(
  db: Kysely<Schema>,
  grant: { tenant: string; grantId: string; generation: number; limit: number },
): Promise<AttemptRow[]> {
  const last = await selectAttempts(db, grant).execute();
  const oldest = last.at(-1);
  if (oldest === undefined || last.length < grant.limit) return last;
  const older = await selectAttempts(db, grant)
    .where('fence', '<', oldest.fence)
    .where('outcome', 'in', spending)
    .execute();
  return [...last, ...older];
}

function selectAttempts(
  db: Kysely<Schema>,
  grant: { tenant: string; grantId: string; generation: number; limit: number },
) {
  return db
    .selectFrom('grantry_attempts')
    .select(columns)
    .where('client_id', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('generation', '=', grant.generation)
    .orderBy('fence', 'desc')
    .limit(grant.limit);
}

/** Finds the attempt that a spooled answer belongs to. */
export async function findAttempt(
  db: Kysely<Schema>,
  attempt: { tenant: string; grantId: string; fence: number },
): Promise<AttemptRow | undefined> {
  return db
    .selectFrom('grantry_attempts')
    .select(columns)
    .where('client_id', '=', attempt.tenant)
    .where('grant_id', '=', attempt.grantId)
    .where('fence', '=', attempt.fence)
    .executeTakeFirst();
}

/** Forgets finished attempts on generations that were replaced long ago; the audit trail is in the events. */
export async function pruneAttempts(
  tx: Kysely<Schema>,
  grant: { tenant: string; grantId: string; belowGeneration: number },
): Promise<void> {
  await tx
    .deleteFrom('grantry_attempts')
    .where('client_id', '=', grant.tenant)
    .where('grant_id', '=', grant.grantId)
    .where('generation', '<', grant.belowGeneration)
    .where('outcome', '!=', 'open')
    .execute();
}

/** How many grants of a provider were tried within a while, and how many of those were refused; of all tenants. */
export async function countRefusals(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  provider: string,
  windowMs: number,
): Promise<{ tried: number; refused: number }> {
  const rows = await db
    .selectFrom('grantry_attempts')
    .innerJoin('oauth_tokens', (join) =>
      join
        .onRef('oauth_tokens.client_id', '=', 'grantry_attempts.client_id')
        .onRef('oauth_tokens.id', '=', 'grantry_attempts.grant_id'),
    )
    .select(({ fn }) => [
      'grantry_attempts.outcome',
      fn.count<number | string | bigint>('grantry_attempts.grant_id').distinct().as('grants'),
    ])
    .where('oauth_tokens.provider', '=', provider)
    .where('grantry_attempts.started_at', '>', sql<number>`(select ${now} - ${windowMs})`)
    .where('grantry_attempts.outcome', 'in', ['saved', 'parked', 'refused'])
    .groupBy('grantry_attempts.outcome')
    .execute();
  const count = (wanted: (outcome: AttemptOutcome) => boolean) =>
    rows.filter((row) => wanted(row.outcome)).reduce((sum, row) => sum + Number(row.grants), 0);
  return { tried: count(() => true), refused: count((outcome) => outcome === 'refused') };
}
