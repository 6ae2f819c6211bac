import { type RunnerTask, type RunnerTestCase, type RunnerTestSuite, TestRunner } from 'vitest';
import { say } from './hunt.ts';
import { type Job, readJob } from './job.ts';
import { mutants$ } from './switch.ts';

declare global {
  /** The tests of all files, since one process runs them all. */
  var grantryTests: Map<string, () => Promise<string | null>> | undefined;
  var grantryMutantsJob: Job | undefined;
}

const tests = (globalThis.grantryTests ??= new Map());
const job = (globalThis.grantryMutantsJob ??= readJob(process.env['GRANTRY_MUTANTS_JOB'] ?? ''));

/**
 * Measures each test, or, for a hunt, only learns how to run it: `hunt-here.ts`, the last file, then runs them in the
 * order of the hunt.
 */
export default class MutantsRunner extends TestRunner {
  override async onBeforeRunTask(test: RunnerTestCase): Promise<void> {
    await super.onBeforeRunTask(test);
    if (test.mode !== 'run' && test.mode !== 'queued') return;
    if (test.file.name.endsWith('hunt-here.ts')) return;
    const plain = nameOf(test);
    let name = plain;
    for (let count = 2; tests.has(name); count += 1) name = `${plain} (${count})`;
    tests.set(name, () => this.#run(test));
    if (job.mode === 'hunt') test.mode = 'skip';
    else await this.#measure(name, test);
  }

  async #measure(name: string, test: RunnerTestCase): Promise<void> {
    mutants$.seen = new Set();
    const startedAt = performance.now();
    const error = await this.#run(test);
    const measured = { name, ms: Math.round(performance.now() - startedAt), seen: [...mutants$.seen] };
    mutants$.seen = null;
    say(job, { kind: 'measured', test: error === null ? measured : { ...measured, error } });
    test.mode = 'skip';
  }

  /** Runs a test with its hooks, and returns its error. Its file may be over: no snapshots are compared. */
  async #run(test: RunnerTestCase): Promise<string | null> {
    const suites = suitesOf(test);
    const cleanups: (() => unknown)[] = [];
    let error: unknown = null;
    try {
      for (const suite of suites) {
        for (const hook of TestRunner.getSuiteHooks(suite).beforeEach) {
          const cleanup: unknown = await hook(test.context, suite);
          if (typeof cleanup === 'function') cleanups.push(() => cleanup());
        }
      }
      await TestRunner.getTestFn(test)();
    } catch (caught) {
      error = caught ?? 'failed';
    }
    try {
      for (const suite of suites.toReversed()) {
        for (const hook of TestRunner.getSuiteHooks(suite).afterEach.toReversed()) await hook(test.context, suite);
      }
      for (const cleanup of cleanups.toReversed()) await cleanup();
    } catch (caught) {
      error ??= caught ?? 'failed';
    }
    return error === null ? null : messageOf(error);
  }
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n')[0] ?? '').slice(0, 200);
}

/** The file first. */
function suitesOf(test: RunnerTestCase): RunnerTestSuite[] {
  const found: RunnerTestSuite[] = [];
  for (let suite = test.suite; suite !== undefined; suite = suite.suite) found.unshift(suite);
  return found.includes(test.file) ? found : [test.file, ...found];
}

function nameOf(test: RunnerTestCase): string {
  const names = [test.name];
  for (let suite: RunnerTask | undefined = test.suite; suite !== undefined; suite = suite.suite)
    names.unshift(suite.name);
  if (names[0] !== test.file.name) names.unshift(test.file.name);
  return names.join(' > ');
}
