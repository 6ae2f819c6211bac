import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Loads every file of the bundled program. An upgrade removes the files of the old version, so a server must not look for
 * one of its own later.
 */
export function loadWholeProgram(): void {
  const here = fileURLToPath(import.meta.url);
  // The sources and the tests' bundle are modules.
  if (!here.endsWith('.cjs')) return;
  const load = createRequire(here);
  // Under the very names by which the files ask for one another: Node.js looks no file up a second time by the same name.
  for (const name of readdirSync(dirname(here))) if (name.endsWith('.cjs')) load(`./${name}`);
}
