import { defineConfig, mergeConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import base from '../../vitest.config.ts';

/** Short files first: most mutants fail one of them, and the run ends there. Vitest's own order begins with long ones. */
class ShortFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toReversed();
  }
}

export default mergeConfig(
  base,
  defineConfig({ root: new URL('../..', import.meta.url).pathname, test: { sequence: { sequencer: ShortFirst } } }),
);
