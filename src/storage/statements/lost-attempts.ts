import type { Kysely } from 'kysely';
import type { Schema } from '../schema.ts';

/** Which of these attempts the database knows. */
export async function knownAttempts(db: Kysely<Schema>, ids: readonly string[]): Promise<Set<string>> {
  const rows = await db.selectFrom('grantry_attempts').select('id').where('id', 'in', ids).execute();
  return new Set(rows.map((row) => row.id));
}

/**
 * Whether the database lacks an attempt that it would still know if it had ever been written there: attempts are forgotten
 * only after their grant has gone on. One statement, since between two of them it might.
 */
export async function lacksAttempt(
  db: Kysely<Schema>,
  attempt: { tenant: string; grantId: string; id: string; generation: number },
): Promise<boolean> {
  const grant = await db
    .selectFrom('oauth_tokens')
    .select('id')
    .where('client_id', '=', attempt.tenant)
    .where('id', '=', attempt.grantId)
    .where('generation', '<=', attempt.generation)
    .where((where) =>
      where.not(
        where.exists(where.selectFrom('grantry_attempts').select('grantry_attempts.id').where('id', '=', attempt.id)),
      ),
    )
    .executeTakeFirst();
  return grant !== undefined;
}
