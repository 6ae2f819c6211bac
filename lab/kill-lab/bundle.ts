import { isBuiltin } from 'node:module';

import { rolldown } from 'rolldown';

import { root } from '../../scripts/steps.ts';

/** The programs of the lab, from the repository's root. */
export const labPrograms = {
  worker: './lab/kill-lab/worker-process.ts',
  provider: './lab/kill-lab/provider-process.ts',
} as const;

/**
 * Bundles the programs of the lab: a killed process is restarted thousands of times, and finding, reading and stripping
 * a hundred files each time would be most of a run.
 */
export async function bundlePrograms<Name extends string>(
  directory: string,
  programs: Readonly<Record<Name, string>>,
): Promise<Readonly<Record<Name, string>>> {
  const bundle = await rolldown({
    cwd: root,
    input: programs,
    platform: 'node',
    // pg looks for its native twin at run time, and a server for a tracer; both do without.
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
  const bundled = Object.keys(programs).map((name) => [name, `${directory}/${name}.mjs`] as const);
  // Every name is mapped, so the result has exactly these.
  return Object.fromEntries(bundled) as Record<Name, string>;
}
