import { DatabaseSync } from 'node:sqlite';

/** A row as the database's driver gives it. */
export type Row = Readonly<Record<string, unknown>>;

/** Everything that the judge reads, at one moment. */
export interface Snapshot {
  readonly grants: readonly Row[];
  readonly candidates: readonly Row[];
  readonly attempts: readonly Row[];
  readonly events: readonly Row[];
}

/** The database as a bystander reads it, with a handle of its own. */
export interface Bystander {
  look(): Promise<Snapshot>;
  close(): void;
}

/** The same statements on both databases. */
export const statements: Readonly<Record<keyof Snapshot, string>> = {
  grants:
    'select id, client_id, provider, generation, state, reason, refresh_fingerprint, authorized_generation from oauth_tokens order by id',
  candidates: "select grant_id, token_fingerprint from grantry_candidates where state = 'untested' order by id",
  attempts:
    "select id, grant_id, owner, started_at from grantry_attempts where outcome in ('open', 'unknown') order by fence desc, id",
  events: 'select id, grant_id, type, reason from grantry_events where grant_id is not null order by id',
};

/** Looks into a SQLite file. */
export function sqliteBystander(path: string): Bystander {
  const database = new DatabaseSync(path);
  const grants = database.prepare(statements.grants);
  const candidates = database.prepare(statements.candidates);
  const attempts = database.prepare(statements.attempts);
  const events = database.prepare(statements.events);
  return {
    look: async () => ({
      grants: grants.all(),
      candidates: candidates.all(),
      attempts: attempts.all(),
      events: events.all(),
    }),
    close: () => database.close(),
  };
}
