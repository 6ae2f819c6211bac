import type { Dice } from '../dice.ts';
import type { Mutation } from './mutations.ts';
import type { Holder, Place } from './place.ts';

/** Everything that a run counts and finds. */
export interface TamperReport {
  /** Counts the mutations by table and kind. */
  readonly tried: Map<string, number>;
  /** Counts the honest steps, and those that got their aim. */
  readonly steps: Map<string, { taken: number; done: number }>;
  rounds: number;
  calls: number;
  requests: number;
  /** Altered rows that were named, and old rows put back, which are allowed to work. */
  named: number;
  rolledBack: number;
  /** Rows that were put back, and those that the vault had replaced meanwhile, which stay. */
  putBack: number;
  replaced: number;
  /** Times that a touched grant worked after the rows were put back, and that one had to be connected again. */
  healed: number;
  reconnected: number;
  /** Quarantines that an administrator ended. */
  adopted: number;
  /** Answers about untouched grants that were judged, and those that another mutation of the round excuses. */
  judged: number;
  excused: number;
  /** The times that nothing helped, so that a new vault was made. */
  destroyed: number;
  /** A token, a secret or a key at the wrong place. */
  readonly leaks: Set<string>;
  /** Everything else: a row that was not named, a neighbour that was harmed, a grant that did not heal. */
  readonly findings: Set<string>;
}

export function newReport(): TamperReport {
  const counts = { rounds: 0, calls: 0, requests: 0, named: 0, rolledBack: 0, putBack: 0, replaced: 0 };
  const ends = { healed: 0, reconnected: 0, adopted: 0, judged: 0, excused: 0, destroyed: 0 };
  return {
    ...counts,
    ...ends,
    tried: new Map<string, number>(),
    steps: new Map<string, { taken: number; done: number }>(),
    leaks: new Set<string>(),
    findings: new Set<string>(),
  };
}

/** One round: the attacker strikes before and between the steps of honest callers. */
export interface Round {
  readonly place: Place;
  readonly dice: Dice;
  readonly report: TamperReport;
  readonly number: number;
  /** Every mutation of the round so far. */
  readonly made: Mutation[];
  /** Makes a few mutations, of these tables rather than others. */
  readonly attack: (tables: readonly string[]) => Promise<void>;
}

/** The mutations in a few words, for a finding. */
export function aboutOf({ made }: Round): string {
  if (made.length === 0) return 'no mutation';
  return made.map(({ table, kind, column }) => `${table}${column === null ? '' : `.${column}`} (${kind})`).join(', ');
}

/** Sends a request as the holder of a key. */
export async function call(
  { place, report }: Round,
  method: string,
  path: string,
  holder: Holder | null,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Awaited<ReturnType<Place['call']>>> {
  report.calls += 1;
  return place.call(method, path, { holder, headers, ...(body === undefined ? {} : { body }) });
}
