import { constants } from 'node:fs';
import { access, chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { GrantryError } from '../../base/errors.ts';
import { systemCodeOf } from '../../base/system-error.ts';
import type { Git } from './git.ts';

/** By this line the command knows its own hook again. */
const mark = '# Made by: grantry scan --install-hook';

const hookText = `#!/bin/sh
${mark}
# Refuses a commit with a secret in it.
if [ -x node_modules/.bin/grantry ]; then exec node_modules/.bin/grantry scan --staged; fi
if command -v grantry > /dev/null 2>&1; then exec grantry scan --staged; fi
echo 'pre-commit: grantry is not found. Install it, or remove this hook.' >&2
exit 1
`;

/**
 * Writes the hook that scans before each commit. A hook of its own is brought up to date.
 *
 * @returns the file, and whether it was changed
 * @throws {GrantryError} `invalid_request` where another hook is
 */
export async function installHook(git: Git, directory: string): Promise<{ file: string; changed: boolean }> {
  const folder = resolve(directory, await git.text('rev-parse', '--git-path', 'hooks'));
  const file = join(folder, 'pre-commit');
  const before = await readFile(file, 'utf8').catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (before !== null && !before.split('\n').includes(mark)) {
    throw new GrantryError('invalid_request', `${file} is the hook of another program, and stays as it is.`, {
      action: 'Add this line to it, before any line that ends it: grantry scan --staged',
    });
  }
  if (before === hookText && (await isExecutable(file))) return { file, changed: false };
  await mkdir(folder, { recursive: true });
  await writeFile(file, hookText, { flag: before === null ? 'wx' : 'w' });
  await chmod(file, 0o755);
  return { file, changed: true };
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
