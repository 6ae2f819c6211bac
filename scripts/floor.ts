/**
 * `npm run floor`: runs the tests on the oldest supported Node.js. Development uses a newer one, where a newer function
 * would go unnoticed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';

import { requirePackages, root, runStep, whenStopped } from './steps.ts';

const version = '24.0.0';
const folder = `${root}.tmp/node-${version}`;
const platformPackage = `node-${process.platform}-${process.arch}`;
const oldest = `${folder}/node_modules/${platformPackage}/bin/node`;

requirePackages();
whenStopped(() => process.exit(1));
if (!existsSync(oldest)) install();
const steps = [
  { name: `build on Node.js ${version}`, command: oldest, args: ['scripts/build.ts'] },
  { name: `start on Node.js ${version}`, command: oldest, args: ['bin/grantry.js', '--version'] },
  {
    name: `tests on Node.js ${version}`,
    command: oldest,
    args: ['node_modules/vitest/vitest.mjs', 'run', '--project', 'fast'],
  },
];
for (const step of steps) if (!(await runStep(step))) process.exitCode = 1;

function install(): void {
  process.stdout.write(`Installing ${platformPackage} ${version} …\n`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/package.json`, '{"private":true}');
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', `${platformPackage}@${version}`], {
    cwd: folder,
    stdio: 'inherit',
  });
}
