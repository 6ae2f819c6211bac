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
/** A check that passed makes the others of its file so much less likely to notice. */
const besidesFactor = 0.8;
/** The tests beside a file are so much more likely to notice its mutants. */
const ownFactor = 4;

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
  }

  async hunt(): Promise<void> {
    const { hung, mutants } = this.#job;
    if (hung !== null && (await this.#passes(hung.check))) {
      say(this.#job, { kind: 'verdict', mutant: hung.mutant, by: 'time-out', how: hung.check, ms: 0, passed: [] });
    }
    for (const mutant of mutants) {
      if (mutant.id === hung?.mutant) continue;
      await this.#try(mutant);
      if (process.memoryUsage().rss > memoryMaxBytes || this.#abandoned >= abandonedMax) break;
    }
    for (const check of this.#unproven.keys()) await this.#prove(check);
    say(this.#job, { kind: 'end' });
  }

  async #try({ id: mutant, file, passed: before }: Job['mutants'][number]): Promise<void> {
    const { budgetMs, checks } = this.#job;
    const startedAt = performance.now();
    const passed = new Set(before);
    const waiting = this.#checksOf(mutant).filter((index) => !passed.has(index));
    const worthOf = this.#worthFor(mutant, file);
    let spentMs = 0;
    while (waiting.length > 0 && spentMs <= budgetMs) {
      const [index] = waiting.splice(bestOf(waiting, worthOf), 1);
      const check = index === undefined ? undefined : checks[index];
      if (index === undefined || check === undefined || this.#broken.has(check.name)) continue;
      spentMs += check.ms;
      this.#tries.push({ mutant, check: check.name });
      const outcome = await this.#outcomeOf(mutant, check);
      if (outcome !== 'passes') {
        const ms = Math.round(performance.now() - startedAt);
        await this.#believe(check.name, { mutant, by: outcome.by, how: `${check.name} | ${outcome.how}`, ms });
        return;
      }
      passed.add(index);
      worthOf.passed(index);
    }
    const how = passed.size === 0 ? 'no check reaches it' : `${passed.size} checks, ${waiting.length} left`;
    const ms = Math.round(performance.now() - startedAt);
    say(this.#job, { kind: 'verdict', mutant, by: null, how, ms, passed: [...passed] });
  }

  async #believe(check: string, kill: Kill): Promise<void> {
    if (kill.by === 'check') this.#noticed.push({ mutant: kill.mutant, check });
    const kills = [...(this.#unproven.get(check) ?? []), kill];
    this.#unproven.set(check, kills);
    if (kills.length >= unprovenMax) await this.#prove(check);
  }

  #checksOf(mutant: number): number[] {
    return this.#job.checks.flatMap(({ seen }, index) => (seen.includes(mutant) ? [index] : []));
  }

  /**
   * Puts first which check is likely to notice it and soon done: tests of its own file, tests that reach little else, and tests
   * that noticed its neighbours. What passes speaks against the tests beside it.
   */
  #worthFor(mutant: number, file: string): Worth {
    const own = file.replace(/ts$/, 'test.ts');
    const near = (each: { mutant: number }): boolean => Math.abs(each.mutant - mutant) <= nearIds;
    const noticed = countsOf(this.#noticed, near);
    const tries = countsOf(this.#tries, near);
    const passedIn = new Map<string, number>();
    const { checks } = this.#job;
    const worth = (index: number): number => {
      const check = checks[index];
      if (check === undefined) return 0;
      const odds = (1 + (noticed.get(check.name) ?? 0)) / (5 + (tries.get(check.name) ?? 0));
      const fits = (fileOf(check) === own ? ownFactor : 1) / Math.sqrt(check.seen.length + 10);
      return (odds * fits * besidesFactor ** (passedIn.get(fileOf(check)) ?? 0)) / (check.ms + 30);
    };
    const passed = (index: number): void => {
      const check = checks[index];
      if (check !== undefined) passedIn.set(fileOf(check), (passedIn.get(fileOf(check)) ?? 0) + 1);
    };
    return Object.assign(worth, { passed });
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
    for (const kill of kills) say(this.#job, { kind: 'verdict', ...kill, passed: [] });
  }
}

interface Worth {
  (index: number): number;
  passed(index: number): void;
}

function bestOf(waiting: readonly number[], worthOf: Worth): number {
  let best = 0;
  let most = -1;
  for (const [place, index] of waiting.entries()) {
    const worth = worthOf(index);
    if (worth > most) [best, most] = [place, worth];
  }
  return best;
}

/** A world has one "file" for all its seeds. */
function fileOf({ name }: Measured): string {
  return name.split(/ > |, seed /)[0] ?? name;
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
