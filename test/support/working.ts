/** Workers on a clock that is moved, and what a test does beside them. */

import { expect } from 'vitest';
import type { GrantKey } from '../../src/base/ids.ts';
import type { VaultOptions } from '../../src/vault/options.ts';
import type { Vault } from '../../src/vault/types.ts';
import { startWorkers, type Workers } from '../../src/workers/workers.ts';
import { type Bench, type BenchOptions, codeOf, makeBench, settled } from './bench.ts';

export const minute = 60_000;
export const hour = 60 * minute;
export const day = 24 * hour;

export const benches: Bench[] = [];
const crews: Workers[] = [];
/** Ends everything that a test has started. */
export async function endAll(): Promise<void> {
  for (const workers of crews.splice(0)) workers.stop().catch(() => {});
  await settled(20);
  for (const each of benches.splice(0)) await each[Symbol.asyncDispose]();
}

export async function make(options: BenchOptions, opening: VaultOptions = {}): Promise<{ bench: Bench; vault: Vault }> {
  const bench = await makeBench(options);
  benches.push(bench);
  return { bench, vault: (await bench.open(opening)).vault };
}

export async function work(vault: Vault): Promise<Workers> {
  const workers = startWorkers(vault);
  crews.push(workers);
  await settled(10);
  return workers;
}

/** Advances the clock in steps, so that workers look at each. */
export async function pass(bench: Bench, ms: number, stepMs = 2_500): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await bench.jump(Math.min(stepMs, ms - passed));
    await settled(4);
  }
}

/** Advances the clock at once, then in steps until the workers have done what came due. */
export async function later(bench: Bench, ms: number): Promise<void> {
  await bench.jump(ms - 15_000);
  await pass(bench, 15_000);
  await settled(10);
}

/** Makes a provider refuse a grant's refresh token twice: because it is dead, or because of a continuing incident. */
export async function condemn(
  provider: string,
  why: 'false' | 'revoked',
  opening: VaultOptions = {},
): Promise<{ bench: Bench; vault: Vault; key: GrantKey }> {
  const { bench, vault } = await make({ profiles: [provider] }, opening);
  const { key, minted } = await bench.connect(vault, { provider });
  if (why === 'revoked') bench.simulator.revoke(minted.refreshToken);
  else refuse(bench);
  await codeOf(vault.getAccessToken(key));
  await bench.jump(31_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
  return { bench, vault, key };
}

export function refuse(bench: Bench): void {
  bench.simulator.faults.add({
    endpoint: 'token',
    times: 10_000,
    effect: { kind: 'error', error: 'invalid_grant' },
  });
}

export async function refuseAll(count: number): Promise<{ bench: Bench; vault: Vault; keys: readonly GrantKey[] }> {
  const { bench, vault } = await make({ profiles: ['none'] });
  const keys: GrantKey[] = [];
  for (let each = 0; each < count; each += 1) {
    keys.push((await bench.connect(vault, { tenant: `t${each}`, provider: 'none' })).key);
  }
  refuse(bench);
  await Promise.all(keys.map((key) => vault.getAccessToken(key).catch(() => {})));
  await work(vault);
  return { bench, vault, keys };
}
