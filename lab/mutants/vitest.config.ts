import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import base from '../../vitest.config.ts';

/** The hunt begins when all other files are loaded. */
class HuntLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isHunt = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith('hunt-here.ts');
    return [...files.filter((file) => !isHunt(file)), ...files.filter(isHunt)];
  }
}

const { projects: _, ...shared } = base.test ?? {};

/** One process that loads all tests once and runs them with one mutant after the other. */
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    ...shared,
    include: ['{src,test}/**/*.test.ts', 'lab/mutants/worker/hunt-here.ts'],
    runner: 'lab/mutants/worker/runner.ts',
    isolate: false,
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    sequence: { sequencer: HuntLast },
  },
});
