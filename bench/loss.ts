/**
 * The kill lab with other libraries in Grantry's place: the same provider, the same delays, the same `kill -9`. It
 * counts the grants that cannot be refreshed once all is calm again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Dice } from '../lab/dice.ts';
import { bundlePrograms, labPrograms } from '../lab/kill-lab/bundle.ts';
import { Child } from '../lab/kill-lab/child.ts';
import type { Minted, ProviderCommand, ProviderJudgement, ProviderStarted } from '../lab/kill-lab/messages.ts';
import { lossPeerNames, type PeerCommand } from './peers/loss/messages.ts';
import type { LossPeer } from './peers/loss/peer.ts';
import { PeerStore } from './peers/loss/store.ts';
import { type Aim, table } from './report.ts';

const profiles = ['none', 'timed_overlap', 'retire_on_use', 'strict', 'strict_revokes_family'];
const kills = Number(process.env['BENCH_KILLS'] ?? 100);
const seed = Number(process.env['BENCH_SEED'] ?? 1);
const workers = 3;
const grants = 150;
const minutesMax = 4;

/** Named at run time, so that the other files type-check without the benchmark's own packages. */
const adapters: string = './peers/loss/adapters.ts';

async function loadPeers(): Promise<Readonly<Record<string, () => Promise<LossPeer>>>> {
  const loaded: { lossPeers: Readonly<Record<string, () => Promise<LossPeer>>> } = await import(adapters);
  return loaded.lossPeers;
}

type Programs = Readonly<Record<'provider' | 'peer', string>>;

export async function benchLoss(): Promise<Aim[]> {
  const rows: string[][] = [];
  const directory = mkdtempSync(path.join(tmpdir(), 'grantry-loss-'));
  try {
    const { provider } = labPrograms;
    const programs = await bundlePrograms(`${directory}/programs`, {
      provider,
      peer: './bench/peers/loss/peer-process.ts',
    });
    for (const peer of lossPeerNames) {
      const place = mkdtempSync(`${directory}/peer-`);
      for (const profile of profiles) {
        const { counted, lost, replays } = await lossesOf(peer, profile, place, programs);
        const share = `${((100 * lost) / Math.max(1, counted)).toFixed(0)} %`;
        rows.push([peer, profile, `${counted}`, `${lost}`, share, `${replays}`]);
        process.stderr.write(`  ${rows.at(-1)?.join(', ')}\n`);
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const head = ['peer', 'class', 'kills counted', 'grants lost', 'per kill', 'spent twice'];
  process.stdout.write(`\nseed ${seed}, ${workers} processes, ${grants} grants\n${table(head, rows)}\n`);
  return [];
}

async function lossesOf(
  peer: string,
  profile: string,
  directory: string,
  programs: Programs,
): Promise<{ counted: number; lost: number; replays: number }> {
  const provider = await Child.start<ProviderCommand>(programs.provider);
  const children: Child<PeerCommand>[] = [];
  try {
    const plan = { profile, delayMs: [20, 500], accessTokenSeconds: 2, overlapSeconds: 60, seed } as const;
    const { origin, clientId, clientSecret } = await provider.ask<ProviderStarted>({ ask: 'start', plan });
    const database = `${directory}/${profile}.db`;
    using store = PeerStore.make(database, await provider.ask<Minted[]>({ ask: 'mint', count: grants }));
    await (await loadPeers())[peer]?.().then((loaded) => loaded.prepare?.(store));
    const join = async (): Promise<Child<PeerCommand>> => {
      const child = await Child.start<PeerCommand>(programs.peer);
      children.push(child);
      await child.ask({
        ask: 'open',
        plan: { peer, database, endpoint: { origin, clientId, clientSecret }, tasks: 6 },
      });
      return child;
    };
    const counted = await rage(store, join);
    await provider.ask({ ask: 'calm' });
    const lost = await (await join()).ask<string[]>({ ask: 'heal' });
    const { replays } = await provider.ask<ProviderJudgement>({ ask: 'judge' });
    return { counted, lost: lost.length, replays };
  } finally {
    await Promise.all([provider, ...children].map((child) => child.kill()));
  }
}

/** Fills each place with a process, lets it work for a random time and kills it, until enough kills have counted. */
async function rage({ db }: PeerStore, join: () => Promise<Child<PeerCommand>>): Promise<number> {
  const until = performance.now() + minutesMax * 60_000;
  let counted = 0;
  const killOneByOne = async (place: number): Promise<void> => {
    const dice = new Dice(seed * workers + place);
    while (counted < kills && performance.now() < until) {
      const child = await join();
      await child.ask({ ask: 'work' });
      await new Promise((resolve) => setTimeout(resolve, dice.between(50, 800)));
      await child.kill();
      const { changes } = db.prepare('delete from under_way where pid = ?').run(child.pid);
      if (Number(changes) > 0) counted += 1;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, place) => killOneByOne(place)));
  return counted;
}
