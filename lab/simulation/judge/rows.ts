import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';

type Row = Record<string, SQLOutputValue>;

/** The database as a bystander reads it, with a handle of its own. */
export class Rows {
  readonly #database: DatabaseSync;
  readonly #grants: StatementSync;
  readonly #candidates: StatementSync;
  readonly #events: StatementSync;
  readonly #attempts: StatementSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#grants = this.#database.prepare(
      'select id, client_id, provider, generation, state, reason, refresh_fingerprint, authorized_generation from oauth_tokens',
    );
    this.#candidates = this.#database.prepare(
      "select token_fingerprint, state from grantry_candidates where grant_id = ? and state = 'untested'",
    );
    this.#events = this.#database.prepare('select type, reason from grantry_events where grant_id = ? order by id');
    this.#attempts = this.#database.prepare(
      "select id from grantry_attempts where grant_id = ? and owner = ? and outcome in ('open', 'unknown') order by fence desc limit 1",
    );
  }

  grants(): Row[] {
    return this.#grants.all();
  }

  candidates(grantId: string): Row[] {
    return this.#candidates.all(grantId);
  }

  events(grantId: string): Row[] {
    return this.#events.all(grantId);
  }

  /** The attempt of a process that an answer for this grant belongs to. */
  openAttempt(grantId: string, owner: string): string | null {
    const found = this.#attempts.get(grantId, owner);
    return found === undefined ? null : String(found['id']);
  }

  close(): void {
    this.#database.close();
  }
}
