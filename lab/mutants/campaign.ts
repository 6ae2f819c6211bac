import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Measurements } from './measurements.ts';
import { hashOf, type Results } from './results.ts';
import { errorsOf } from './source/compiler.ts';
import type { Mutant } from './source/generate.ts';
import { withMutants } from './source/schemata.ts';
import { testFiles } from './subjects.ts';
import { Tree } from './tree.ts';
import type { Job, Measured, Message } from './worker/job.ts';
import { type Place, runJob } from './worker-process.ts';

export interface CampaignOptions {
  readonly root: string;
  /** All mutants of all subjects: the place in this list, from 1, is a mutant's number. */
  readonly all: readonly Mutant[];
  readonly textOf: (file: string) => string;
  readonly results: Results;
  readonly measurements: string;
  readonly postgresUrl: string;
  readonly jobs: number;
  readonly seeds: number;
  readonly slow: boolean;
  readonly budgetMs: number;
  readonly say: (line: string) => void;
}

/** A check that failed so often without a mutant, in one process after the other, is asked no more. */
const brokenMax = 3;

type Asked = 'tests' | 'simulation';

/** A check and the mark by which results know it, which changes with its file and the subjects. */
type Check = Measured & { readonly mark: string };

interface Round {
  readonly place: Place;
  readonly asked: Asked;
  readonly checks: readonly Check[];
  readonly budgetMs: number;
}

type Verdict = Omit<Extract<Message, { kind: 'verdict' }>, 'passed'> & { readonly passed: readonly string[] };

/** A little for each first: what notices many is known when the hard ones come. */
const budgets: readonly number[] = [3_000, 12_000];

/** Makes one tree with all mutants in it, measures the checks, and tries the mutants. `remove` ends everything. */
export class Campaign {
  readonly #options: CampaignOptions;
  readonly #tree: Tree;
  readonly #measurements: Measurements;
  readonly #noticed: Job['noticed'] = [];

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#tree = new Tree(options.root);
    this.#measurements = new Measurements(options.measurements);
    const { all, textOf } = options;
    const numbered = all.map((mutant, index) => ({ id: index + 1, mutant }));
    for (const file of new Set(all.map((mutant) => mutant.file))) {
      const own = numbered.filter(({ mutant }) => mutant.file === file);
      const up = '../'.repeat(file.split('/').length - 1);
      this.#tree.write(file, withMutants(textOf(file), own, `${up}lab/mutants/worker/switch.ts`));
    }
  }

  remove(): void {
    this.#tree.remove();
  }

  /** A mutant that does not compile is none: no editor would let it pass. */
  compile(): void {
    const { all, root, textOf } = this.#options;
    const unknown = all.filter((mutant) => this.#resultOf(mutant) === undefined);
    if (unknown.length > 0) {
      const startedAt = performance.now();
      const errors = errorsOf(root, unknown, textOf);
      this.#options.say(`the compiler refuses ${errors.size} of ${unknown.length} (${since(startedAt)})`);
      for (const mutant of unknown) {
        const error = errors.get(mutant);
        this.#add(mutant, {
          by: error === undefined ? null : 'compiler',
          how: error ?? '',
          ms: 0,
          asked: [],
          passed: [],
        });
      }
    }
  }

  /** Tries each mutant with the checks of one kind in which it makes a difference. */
  async ask(asked: Asked, mutants: readonly Mutant[]): Promise<void> {
    if (mutants.length === 0) return;
    const checks = await (asked === 'tests' ? this.measuredTests() : this.#measuredWorlds());
    const place = asked === 'tests' ? this.#tests(testFiles(this.#options.root, this.#options.slow)) : this.#worlds();
    const startedAt = performance.now();
    const ids = mutants.map((mutant) => this.#options.all.indexOf(mutant) + 1);
    const { jobs } = this.#options;
    for (const budgetMs of budgets.filter((ms) => ms < this.#options.budgetMs).concat(this.#options.budgetMs)) {
      const living = ids.filter((id) => this.#resultOf(this.#mutant(id))?.by === null);
      const progress = { done: 0, of: living.length };
      await Promise.all(
        Array.from({ length: jobs }, async (_, part) => {
          const own = living.filter((_id, index) => index % jobs === part);
          await this.#hunt({ place, asked, checks, budgetMs }, own, progress);
        }),
      );
    }
    this.#options.say(`${asked}: ${ids.length} mutants in ${since(startedAt)}`);
  }

  async #hunt(
    { place, asked, checks: all, budgetMs }: Round,
    ids: readonly number[],
    progress: { done: number; of: number },
  ): Promise<void> {
    const left = new Set(ids);
    const broken = new Map<string, number>();
    let hung: Job['hung'] = null;
    let idle = 0;
    while (left.size > 0) {
      const before = left.size;
      const checks = all.filter(({ name }) => (broken.get(name) ?? 0) < brokenMax);
      const listen = (message: Message): void => {
        if (message.kind === 'broken') {
          broken.set(message.check, (broken.get(message.check) ?? 0) + 1);
          this.#options.say(`fails without a mutant too, or left something behind: ${message.check}: ${message.how}`);
        }
        if (message.kind !== 'verdict' || !left.delete(message.mutant)) return;
        progress.done += 1;
        const passed = message.passed.flatMap((index) => checks[index]?.mark ?? []);
        this.#note(asked, { ...message, passed }, `${progress.done} of ${progress.of}`);
      };
      const mutants = [...left].map((id) => {
        const mutant = this.#mutant(id);
        return { id, file: mutant.file, passed: placesOf(this.#resultOf(mutant)?.passed, checks) };
      });
      const job = { mode: 'hunt' as const, checks, mutants, noticed: this.#noticed, hung, budgetMs };
      const ended = await runJob(this.#tree, place, job, listen);
      hung = ended.hung ?? ended.died;
      if (hung !== null) this.#options.say(`did not end: mutant ${hung.mutant} in ${hung.check}`);
      if (hung?.mutant === 0) {
        broken.set(hung.check, brokenMax);
        hung = null;
      }
      idle = left.size < before || hung !== null ? 0 : idle + 1;
      if (idle > 2) throw new Error(`The ${place.name} do not get on: ${ended.output.slice(-3_000)}`);
    }
  }

  async measuredTests(): Promise<readonly Check[]> {
    const { root, slow, jobs } = this.#options;
    const files = testFiles(root, slow).map((file) => ({
      file,
      state: this.#state(file, readFileSync(join(root, file), 'utf8')),
    }));
    const unknown = files.filter(({ state }) => this.#measurements.get(state).length === 0);
    await Promise.all(
      Array.from({ length: jobs }, async (_, part) => {
        const own = unknown.filter((_file, index) => index % jobs === part);
        if (own.length === 0) return;
        const found = await this.#measure(this.#tests(own.map(({ file }) => file)));
        for (const { file, state } of own) {
          for (const each of found.filter(({ name }) => name.startsWith(file))) this.#measurements.add(state, each);
        }
      }),
    );
    return files.flatMap(({ state }) => this.#passing(state));
  }

  async #measuredWorlds(): Promise<readonly Check[]> {
    const state = this.#state('simulation', String(this.#options.seeds));
    if (this.#measurements.get(state).length === 0) {
      for (const each of await this.#measure(this.#worlds())) this.#measurements.add(state, each);
    }
    return this.#passing(state);
  }

  async #measure(place: Place): Promise<Measured[]> {
    const startedAt = performance.now();
    const found: Measured[] = [];
    let whole = false;
    const { output } = await runJob(
      this.#tree,
      place,
      { mode: 'measure', checks: [], mutants: [], noticed: [], hung: null, budgetMs: 0 },
      (message) => {
        if (message.kind === 'measured') found.push(message.test);
        if (message.kind === 'end') whole = true;
      },
    );
    if (!whole) throw new Error(`The ${place.name} could not be measured: ${output.slice(-3_000)}`);
    this.#options.say(`measured ${found.length} ${place.name} in ${since(startedAt)}`);
    return found;
  }

  #passing(state: string): Check[] {
    const measured = this.#measurements.get(state);
    for (const { name, error } of measured) {
      if (error !== undefined) this.#options.say(`not asked, because it fails without a mutant: ${name}: ${error}`);
    }
    const passing = measured.filter(({ error }) => error === undefined);
    return passing.map((each) => ({ ...each, mark: hashOf(`${state} ${each.name}`).slice(0, 8) }));
  }

  #tests(files: readonly string[]): Place {
    return {
      name: 'tests',
      args: [
        'node_modules/vitest/vitest.mjs',
        'run',
        '--config',
        'lab/mutants/vitest.config.ts',
        '--reporter',
        'dot',
        ...files,
        'lab/mutants/worker/hunt-here.ts',
      ],
      env: { GRANTRY_TEST_POSTGRES_URL: this.#options.postgresUrl },
    };
  }

  #worlds(): Place {
    return {
      name: 'worlds',
      args: ['lab/mutants/worker/in-worlds.ts'],
      env: { GRANTRY_MUTANTS_SEEDS: String(this.#options.seeds) },
    };
  }

  #note(asked: Asked, verdict: Verdict, progress: string): void {
    const mutant = this.#mutant(verdict.mutant);
    const by = verdict.by === 'check' ? asked : verdict.by;
    const { asked: askedBefore = [], passed: passedBefore = [] } = this.#resultOf(mutant) ?? {};
    const { how, ms } = verdict;
    const passed = by === null ? [...new Set([...passedBefore, ...verdict.passed])] : [];
    this.#add(mutant, { by, how, ms, asked: [...new Set([...askedBefore, asked])], passed });
    if (by === 'tests') this.#noticed.push({ mutant: verdict.mutant, check: verdict.how.split(' | ')[0] ?? '' });
    const said = by === null ? `lives on (${verdict.how})` : `${by}: ${verdict.how}`;
    this.#options.say(
      `${progress} ${mutant.file}:${mutant.line} ${mutant.key.slice(0, 100)} | ${said} (${verdict.ms} ms)`,
    );
  }

  #state(name: string, text: string): string {
    const { all, textOf } = this.#options;
    const files = [...new Set(all.map((mutant) => mutant.file))];
    return hashOf([...files.map(textOf), name, text].join('\n'));
  }

  #mutant(id: number): Mutant {
    const mutant = this.#options.all[id - 1];
    if (mutant === undefined) throw new Error(`no mutant has the number ${id}`);
    return mutant;
  }

  #resultOf(mutant: Mutant) {
    return this.#options.results.get(mutant, hashOf(this.#options.textOf(mutant.file)));
  }

  #add(mutant: Mutant, result: Pick<Parameters<Results['add']>[0], 'by' | 'how' | 'ms' | 'asked' | 'passed'>): void {
    const { file, key } = mutant;
    this.#options.results.add({ file, key, text: hashOf(this.#options.textOf(file)), ...result });
  }
}

function placesOf(marks: readonly string[] | undefined, checks: readonly Check[]): number[] {
  if (marks === undefined || marks.length === 0) return [];
  const known = new Set(marks);
  return checks.flatMap(({ mark }, index) => (known.has(mark) ? [index] : []));
}

function since(startedAt: number): string {
  return `${Math.round((performance.now() - startedAt) / 1_000)} s`;
}
