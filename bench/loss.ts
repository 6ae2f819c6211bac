/**
 * The kill lab with other libraries in Grantry's place: the same provider, the same delays, the same `kill -9`. How many
 * grants can be refreshed no more when all is calm again?
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { Child } from '../scripts/kill-lab/child.ts';
import { Dice } from '../scripts/kill-lab/dice.ts';
import type { Minted, ProviderCommand, ProviderJudgement, ProviderStarted } from '../scripts/kill-lab/messages.ts';
import { root } from '../scripts/steps.ts';
import type { PeerCommand } from './peers/loss/messages.ts';
import { type Aim, table } from './report.ts';

const peers = ['naive-lock', 'simple-oauth2'];
const profiles = ['none', 'timed_overlap', 'retire_on_use', 'strict', 'strict_revokes_family'];
const kills = Number(process.env['BENCH_KILLS'] ?? 100);
const seed = Number(process.env['BENCH_SEED'] ?? 1);
const workers = 3;
const grants = 300;
const minutesMax = 3;

export async function benchLoss(): Promise<Aim[]> {
  const rows: string[][] = [];
  for (const peer of peers) {
    for (const profile of profiles) {
      const { counted, lost, replays } = await lossesOf(peer, profile);
      rows.push([
        peer,
        profile,
        `${counted}`,
        `${lost}`,
        `${((100 * lost) / Math.max(1, counted)).toFixed(0)} %`,
        `${replays}`,
      ]);
      process.stderr.write(`  ${rows.at(-1)?.join(', ')}\n`);
    }
  }
  const head = ['peer', 'class', 'kills counted', 'grants lost', 'per kill', 'spent twice'];
  process.stdout.write(`\nseed ${seed}, ${workers} processes, ${grants} grants\n${table(head, rows)}\n`);
  return [];
}

async function lossesOf(peer: string, profile: string): Promise<{ counted: number; lost: number; replays: number }> {
  const directory = mkdtempSync(path.join(tmpdir(), 'grantry-loss-'));
  const provider = await Child.start<ProviderCommand>(`${root}scripts/kill-lab/provider-process.ts`);
  const children: Child<PeerCommand>[] = [];
  try {
    const plan = { profile, delayMs: [10, 250], accessTokenSeconds: 2, overlapSeconds: 60, seed } as const;
    const { origin, clientId, clientSecret } = await provider.ask<ProviderStarted>({ ask: 'start', plan });
    const database = `${directory}/peer.db`;
    using db = newStore(database, await provider.ask<Minted[]>({ ask: 'mint', count: grants }));
    const join = async (): Promise<Child<PeerCommand>> => {
      const child = await Child.start<PeerCommand>(`${root}bench/peers/loss/peer-process.ts`);
      await child.ask({
        ask: 'open',
        plan: { peer, database, endpoint: { origin, clientId, clientSecret }, tasks: 6 },
      });
      return child;
    };
    for (let index = 0; index < workers; index += 1) children.push(await join());
    for (const child of children) await child.ask({ ask: 'work' });
    const counted = await rage(children, db, join);
    await Promise.all(children.splice(0).map((child) => child.kill()));
    await provider.ask({ ask: 'calm' });
    const last = await join();
    children.push(last);
    const lost = await last.ask<string[]>({ ask: 'heal' });
    const { replays } = await provider.ask<ProviderJudgement>({ ask: 'judge' });
    return { counted, lost: lost.length, replays };
  } finally {
    await Promise.all([provider, ...children].map((child) => child.kill()));
    rmSync(directory, { recursive: true, force: true });
  }
}

async function rage(
  children: Child<PeerCommand>[],
  db: DatabaseSync,
  join: () => Promise<Child<PeerCommand>>,
): Promise<number> {
  const dice = new Dice(seed);
  const until = performance.now() + minutesMax * 60_000;
  let counted = 0;
  while (counted < kills && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, dice.between(100, 600)));
    const index = Math.floor(dice.fraction() * children.length);
    const child = children[index];
    if (child === undefined) break;
    await child.kill();
    const { changes } = db.prepare('delete from under_way where pid = ?').run(child.pid);
    if (Number(changes) > 0) counted += 1;
    const next = await join();
    children[index] = next;
    await next.ask({ ask: 'work' });
  }
  return counted;
}

function newStore(database: string, minted: readonly Minted[]): DatabaseSync {
  const db = new DatabaseSync(database, { timeout: 5_000 });
  db.exec(`pragma journal_mode = wal;
    create table grants (tenant text primary key, access_token text, refresh_token text, refreshed_at integer default 0,
      locked_until integer default 0, state text default 'active');
    create table under_way (pid integer, tenant text)`);
  const insert = db.prepare('insert into grants (tenant, access_token, refresh_token) values (?, ?, ?)');
  minted.forEach(({ accessToken, refreshToken }, index) => insert.run(`tenant-${index}`, accessToken, refreshToken));
  return db;
}
