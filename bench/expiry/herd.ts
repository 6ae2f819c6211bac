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
  /** `sqlite`, or the URL of an empty PostgreSQL database. */
  readonly database: string;
  /** All refreshes are due within this time; they begin when the processes stand. */
  readonly spreadSeconds: number;
  readonly answerMs: number;
  readonly timeScale: number;
  readonly onProgress?: ((requests: number) => void) | undefined;
}

export interface HerdResult {
  readonly requests: number;
  /** Refresh tokens that were sent more than once. */
  readonly sentTwice: number;
  /** Grants whose own token was never sent. */
  readonly neverSent: number;
  /** Grants that are active with new tokens in the end. */
  readonly renewed: number;
  /** Of those that came before the old token had ended. */
  readonly inTime: number;
  readonly mostAtOncePerProcess: number;
  readonly mostAtOnce: number;
  /** Requests in each tenth of the time in which they were due, and those that came later. */
  readonly tenths: readonly number[];
  readonly workers: readonly WorkerReport[];
}

const lifetimeMs = 3_600_000;

/** Grants that all expire in the same moment, workers in several processes, and a provider that counts. */
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
    // They stand before there is anything to do: none of them gets a start on the others.
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

/** They were refreshed together most of an hour ago, and their next refresh was set as every refresh sets it. */
async function storeGrants(vault: Vault, place: HerdPlace, options: HerdOptions): Promise<number> {
  const context = internalsOf(vault).open();
  await vault.apps.put('bench', { provider, clientId: 'bench', clientSecret: 'bench-secret' });
  const started = Date.now();
  // The first is not due before the last is stored, even where that takes a few milliseconds each.
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
  if (Date.now() > started + storeMs) throw new Error('storing took longer than it may on this machine today');
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
  // Only our own program writes here, in this one form.
  return report as WorkerReport;
}

async function renewedBy(untilMs: number, watched: WatchedProvider, options: HerdOptions): Promise<void> {
  while (Date.now() < untilMs && watched.arrivals.length < options.grants) {
    options.onProgress?.(watched.arrivals.length);
    await pause(250);
  }
  // A second request for the same token, if there ever is one, has the time to come.
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
