import { rmSync } from 'node:fs';
import { root } from '../../scripts/steps.ts';
import { bundlePrograms, labPrograms } from '../kill-lab/bundle.ts';

export interface Programs extends Disposable {
  /** The command line, as it is published. */
  readonly grantry: string;
  /** The provider of the kill lab. */
  readonly provider: string;
}

/** Bundles the programs that are started repeatedly: reading a hundred files each time would take most of a restart. */
export async function bundleRestarts(): Promise<Programs> {
  // As deep below the root as the real one: the program looks for the package's manifest from there.
  const directory = `${root}.tmp/restarts-${process.pid}`;
  const programs = { grantry: './src/cli/main.ts', provider: labPrograms.provider };
  const bundled = await bundlePrograms(directory, programs);
  return {
    ...bundled,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
