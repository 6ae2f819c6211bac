/**
 * `npm run mutants`: makes one small change after the other in the conditions of the vault, and looks for a test or a
 * simulated world that notices it. Ends with a table and every survivor by file and line. A run that was stopped goes on
 * where it was. `--file PART` takes only files whose path has this part; `--survivors` tries survivors again; `--list`
 * only reports; `--slow` runs the longest tests too; `--reviewed` tries the mutants of `reviewed.json` too;
 * `--no-simulation` asks only tests; `--verify N` repeats N verdicts on a tree that has the change in its text.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startPostgres } from '../../test/support/postgres-server.ts';
import { Campaign } from './campaign.ts';
import { type Judged, report } from './report.ts';
import { hashOf, Results } from './results.ts';
import { readReviewed } from './reviewed.ts';
import { type Mutant, mutantsOf } from './source/generate.ts';
import { subjects } from './subjects.ts';
import { verify } from './verify.ts';

const { values } = parseArgs({
  allowNegative: true,
  options: {
    file: { type: 'string', default: '' },
    results: { type: 'string', default: '.tmp/mutants/results.jsonl' },
    measurements: { type: 'string', default: '.tmp/mutants/measurements.jsonl' },
    jobs: { type: 'string', default: '2' },
    seeds: { type: 'string', default: '1' },
    /** Seconds of tests, as measured, that one mutant may take. */
    budget: { type: 'string', default: '60' },
    simulation: { type: 'boolean', default: true },
    survivors: { type: 'boolean', default: false },
    reviewed: { type: 'boolean', default: false },
    slow: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    verify: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

const aim = 0.95;
const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const texts = new Map(subjects.map((file) => [file, readFileSync(`${root}/${file}`, 'utf8')]));
const results = new Results(values.results);
const reviewed = readReviewed();
const all = subjects.flatMap((file) => mutantsOf(file, textOf(file)));
const mutants = all.filter(({ file }) => file.includes(values.file));
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

if (values.verify !== undefined) {
  process.exitCode = await withPostgres((postgresUrl) =>
    verify({
      root,
      mutants,
      results,
      textOf,
      postgresUrl,
      count: Number(values.verify),
      seed: Number(values.seed),
      say,
    }),
  );
} else {
  if (!values.list) await withPostgres(tryAll);
  process.exitCode = tell();
}

function tell(): number {
  const judged: Judged[] = mutants.map((mutant) => ({
    mutant,
    result: resultOf(mutant),
    reviewed: reviewOf(mutant),
  }));
  const stale = reviewed.filter(
    ({ file, mutant }) =>
      file.includes(values.file) && !mutants.some((each) => each.file === file && each.key === mutant),
  );
  const { lines, share } = report(judged, stale);
  say(`\n${lines.join('\n')}`);
  return share >= aim && stale.length === 0 ? 0 : 1;
}

async function withPostgres<Result>(run: (url: string) => Promise<Result>): Promise<Result> {
  const postgres = await startPostgres();
  try {
    return await run(postgres.url);
  } finally {
    await postgres.remove();
  }
}

async function tryAll(postgresUrl: string): Promise<void> {
  const { results: _, measurements, jobs, seeds, slow, budget } = values;
  const campaign = new Campaign({
    root,
    all,
    textOf,
    results,
    measurements,
    postgresUrl,
    slow,
    say,
    jobs: Number(jobs),
    seeds: Number(seeds),
    budgetMs: 1_000 * Number(budget),
  });
  const stop = (): void => {
    campaign.remove();
    process.exit(1);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    campaign.compile();
    const waiting = mutants.filter((mutant) => mustTry(mutant));
    const isWaiting = (asked: 'tests' | 'simulation') => (mutant: Mutant) => {
      const result = resultOf(mutant);
      return result?.by === null && (values.survivors || !result.asked.includes(asked));
    };
    await campaign.ask('tests', waiting.filter(isWaiting('tests')));
    if (values.simulation) await campaign.ask('simulation', waiting.filter(isWaiting('simulation')));
  } finally {
    campaign.remove();
  }
}

function mustTry(mutant: Mutant): boolean {
  if (reviewOf(mutant) !== undefined && !values.reviewed) return false;
  return resultOf(mutant)?.by === null;
}

function resultOf(mutant: Mutant) {
  return results.get(mutant, hashOf(textOf(mutant.file)));
}

function reviewOf({ file, key }: Mutant) {
  return reviewed.find((each) => each.file === file && each.mutant === key);
}

function textOf(file: string): string {
  const text = texts.get(file);
  if (text === undefined) throw new Error(`${file} was not read`);
  return text;
}
