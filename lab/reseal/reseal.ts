import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { sql } from 'kysely';
import { z } from 'zod';
import { systemWorld } from '../../src/base/system-world.ts';
import { openStore } from '../../src/storage/store.ts';
import type { VaultContext } from '../../src/vault/context.ts';
import { openToken } from '../../src/vault/grant/tokens.ts';
import { checkRows } from '../../src/vault/guard/check-rows.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { openVault } from '../../src/vault/open.ts';
import { checkSeals } from '../../src/vault/upkeep/check-seals.ts';
import { Dice } from '../dice.ts';
import { populate, tokensOf } from './population.ts';

export interface ResealOptions {
  readonly grants: number;
  /** The number of processes that are killed while they upgrade. */
  readonly kills: number;
  readonly seed: number;
  /** Returns an empty database. */
  readonly fresh: () => Promise<string>;
}

export interface ResealReport {
  /** An upgrade that no kill disturbed. */
  readonly openedInMs: number;
  /** Processor time of the process, with its start. */
  readonly cpuMs: number;
  readonly peakMiB: number;
  /** Kills before the upgrade was committed, and after it. */
  readonly before: number;
  readonly after: number;
  readonly findings: readonly string[];
}

/** Upgrades a vault of 0.1.0 while its processes are killed, and looks what became of every grant. */
export async function killReseals({ grants, kills, seed, fresh }: ResealOptions): Promise<ResealReport> {
  const dice = new Dice(seed);
  const findings: string[] = [];
  const directory = mkdtempSync(join(tmpdir(), 'grantry-reseal-'));
  let homes = 0;
  const make = async (): Promise<Place> => {
    homes += 1;
    const place = { database: await fresh(), home: join(directory, `home-${homes}`), grants };
    await populate(place.database, place.home, grants);
    return place;
  };
  try {
    const measured = await make();
    const whole = await openIn(measured);
    if (whole === null) throw new Error('the upgrade did not end by itself');
    findings.push(...(await verify(measured)));
    const moments = { before: 0, after: 0 };
    let place = await make();
    for (let kill = 0; kill < kills; kill += 1) {
      await openIn(place, dice.fraction() * whole.openedInMs * 1.1);
      const state = await stateOf(place);
      const isOld = state.version === 1 && state.old === state.sealed;
      const isNew = state.version > 1 && state.old === 0;
      if (!isOld && !isNew) findings.push(`a kill left a half of an upgrade: ${JSON.stringify(state)}`);
      moments[isOld ? 'before' : 'after'] += 1;
      if (isOld) continue;
      findings.push(...(await verify(place)));
      place = await make();
    }
    findings.push(...(await verify(place)));
    return { ...whole, ...moments, findings };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Place {
  readonly database: string;
  readonly home: string;
  readonly grants: number;
}

const opened = z.object({ openedInMs: z.number(), cpuMs: z.number(), peakMiB: z.number() });

/** Opens the vault in a process of its own, which is killed so long after it began; null if it was. */
async function openIn({ database, home }: Place, killAfterMs?: number): Promise<z.infer<typeof opened> | null> {
  const program = join(import.meta.dirname, 'opening-process.ts');
  const child = spawn(process.execPath, [program, database, home], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let end: z.infer<typeof opened> | null = null;
  for await (const line of createInterface({ input: child.stdout })) {
    const message: unknown = JSON.parse(line);
    const isBegun = typeof message === 'object' && message !== null && 'opening' in message;
    if (isBegun && killAfterMs !== undefined) void pause(killAfterMs).then(() => child.kill('SIGKILL'));
    end = opened.safeParse(message).data ?? end;
  }
  const [code, signal] = await exited;
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the process that opens the vault ended with ${code}`);
  return end;
}

/** The state of the upgrade, in one statement: the version, and how many refresh tokens there are, and in format 1. */
async function stateOf({ database }: Place): Promise<{ version: number; sealed: number; old: number }> {
  const store = await openStore({ database, world: systemWorld() });
  try {
    const { rows } = await sql<Record<'version' | 'sealed' | 'old', number | string>>`select
      (select max(version) from grantry_schema) as version, count(refresh_token) as sealed,
      sum(case when refresh_token like 'gry1.R1JZAQ%' then 1 else 0 end) as old from oauth_tokens`.execute(store.db);
    const [state] = rows;
    if (state === undefined) throw new Error('the database does not answer');
    return { version: Number(state.version), sealed: Number(state.sealed), old: Number(state.old) };
  } finally {
    await store.close();
  }
}

/** Opens the vault once more, and reads every value in it. */
async function verify({ database, home, grants }: Place): Promise<string[]> {
  const rootKey = `file:${home}/root.key`;
  const options = { database, home, rootKey, installation: 'fixture', backgroundRefresh: false };
  await using vault = await openVault(options);
  const context = internalsOf(vault).open();
  const [seals, rows] = [await checkSeals(context), await checkRows(context)];
  const findings = [...seals.altered, ...rows.altered].map((name) => `does not open, or has no MAC: ${name}`);
  const tenths = Math.ceil(grants / 10);
  // Those of the fixture come on top.
  if (seals.checked < grants + 2 * tenths) findings.push(`only ${seals.checked} sealed values are left`);
  if (rows.checked < tenths) findings.push(`only ${rows.checked} rows with MACs are left`);
  return [...findings, ...(await wrongTokens(context, grants))];
}

async function wrongTokens({ store, keys }: VaultContext, grants: number): Promise<string[]> {
  const rows = await store.db.selectFrom('oauth_tokens').selectAll().where('account', 'like', 'grant-%').execute();
  const byAccount = new Map(rows.map((row) => [row.account, row]));
  const findings: string[] = [];
  for (let index = 0; index < grants; index += 1) {
    const { account, accessToken, refreshToken } = tokensOf(index);
    const row = byAccount.get(account);
    if (row === undefined) {
      findings.push(`${account} is lost`);
      continue;
    }
    const pinned = await keys.pin(row.client_id);
    const isRight =
      openToken(pinned, row, 'access_token')?.reveal() === accessToken &&
      openToken(pinned, row, 'refresh_token')?.reveal() === refreshToken;
    if (!isRight) findings.push(`${account} has other tokens`);
  }
  return findings;
}
