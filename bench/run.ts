/** `npm run bench [hand-out | refresh | start-up | herd | slow-provider | neighbours | recovery | rows | loss | audit]…`: measures, prints the tables, exits 1 below an aim. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

import { requirePackages, root } from '../scripts/steps.ts';
import { benchAudit } from './audit.ts';
import { benchHandOut } from './hand-out.ts';
import { benchHerd } from './herd.ts';
import { benchLoss } from './loss.ts';
import { benchNeighbours } from './neighbours.ts';
import { benchRecovery } from './recovery.ts';
import { benchRefresh } from './refresh.ts';
import { type Aim, judge } from './report.ts';
import { benchRows } from './rows.ts';
import { benchSlowProvider } from './slow-provider.ts';
import { benchStartUp } from './start-up.ts';

const parts: Readonly<Record<string, () => Promise<Aim[]>>> = {
  'start-up': benchStartUp,
  refresh: benchRefresh,
  'hand-out': benchHandOut,
  herd: benchHerd,
  'slow-provider': benchSlowProvider,
  neighbours: benchNeighbours,
  recovery: benchRecovery,
  rows: benchRows,
  loss: benchLoss,
  audit: benchAudit,
};

requirePackages();
const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts);
const unknown = wanted.filter((name) => parts[name] === undefined);
if (unknown.length > 0) {
  process.stderr.write(`There is no benchmark ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}.\n`);
  process.exit(2);
}
if (wanted.includes('hand-out') || wanted.includes('loss')) installPeers();

const aims: Aim[] = [];
for (const name of wanted) {
  process.stderr.write(`▶ ${name}\n`);
  // One after the other: benchmarks at the same time would measure each other.
  aims.push(...((await parts[name]?.()) ?? []));
}
process.stdout.write(`\nNode.js ${process.version}, ${process.platform} ${process.arch}\n`);
process.exitCode = judge(aims) ? 0 : 1;

/** Installs the other libraries with the first run, and again when their list has changed. */
function installPeers(): void {
  const { devDependencies }: { devDependencies: Record<string, string> } = readJson(`${root}bench/package.json`);
  const missing = Object.entries(devDependencies).filter(([name, version]) => {
    const file = `${root}bench/node_modules/${name}/package.json`;
    if (!existsSync(file)) return true;
    const installed: { version: string } = readJson(file);
    return installed.version !== version;
  });
  if (missing.length === 0) return;
  process.stderr.write(`Installing the libraries to compare with: ${missing.map(([name]) => name).join(', ')} …\n`);
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: `${root}bench`, stdio: 'inherit' });
}

// Parses a file of this repository; each caller names its shape.
function readJson(file: string): ReturnType<typeof JSON.parse> {
  return JSON.parse(readFileSync(file, 'utf8'));
}
