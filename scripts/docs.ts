/**
 * `npm run docs`: the API reference of every export of the package, as HTML in `.tmp/api/`. Fails on a broken link, and on
 * a public type that no export offers.
 *
 * TypeDoc needs the JavaScript API of TypeScript 6, which TypeScript 7 no longer has: it gets a copy of its own.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

import { root } from './steps.ts';

registerHooks({
  resolve: (specifier, context, next) => next(specifier === 'typescript' ? 'typescript-6' : specifier, context),
});
const { Application } = await import('typedoc');

const app = await Application.bootstrap({
  name: 'grantry',
  entryPoints: exportedSources(),
  tsconfig: `${root}tsconfig.build.json`,
  out: `${root}.tmp/api`,
  readme: 'none',
  disableGit: true,
  disableSources: true,
  treatWarningsAsErrors: true,
  // The compiler's step finds them, with the version that compiles.
  skipErrorChecking: true,
  excludeInternal: true,
  validation: { notExported: true, invalidLink: true, invalidPath: true, notDocumented: true },
  // Computed types: a program reaches each table's own type through the table, and each kind of event through the union.
  intentionallyNotExported: ['PostgresTables', 'SqliteTables', 'vaultEventTypes'],
  requiredToBeDocumented: ['Class', 'Function', 'Interface', 'TypeAlias', 'Variable'],
});
const project = await app.convert();
if (project !== undefined) {
  app.validate(project);
  if (!app.logger.hasErrors() && !app.logger.hasWarnings()) await app.generateOutputs(project);
}
if (project === undefined || app.logger.hasErrors() || app.logger.hasWarnings()) process.exitCode = 1;

/** `./dist/server/index.d.ts` → `src/server/index.ts`, for each export of the package. */
function exportedSources(): string[] {
  const manifest: { exports: Record<string, string | { types: string }> } = JSON.parse(
    readFileSync(`${root}package.json`, 'utf8'),
  );
  return Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [] : [target.types.replace('./dist/', `${root}src/`).replace(/\.d\.ts$/, '.ts')],
  );
}
