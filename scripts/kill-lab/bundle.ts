import { isBuiltin } from 'node:module';

import { rolldown } from 'rolldown';

import { root } from '../steps.ts';

/**
 * Bundles the programs of the lab: a killed process is restarted thousands of times, and finding, reading and stripping
 * a hundred files each time would be most of a run.
 */
export async function bundlePrograms(directory: string): Promise<{ worker: string; provider: string }> {
  const bundle = await rolldown({
    cwd: root,
    input: {
      worker: './scripts/kill-lab/worker-process.ts',
      provider: './scripts/kill-lab/provider-process.ts',
    },
    platform: 'node',
    // pg looks for its native twin at run time, and does without.
    external: (id) => isBuiltin(id) || id === 'pg-native',
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
  return { worker: `${directory}/worker.mjs`, provider: `${directory}/provider.mjs` };
}
