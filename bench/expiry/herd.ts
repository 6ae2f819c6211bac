import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { systemWorld, type Vault } from '../../src/index.ts';
import { dueAt } from '../../src/vault/grant/due.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { type SeedGrant, seedGrants } from '../seed.ts';
import { startProvider, type WatchedProvider } from './provider.ts';
import { type HerdPlace, openHerdVault, provider } from './vault.ts';
import type { WorkerReport } from './worker-process.ts';

export interface HerdOptions {
  readonly grants: number;
  readonly processes: number;
  /** Database: `sqlite`, or the URL of an empty PostgreSQL database. */
  readonly database: string;
  /** All refreshes are due within this time; it begins when the processes have started. */
  readonly spreadSeconds: number;
  readonly answerMs: number;
  readonly timeScale: number;
  readonly onProgress?: ((requests: number) => void) | undefined;
}

export interface HerdResult {
  readonly requests: number;
  /** Number of refresh tokens that were sent more than once. */
  readonly sentTwice: number;
  /** Number of grants whose own token was never sent. */
  readonly neverSent: number;
  /** Number of grants that are active with new tokens at the end. */
  readonly renewed: number;
  /** Number of those renewed before the old token ended. */
  readonly inTime: number;
  readonly mostAtOncePerProcess: number;
  readonly mostAtOnce: number;
  /** Requests in each tenth of the time in which they were due, then the later ones. */
  readonly tenths: readonly number[];
  readonly workers: readonly WorkerReport[];
}

const lifetimeMs = 3_600_000;

/**
 * Runs workers in several processes over grants that all expire at the same moment, with a provider that counts
 * requests.
 */
export async function runHerd(options: HerdOptions): Promise<HerdResult> {
  const directory = mkdtempSync(path.join(tmpdir(), 'grantry-herd-'));
  await using watched = await startProvider(options.answerMs);
  const place: HerdPlace = {
    home: `${directory}/host-0`,
    database: options.database === 'sqlite' ? `sqlite:${directory}/grantry.db` : options.database,
    rootKey: `file:${directory}/root.key`,
    origin: watched.origin,
    earlySeconds: options.spreadSeconds,
    timeScale: options.timeScale,
  };
  mkdirSync(place.home, { mode: 0o700 });
  const children: ChildProcess[] = [];
  try {
    const world = systemWorld({ timeScale: options.timeScale, allowLoopback: true });
    await using vault = await openHerdVault(place, world);
    // All processes start before the first grant is due, so that none has a head start.
    for (let index = 0; index < options.processes; index += 1) children.push(await startWorker(place, index));
    const expiresAtMs = await storeGrants(vault, place, options);
    await renewedBy(expiresAtMs + 120_000, watched, options);
    const workers = await Promise.all(children.map(stopWorker));
    return judge({ watched, vault, expiresAtMs, workers, options });
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Stores grants as if they were refreshed together most of an hour ago, each with its next refresh set as usual. */
async function storeGrants(vault: Vault, place: HerdPlace, options: HerdOptions): Promise<number> {
  const context = internalsOf(vault).open();
  await vault.apps.put('bench', { provider, clientId: 'bench', clientSecret: 'bench-secret' });
  const started = Date.now();
  // The first grant must not be due before the last is stored, even at a few milliseconds each.
  const storeMs = 2_000 + options.grants * 3;
  const expiresAtMs = started + storeMs + 2 * options.spreadSeconds * 1_000;
  const earlier = { ...context, world: { ...context.world, now: () => expiresAtMs - lifetimeMs } };
  const grants: SeedGrant[] = [];
  for (let index = 0; index < options.grants; index += 1) {
    grants.push({
      tenant: `tenant-${index}`,
      provider,
      account: 'default',
      accessToken: `access-${index}`,
      refreshToken: refreshTokenOf(index),
      expiresAtMs,
      dueAtMs: await dueAt(earlier, provider, expiresAtMs),
      usedAtMs: started,
    });
  }
  await seedGrants(vault, { rootKey: place.rootKey, app: 'bench', grants });
  if (Date.now() > started + storeMs) throw new Error('storing took too long on this machine');
  return expiresAtMs;
}

async function startWorker(place: HerdPlace, index: number): Promise<ChildProcess> {
  const own = { ...place, home: `${path.dirname(place.home)}/host-${index}` };
  mkdirSync(own.home, { recursive: true, mode: 0o700 });
  const program = path.join(import.meta.dirname, 'worker-process.ts');
  const child = fork(program, [JSON.stringify(own)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error('a worker process ended before it began'))),
  ]);
  return child;
}

async function stopWorker(child: ChildProcess): Promise<WorkerReport> {
  const answered = once(child, 'message');
  child.send('stop');
  const [report]: unknown[] = await answered;
  // Only this benchmark's own program writes here, in this one form.
  return report as WorkerReport;
}

async function renewedBy(untilMs: number, watched: WatchedProvider, options: HerdOptions): Promise<void> {
  while (Date.now() < untilMs && watched.arrivals.length < options.grants) {
    options.onProgress?.(watched.arrivals.length);
    await pause(250);
  }
  // Leaves time for a second request with the same token to arrive.
  await pause(3_000);
}

interface Evidence {
  readonly watched: WatchedProvider;
  readonly vault: Vault;
  readonly expiresAtMs: number;
  readonly workers: readonly WorkerReport[];
  readonly options: HerdOptions;
}

async function judge({ watched, vault, expiresAtMs, workers, options }: Evidence): Promise<HerdResult> {
  const { store } = internalsOf(vault).open();
  const rows = await store.db.selectFrom('oauth_tokens').select(['state', 'generation', 'last_refreshed_at']).execute();
  const renewed = rows.filter((row) => row.state === 'active' && row.generation === 2);
  const spreadMs = options.spreadSeconds * 1_000;
  const tenths = Array.from({ length: 11 }, () => 0);
  for (const at of watched.arrivals) {
    const tenth = Math.floor(((at - (expiresAtMs - 2 * spreadMs)) * 10) / spreadMs);
    const place = Math.max(0, Math.min(10, tenth));
    tenths[place] = (tenths[place] ?? 0) + 1;
  }
  const first = Array.from({ length: options.grants }, (_, index) => watched.spent.get(refreshTokenOf(index)) ?? 0);
  return {
    requests: watched.arrivals.length,
    sentTwice: [...watched.spent.values()].filter((times) => times > 1).length,
    neverSent: first.filter((times) => times === 0).length,
    renewed: renewed.length,
    inTime: renewed.filter((row) => (row.last_refreshed_at ?? Number.POSITIVE_INFINITY) < expiresAtMs).length,
    mostAtOncePerProcess: Math.max(...workers.map((worker) => worker.mostAtOnce)),
    mostAtOnce: watched.mostAtOnce,
    tenths,
    workers,
  };
}

function refreshTokenOf(index: number): string {
  return `refresh-${index}`;
}
