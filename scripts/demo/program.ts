import { spawn } from 'node:child_process';
import { globSync, statSync } from 'node:fs';
import path from 'node:path';

import { root } from '../steps.ts';
import { NotProven } from './report.ts';

/** Builds the program unless the build is newer than all its sources. @returns whether it was built */
export async function buildIfNeeded(): Promise<boolean> {
  if (isBuilt()) return false;
  const child = spawn(process.execPath, ['scripts/build.ts'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: `${root}node_modules/.bin${path.delimiter}${process.env['PATH'] ?? ''}` },
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0) throw new NotProven('the build', 'exit code 0', String(code));
  return true;
}

function isBuilt(): boolean {
  const built = statSync(path.join(root, 'dist', 'cli', 'main.js'), { throwIfNoEntry: false });
  if (built === undefined) return false;
  const from = [...globSync('src/**/*.ts', { cwd: root }), 'scripts/build.ts', 'package-lock.json', 'package.json'];
  return from.every((file) => statSync(path.join(root, file)).mtimeMs < built.mtimeMs);
}
