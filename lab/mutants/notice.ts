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
}

const testsLimitMs = 240_000;
const simulationLimitMs = 300_000;

/** Runs the checks from the cheapest to the dearest, until one notices the mutant in the tree. */
export async function noticeOf(tree: Tree, checks: Checks): Promise<Notice | null> {
  return (
    (await tests(tree, quickTests, checks)) ??
    (await simulation(tree, checks)) ??
    (checks.slow ? await tests(tree, slowTests, checks) : null)
  );
}

async function tests(tree: Tree, files: readonly string[], { postgresUrl }: Checks): Promise<Notice | null> {
  const options = ['--project', 'fast', '--bail', '1', '--maxWorkers', '1', '--reporter', 'dot'];
  const { code, output, late } = await tree.run(
    ['node_modules/vitest/vitest.mjs', 'run', '--config', 'lab/mutants/vitest.config.ts', ...options, ...files],
    { env: { GRANTRY_TEST_POSTGRES_URL: postgresUrl, NO_COLOR: '1' }, limitMs: testsLimitMs },
  );
  if (late) return { by: 'time-out', how: 'the tests did not end' };
  if (code === 0) return null;
  const failed = /FAIL\s+(?:\|?fast\|?\s+)?(.*)/.exec(output)?.[1] ?? output.slice(-300);
  return { by: 'tests', how: failed.trim() };
}

async function simulation(tree: Tree, { seeds }: Checks): Promise<Notice | null> {
  const { code, output, late } = await tree.run(['lab/simulation/main.ts', '--sieve', String(seeds)], {
    limitMs: simulationLimitMs,
  });
  if (late) return { by: 'time-out', how: 'the simulation did not end' };
  if (code === 0) return null;
  const how = output.split('\n').findLast((line) => line.startsWith('noticed: ')) ?? output.slice(-300);
  return { by: 'simulation', how: how.replace('noticed: ', '').trim() };
}
