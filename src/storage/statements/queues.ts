import { sql } from 'kysely';
import type { Reader } from '../database.ts';
import type { GrantState } from '../schema.ts';

/** The lengths of the queues in the database, of all tenants. Each is counted up to a limit. */
export interface QueueDepths {
  /** Grants that are due for a refresh ahead of need, and how long the first of them has been due. */
  readonly due: number;
  readonly dueForMs: number;
  /** Tokens that wait to be revoked at their providers. */
  readonly revocations: number;
  readonly uncertain: number;
  readonly suspect: number;
  readonly reauthorizationRequired: number;
}

/** Reads the queues by indexes: the cost depends on what waits, up to the limit, and not on what is stored. */
export async function readQueues(db: Reader, countMax: number): Promise<QueueDepths> {
  const clock = sql<number>`(select ${db.now})`;
  const due = db.selectFrom('oauth_tokens').where('state', '=', 'active').where('due_at', '<=', clock);
  const inState = (state: GrantState) =>
    db
      .selectFrom(db.selectFrom('oauth_tokens').select('id').where('state', '=', state).limit(countMax).as('some'))
      .select(({ fn }) => fn.countAll().as('count'));
  const found = await db
    .selectNoFrom([
      db
        .selectFrom(due.select('id').limit(countMax).as('some'))
        .select(({ fn }) => fn.countAll().as('count'))
        .as('due'),
      due.select('due_at').orderBy('due_at').limit(1).as('due_since'),
      db.now.as('now'),
      db
        .selectFrom(db.selectFrom('grantry_revocations').select('id').limit(countMax).as('some'))
        .select(({ fn }) => fn.countAll().as('count'))
        .as('revocations'),
      inState('uncertain').as('uncertain'),
      inState('suspect').as('suspect'),
      inState('reauthorization_required').as('reauthorization_required'),
    ])
    .executeTakeFirstOrThrow();
  return {
    due: Number(found.due),
    dueForMs: found.due_since === null ? 0 : Math.max(0, found.now - found.due_since),
    revocations: Number(found.revocations),
    uncertain: Number(found.uncertain),
    suspect: Number(found.suspect),
    reauthorizationRequired: Number(found.reauthorization_required),
  };
}
