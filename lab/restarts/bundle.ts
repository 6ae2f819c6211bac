import { rmSync } from 'node:fs';
import { root } from '../../scripts/steps.ts';
import { bundlePrograms, labPrograms } from '../kill-lab/bundle.ts';

export interface Programs extends Disposable {
  /** The command line, as it is published. */
  readonly grantry: string;
  /** The provider of the kill lab. */
  readonly provider: string;
}

/** Bundles what is started again and again: reading a hundred files each time would be most of a restart. */
export async function bundleRestarts(): Promise<Programs> {
  // As far below the root as the real one: from there the program finds the package's own manifest.
  const directory = `${root}.tmp/restarts-${process.pid}`;
  const programs = { grantry: './src/cli/main.ts', provider: labPrograms.provider };
  const bundled = await bundlePrograms(directory, programs);
  return {
    ...bundled,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
