import { quickTests, slowTests } from './subjects.ts';
import type { Tree } from './tree.ts';

/** The check that noticed a mutant, and its message. */
export interface Notice {
  readonly by: 'tests' | 'simulation' | 'time-out';
  readonly how: string;
}

export interface Checks {
  readonly postgresUrl: string;
  /** Seeds of the simulation per world. */
  readonly seeds: number;
  /** Runs the tests that take longest too. */
  readonly slow: boolean;
  /** Limits of one step, by how long it takes without a mutant: the machine may be slow or busy. */
  readonly limits?: StepLimits;
}

export interface StepLimits {
  readonly testsMs: number;
  readonly simulationMs: number;
}

/**
 * Runs the checks without any mutant, and takes from that how long a step may take.
 *
 * @throws {Error} if a check fails
 */
export async function measured(tree: Tree, checks: Checks): Promise<Checks> {
  const timed = async (run: () => Promise<Notice | null>): Promise<number> => {
    const startedAt = performance.now();
    const notice = await run();
    if (notice !== null) throw new Error(`Without any mutant, the ${notice.by} already fail: ${notice.how}`);
    return 120_000 + 4 * (performance.now() - startedAt);
  };
  const testsMs = await timed(() => tests(tree, quickTests, checks));
  const simulationMs = await timed(() => simulation(tree, checks));
  const slowMs = checks.slow ? await timed(() => tests(tree, slowTests, checks)) : 0;
  return { ...checks, limits: { testsMs: Math.max(testsMs, slowMs), simulationMs } };
}

/** Beyond this, checks without any mutant do not end. */
const limitMsMax = 1_800_000;

/** Runs the checks from the cheapest to the dearest, until one notices the mutant in the tree. */
export async function noticeOf(tree: Tree, checks: Checks): Promise<Notice | null> {
  return (
    (await tests(tree, quickTests, checks)) ??
    (await simulation(tree, checks)) ??
    (checks.slow ? await tests(tree, slowTests, checks) : null)
  );
}

async function tests(tree: Tree, files: readonly string[], { postgresUrl, limits }: Checks): Promise<Notice | null> {
  const options = ['--project', 'fast', '--bail', '1', '--maxWorkers', '1', '--reporter', 'dot'];
  const { code, output, late } = await tree.run(
    ['node_modules/vitest/vitest.mjs', 'run', '--config', 'lab/mutants/vitest.config.ts', ...options, ...files],
    { env: { GRANTRY_TEST_POSTGRES_URL: postgresUrl, NO_COLOR: '1' }, limitMs: limits?.testsMs ?? limitMsMax },
  );
  if (late) return { by: 'time-out', how: 'the tests did not end' };
  if (code === 0) return null;
  const failed = /FAIL\s+(?:\|?fast\|?\s+)?(.*)/.exec(output)?.[1] ?? output.slice(-300);
  return { by: 'tests', how: failed.trim() };
}

async function simulation(tree: Tree, { seeds, limits }: Checks): Promise<Notice | null> {
  const { code, output, late } = await tree.run(['lab/simulation/main.ts', '--sieve', String(seeds)], {
    limitMs: limits?.simulationMs ?? limitMsMax,
  });
  if (late) return { by: 'time-out', how: 'the simulation did not end' };
  if (code === 0) return null;
  const how = output.split('\n').findLast((line) => line.startsWith('noticed: ')) ?? output.slice(-300);
  return { by: 'simulation', how: how.replace('noticed: ', '').trim() };
}
