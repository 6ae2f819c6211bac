import { LRUCache } from 'lru-cache';
import type { Reader } from '../../storage/database.ts';
import {
  type ActorRow,
  type AuditEntryRow,
  actorsNumbered,
  type NewEntryRow,
  type SubjectRow,
  subjectsNumbered,
} from '../../storage/statements/audit/log.ts';
import { onlyShard } from './leaf.ts';

/** Numbers that are kept while a log is read; a log names the same ones again and again. */
const keptMax = 100_000;

/** Numbers that one statement asks for: a database limits the values that it binds. */
const askedMax = 500;

/** Gives the entries of a log their actors and subjects back. */
export class Names {
  readonly #db: Reader;
  readonly #actors = new LRUCache<number, ActorRow>({ max: keptMax });
  readonly #subjects = new LRUCache<number, SubjectRow>({ max: keptMax });

  constructor(db: Reader) {
    this.#db = db;
  }

  /** An entry whose actor is missing was altered: its text will not fit its leaf. */
  async of(rows: readonly NewEntryRow[]): Promise<AuditEntryRow[]> {
    const actors = await this.#load(
      this.#actors,
      actorsNumbered,
      rows.map(({ actor }) => actor),
    );
    const subjects = await this.#load(
      this.#subjects,
      subjectsNumbered,
      rows.flatMap(({ subject }) => subject ?? []),
    );
    return rows.map((row) => {
      const actor = actors.get(row.actor);
      const subject = row.subject === null ? undefined : subjects.get(row.subject);
      return {
        ...row,
        actor_kind: actor?.kind ?? '',
        actor_id: actor?.actor_id ?? '',
        actor_name: actor?.name ?? null,
        source: actor?.source ?? '',
        tenant: subject?.tenant ?? null,
        provider: subject?.provider ?? null,
        account: subject?.account ?? null,
      };
    });
  }

  async #load<Row extends { readonly id: number }>(
    kept: LRUCache<number, Row>,
    read: (db: Reader, shard: number, ids: readonly number[]) => Promise<readonly Row[]>,
    ids: readonly number[],
  ): Promise<ReadonlyMap<number, Row>> {
    const found = new Map<number, Row>();
    const missing: number[] = [];
    for (const id of new Set(ids)) {
      const known = kept.get(id);
      if (known === undefined) missing.push(id);
      else found.set(id, known);
    }
    for (let from = 0; from < missing.length; from += askedMax) {
      for (const row of await read(this.#db, onlyShard, missing.slice(from, from + askedMax))) {
        kept.set(row.id, row);
        found.set(row.id, row);
      }
    }
    return found;
  }
}
