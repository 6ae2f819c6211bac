import { rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';

import { rolldown } from 'rolldown';

import { root } from '../steps.ts';

export interface Programs extends Disposable {
  /** The command line, as it is published. */
  readonly grantry: string;
  /** The provider of the kill lab. */
  readonly provider: string;
}

/** Bundles what is started again and again: reading a hundred files each time would be most of a restart. */
export async function bundlePrograms(): Promise<Programs> {
  // As far below the root as the real one: from there the program finds the package's own manifest.
  const directory = `${root}.tmp/restarts-${process.pid}`;
  const bundle = await rolldown({
    cwd: root,
    input: { grantry: './src/cli/main.ts', provider: './scripts/kill-lab/provider-process.ts' },
    platform: 'node',
    // pg looks for its native twin at run time, and does without.
    external: (id) => isBuiltin(id) || id === 'pg-native' || id === '@opentelemetry/api',
    logLevel: 'silent',
  });
  await bundle.write({
    dir: directory,
    format: 'esm',
    minify: true,
    entryFileNames: '[name].mjs',
    chunkFileNames: '[name]-[hash].mjs',
  });
  await bundle.close();
  return {
    grantry: `${directory}/grantry.mjs`,
    provider: `${directory}/provider.mjs`,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
