import type { Acting, Actor } from '../base/acting.ts';

/** The end of what was done. */
export type Outcome = 'ok' | 'failed' | 'refused';

/** Names, numbers and fingerprints; never a secret. */
export type EntryDetails = Readonly<Record<string, string | number | boolean | null>>;

/** One line of the audit log before it has its place. */
export interface NewEntry {
  readonly at: number;
  /** Null for a change of the installation. */
  readonly tenant: string | null;
  readonly provider: string | null;
  readonly account: string | null;
  readonly generation: number | null;
  /** `noun.verb`. */
  readonly action: string;
  readonly outcome: Outcome;
  readonly code: string | null;
  readonly reason: string | null;
  /** Several equal events in one entry: how many, and when the first and the last one were. */
  readonly count?: number;
  readonly firstAt?: number;
  readonly lastAt?: number;
  readonly details: EntryDetails;
}

/** The members of an entry that its leaf covers, as JSON has them. Those that are null are left out. */
export interface EntryFacts {
  readonly actor: Actor;
  readonly source: string;
  readonly action: string;
  readonly provider?: string | undefined;
  readonly account?: string | undefined;
  readonly generation?: number | undefined;
  readonly outcome: Outcome;
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
  readonly count?: number | undefined;
  readonly first_at?: number | undefined;
  readonly last_at?: number | undefined;
}

const textCharsMax = 256;

/** The facts of an entry for the queue. */
export function factsOf(entry: NewEntry, { actor, source, reason: given }: Acting): EntryFacts {
  const { action, provider, account, generation, outcome, code, reason, count, firstAt, lastAt } = entry;
  return {
    actor: { kind: actor.kind, id: short(actor.id), name: actor.name === null ? null : short(actor.name) },
    source: short(source),
    action: short(action),
    provider: optional(provider),
    account: optional(account),
    generation: generation ?? undefined,
    outcome,
    code: optional(code),
    reason: optional(reason ?? given),
    count,
    first_at: firstAt,
    last_at: lastAt,
  };
}

function optional(text: string | null | undefined): string | undefined {
  return text === null || text === undefined ? undefined : short(text);
}

/** A text that both databases and canonical JSON keep as it is. */
export function short(text: string): string {
  const clean = text.toWellFormed().replaceAll('\0', '�');
  return clean.length > textCharsMax ? `${clean.slice(0, textCharsMax - 1).toWellFormed()}…` : clean;
}
