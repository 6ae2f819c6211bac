import { isBuiltin } from 'node:module';

import { rolldown } from 'rolldown';

import { root } from '../../scripts/steps.ts';

/** Programs of the lab, relative to the repository's root. */
export const labPrograms = {
  worker: './lab/kill-lab/worker-process.ts',
  provider: './lab/kill-lab/provider-process.ts',
} as const;

/**
 * Bundles the programs of the lab: a killed process is restarted thousands of times, and reading and stripping a
 * hundred files each time would take most of a run.
 */
export async function bundlePrograms<Name extends string>(
  directory: string,
  programs: Readonly<Record<Name, string>>,
): Promise<Readonly<Record<Name, string>>> {
  const bundle = await rolldown({
    cwd: root,
    input: programs,
    platform: 'node',
    // pg looks for its native variant at run time, and the server for a tracer; both work without.
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
  // Every name is mapped, so the result has exactly these members.
  return Object.fromEntries(bundled) as Record<Name, string>;
}
