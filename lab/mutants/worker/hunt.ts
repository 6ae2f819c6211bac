import { appendFileSync } from 'node:fs';
import type { Job, Measured, Message } from './job.ts';
import { mutants$ } from './switch.ts';

/** Runs a check with the mutant that is in effect, and returns what it noticed. */
export type RunCheck = (name: string) => Promise<string | null>;

interface Kill {
  readonly mutant: number;
  readonly by: 'check' | 'time-out';
  readonly how: string;
  readonly ms: number;
}

/** So many failures of a check are believed before it must pass without a mutant. */
const unprovenMax = 4;
/** Tests leave things behind, and so do runs that did not end: the next process goes on. */
const memoryMaxBytes = 1.6 * 2 ** 30;
const abandonedMax = 6;
/** This long, and so many times as long as without a mutant, a run may last. */
const patienceMs = 8_000;
const patienceFactor = 8;
/** A run that blocks its process is ended with it after so many times as long. */
const blockedFactor = 2;
/** Mutants this close to one another are often noticed by the same check. */
const nearIds = 12;

export function say(job: Pick<Job, 'out'>, message: Message): void {
  appendFileSync(job.out, `${JSON.stringify(message)}\n`);
}

/**
 * Tries the mutants of a job one after the other, each with the checks in which it makes a difference, until one fails.
 * A failure counts when the same check passes without a mutant afterwards.
 */
export class Hunt {
  readonly #job: Job;
  readonly #run: RunCheck;
  readonly #byName: ReadonlyMap<string, Measured>;
  readonly #checksOf = new Map<number, Measured[]>();
  readonly #noticed: { mutant: number; check: string }[];
  readonly #tries: { mutant: number; check: string }[] = [];
  readonly #unproven = new Map<string, Kill[]>();
  readonly #broken = new Set<string>();
  readonly #abandons: boolean;
  #abandoned = 0;

  /** @param abandons whether the next run may begin beside one that does not end */
  constructor(job: Job, run: RunCheck, abandons: boolean) {
    this.#job = job;
    this.#run = run;
    this.#abandons = abandons;
    this.#noticed = [...job.noticed];
    this.#byName = new Map(job.checks.map((check) => [check.name, check]));
    for (const check of job.checks) {
      for (const mutant of check.seen) {
        const known = this.#checksOf.get(mutant);
        if (known === undefined) this.#checksOf.set(mutant, [check]);
        else known.push(check);
      }
    }
  }

  async hunt(): Promise<void> {
    const { hung, mutants } = this.#job;
    if (hung !== null && (await this.#passes(hung.check))) {
      say(this.#job, { kind: 'verdict', mutant: hung.mutant, by: 'time-out', how: hung.check, ms: 0 });
    }
    for (const mutant of mutants) {
      if (mutant === hung?.mutant) continue;
      await this.#try(mutant);
      if (process.memoryUsage().rss > memoryMaxBytes || this.#abandoned >= abandonedMax) break;
    }
    for (const check of this.#unproven.keys()) await this.#prove(check);
    say(this.#job, { kind: 'end' });
  }

  async #try(mutant: number): Promise<void> {
    const startedAt = performance.now();
    let spentMs = 0;
    let tried = 0;
    for (const check of this.#inOrder(mutant)) {
      if (this.#broken.has(check.name)) continue;
      if (spentMs > this.#job.budgetMs) break;
      spentMs += check.ms;
      tried += 1;
      this.#tries.push({ mutant, check: check.name });
      const outcome = await this.#outcomeOf(mutant, check);
      if (outcome === 'passes') continue;
      if (outcome.by === 'check') this.#noticed.push({ mutant, check: check.name });
      const ms = Math.round(performance.now() - startedAt);
      const kill = { mutant, by: outcome.by, how: `${check.name} | ${outcome.how}`, ms };
      const kills = [...(this.#unproven.get(check.name) ?? []), kill];
      this.#unproven.set(check.name, kills);
      if (kills.length >= unprovenMax) await this.#prove(check.name);
      return;
    }
    const how = tried === 0 ? 'no check reaches it' : `${tried} checks`;
    say(this.#job, { kind: 'verdict', mutant, by: null, how, ms: Math.round(performance.now() - startedAt) });
  }

  /** What is likely to notice it and soon done comes first. */
  #inOrder(mutant: number): Measured[] {
    const near = (each: { mutant: number }): boolean => Math.abs(each.mutant - mutant) <= nearIds;
    const noticed = countsOf(this.#noticed, near);
    const tries = countsOf(this.#tries, near);
    const worth = ({ name, ms }: Measured): number =>
      (1 + (noticed.get(name) ?? 0)) / (5 + (tries.get(name) ?? 0)) / (ms + 30);
    return (this.#checksOf.get(mutant) ?? [])
      .map((check) => ({ check, worth: worth(check) }))
      .toSorted((a, b) => b.worth - a.worth)
      .map(({ check }) => check);
  }

  async #outcomeOf(mutant: number, { name, ms }: Measured): Promise<'passes' | Pick<Kill, 'by' | 'how'>> {
    const patience = patienceMs + patienceFactor * ms;
    const limitMs = this.#abandons ? blockedFactor * patience : patience;
    say(this.#job, { kind: 'begin', mutant, check: name, limitMs, at: Date.now() });
    mutants$.active = mutant;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      if (this.#abandons) timer = setTimeout(() => resolve('late'), patience);
    });
    try {
      const how = await Promise.race([this.#run(name), late]);
      if (how === null) return 'passes';
      if (how !== 'late') return { by: 'check', how };
      this.#abandoned += 1;
      return { by: 'time-out', how: 'did not end' };
    } finally {
      clearTimeout(timer);
      mutants$.active = 0;
    }
  }

  async #passes(name: string): Promise<boolean> {
    const check = this.#byName.get(name);
    if (check === undefined) return false;
    const outcome = await this.#outcomeOf(0, check);
    if (outcome === 'passes') return true;
    this.#broken.add(name);
    say(this.#job, { kind: 'broken', check: name, how: outcome.how });
    return false;
  }

  /** Believes the failures of a check if it passes without a mutant; else the next process tries these mutants again. */
  async #prove(name: string): Promise<void> {
    const kills = this.#unproven.get(name) ?? [];
    this.#unproven.delete(name);
    if (!(await this.#passes(name))) return;
    for (const kill of kills) say(this.#job, { kind: 'verdict', ...kill });
  }
}

/** Neighbours count six times. */
function countsOf(
  pairs: readonly { mutant: number; check: string }[],
  near: (pair: { mutant: number }) => boolean,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const pair of pairs) counts.set(pair.check, (counts.get(pair.check) ?? 0) + (near(pair) ? 6 : 0.3));
  return counts;
}
