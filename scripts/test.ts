/**
 * `npm test` and `npm run test:long`: every step counts as one, every test counts as one. A failure is printed when it
 * happens and again at the end, also when the run is stopped; the last line is the sum.
 *
 *     node scripts/test.ts [fast] [long]
 */
import { removeAbandonedTmp } from '../test/support/memory-tmp.ts';
import { requirePackages, runStep, type Step, script, staticChecks, vitest, whenStopped } from './steps.ts';
import { clearResults, type Result, readResults, summary } from './tally.ts';

const suites = new Set<Step>();
const rings: Readonly<Record<string, readonly Step[]>> = {
  fast: [
    ...staticChecks,
    script('build', 'scripts/build.ts'),
    suite('fast'),
    script('package', 'scripts/package-test.ts'),
  ],
  long: [suite('long'), script('model', 'lab/model/main.ts')],
};

requirePackages();
const wanted = process.argv.length > 2 ? process.argv.slice(2) : ['fast'];
const results: Result[] = [];
let running: Step | undefined;

whenStopped((signal) => {
  if (running !== undefined) settle(running, false, `stopped by ${signal}`);
  finish();
  process.exit(1);
});

for (const step of wanted.flatMap((ring) => stepsOf(ring))) {
  running = step;
  clearResults();
  settle(step, await runStep(step), 'failed');
}
running = undefined;
finish();

function suite(ring: string): Step {
  // A focused test would hide all others of its file.
  const flags = ['--project', ring, '--reporter=./scripts/test-reporter.ts', '--allowOnly=false'];
  const step = vitest(`tests (${ring})`, ...flags);
  suites.add(step);
  return step;
}

function stepsOf(ring: string): readonly Step[] {
  const steps = rings[ring];
  if (steps === undefined) throw new Error(`There is no ring ${ring}: name fast, long or both.`);
  return steps;
}

/**
 * Counts the tests of a step, or the step itself when it has none or fails without a failed test. A suite that skips
 * every test has failed.
 */
function settle(step: Step, passed: boolean, how: string): void {
  const tests = readResults();
  results.push(...tests);
  if (passed && tests.length > 0) return;
  if (passed && suites.has(step)) {
    results.push({ name: `${step.name} (ran no test)`, passed: false });
    return;
  }
  if (how === 'failed' && tests.some((test) => !test.passed)) return;
  results.push({ name: passed ? step.name : `${step.name} (${how})`, passed });
}

function finish(): void {
  removeAbandonedTmp();
  process.stdout.write(summary(results));
  process.exitCode = results.length > 0 && results.every(({ passed }) => passed) ? 0 : 1;
}
