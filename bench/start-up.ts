/** Measures the cost of `grantry token` for a shell: the whole process, beside Node.js with an empty program. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../scripts/steps.ts';
import { openVault } from '../src/index.ts';
import { median } from './measure.ts';
import { type Aim, table } from './report.ts';

const runs = Number(process.env['BENCH_STARTS'] ?? 41);

export async function benchStartUp(): Promise<Aim[]> {
  execFileSync(process.execPath, ['scripts/build.ts'], { cwd: root, stdio: 'inherit' });
  const home = mkdtempSync(path.join(tmpdir(), 'grantry-bench-'));
  try {
    await keepOneGrant(home);
    const empty = path.join(home, 'empty.mjs');
    writeFileSync(empty, '');
    const program = `${root}bin/grantry.js`;
    const env = environment(home);
    const token = (): number => timed([program, 'token', 'acme', 'zoho_crm'], env, 'access-acme\n');
    const nothing = (): number => timed([empty], env, '');
    // The first starts fill the compile cache and the file system's.
    for (let warm = 0; warm < 3; warm += 1) [token, nothing].map((each) => each());
    const tokens: number[] = [];
    const nothings: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      // In changing order, so that neither always runs second.
      if (run % 2 === 0) tokens.push(token());
      nothings.push(nothing());
      if (run % 2 === 1) tokens.push(token());
    }
    const ratios = tokens.map((each, run) => each / (nothings[run] ?? Number.NaN));
    const rows = [
      ['empty Node.js program', `${median(nothings).toFixed(1)} ms`, '1.00'],
      ['grantry token', `${median(tokens).toFixed(1)} ms`, median(ratios).toFixed(2)],
    ];
    process.stdout.write(`\n${table([`start-up, ${runs} pairs`, 'median', 'ratio'], rows)}\n`);
    return [{ what: 'grantry token against an empty Node.js program', value: median(ratios), most: 2 }];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function keepOneGrant(home: string): Promise<void> {
  await using vault = await openVault({
    home,
    database: `sqlite:${home}/grantry.db`,
    rootKey: `file:${home}/root.key`,
  });
  await vault.apps.put('bench', { provider: 'zoho_crm', clientId: 'bench', clientSecret: 'bench-secret', dc: 'eu' });
  await vault.storeTokens(
    { tenant: 'acme', provider: 'zoho_crm' },
    { app: 'bench', refreshToken: 'refresh-acme', accessToken: 'access-acme', expiresIn: 86_400 },
  );
}

/** Keeps the caller's own settings from the measured program. */
function environment(home: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:GRANTRY_|NODE_|npm_)/.test(name));
  return { ...Object.fromEntries(kept), GRANTRY_HOME: home };
}

function timed(args: string[], env: NodeJS.ProcessEnv, expected: string): number {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  const took = performance.now() - started;
  if (status !== 0 || stdout !== expected) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
  return took;
}
