import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';

import { root } from '../scripts/steps.ts';
import { openVault, type Vault } from '../src/index.ts';
import { accessTokenOf, type BenchKey, benchKey, type Contender, lifetimeSeconds } from './contender.ts';
import { type SeedGrant, seedGrants } from './seed.ts';

/** Time for which stored grants may be reused: their tokens must far outlive the run. */
const reusableMs = (lifetimeSeconds * 1000) / 2;

/**
 * Opens a vault on SQLite with this many grants, none of them in memory. Storing them takes a minute, so they are kept
 * for later runs.
 */
export async function openedVault(grants: number): Promise<Vault> {
  const home = `${root}.tmp/bench-${grants}-grants`;
  const options = { home, database: `sqlite:${home}/grantry.db`, rootKey: `file:${home}/root.key` };
  if (!isReusable(home)) {
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home, { recursive: true, mode: 0o700 });
    await using vault = await openVault(options);
    await vault.apps.put('bench', { provider: 'zoho_crm', clientId: 'bench', clientSecret: 'bench-secret', dc: 'eu' });
    await fill(vault, options.rootKey, grants);
    writeFileSync(`${home}/complete`, '');
  }
  // A new process finds the same: everything on disk, nothing in memory.
  return openVault(options);
}

function isReusable(home: string): boolean {
  const mark = `${home}/complete`;
  return existsSync(mark) && Date.now() - statSync(mark).mtimeMs < reusableMs;
}

async function fill(vault: Vault, rootKey: string, grants: number): Promise<void> {
  const started = performance.now();
  await seedGrants(vault, { rootKey, app: 'bench', grants: grantsToStore(grants) });
  const seconds = (performance.now() - started) / 1000;
  process.stderr.write(`  stored ${grants.toLocaleString('en')} grants in ${seconds.toFixed(0)} s\n`);
}

function* grantsToStore(count: number): Generator<SeedGrant> {
  const expiresAtMs = Date.now() + lifetimeSeconds * 1000;
  for (let index = 0; index < count; index += 1) {
    const key = benchKey(index);
    const refreshToken = `refresh-${key.tenant}`;
    yield { ...key, accessToken: accessTokenOf(key), refreshToken, expiresAtMs, dueAtMs: null };
  }
}

/** Measures the first read of each grant, in microseconds. */
export async function coldReads(vault: Vault, keys: readonly BenchKey[]): Promise<number[]> {
  const times: number[] = [];
  for (const key of keys) {
    const started = performance.now();
    // One after the other, because the time of a single read counts.
    const { accessToken } = await vault.getAccessToken(key);
    times.push((performance.now() - started) * 1000);
    if (accessToken !== accessTokenOf(key)) throw new Error('the vault handed out another token than was stored');
    if (times.length % 5000 === 0) process.stderr.write(`\r  cold reads: ${times.length.toLocaleString('en')}`);
  }
  process.stderr.write('\n');
  return times;
}

export function vaultContender(vault: Vault, grants: number): Contender {
  return {
    name: 'grantry',
    grants,
    note: 'vault.getAccessToken(), SQLite beneath',
    token: async (key) => (await vault.getAccessToken(key)).accessToken,
  };
}
