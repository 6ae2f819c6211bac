import { findsOne, type Reader } from '../database.ts';

interface AttemptPlace {
  readonly tenant: string;
  readonly grantId: string;
  readonly attemptId: string;
  readonly generation: number;
}

/** Returns those of the attempts that the database knows, by their ids. */
export async function knownAttempts(db: Reader, attempts: readonly AttemptPlace[]): Promise<Set<string>> {
  const rows = await db
    .selectFrom('grantry_attempts')
    .select('id')
    .where((where) =>
      where(
        where.refTuple('tenant', 'id'),
        'in',
        attempts.map(({ tenant, attemptId }) => where.tuple(tenant, attemptId)),
      ),
    )
    .execute();
  return new Set(rows.map((row) => row.id));
}

/**
 * Tells whether the database lacks an attempt that it must know if the attempt was ever written there: attempts are
 * forgotten only after their grant has gone on. One statement, since the grant may go on between two.
 */
export async function lacksAttempt(db: Reader, attempt: AttemptPlace): Promise<boolean> {
  const { tenant, grantId, attemptId, generation } = attempt;
  return db
    .selectFrom('oauth_tokens')
    .select('id')
    .where('client_id', '=', tenant)
    .where('id', '=', grantId)
    .where('generation', '<=', generation)
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('grantry_attempts as attempt')
            .select('attempt.id')
            .where('attempt.tenant', '=', tenant)
            .where('attempt.id', '=', attemptId),
        ),
      ),
    )
    .$call(findsOne);
}
