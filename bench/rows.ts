/**
 * Measures the cost of the MACs of rows: a vault with 10,000 apps and 10,000 API keys beside one with ten of each. The
 * opening with a first token, the look-up of a key as a server makes it for a request, the lists, and the checks of `doctor`.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { withDatabases } from '../scripts/scratch-postgres.ts';
import { Secret } from '../src/base/secret.ts';
import { openVault, type Vault } from '../src/index.ts';
import { insertApiKey } from '../src/storage/statements/api-keys.ts';
import { putApp } from '../src/storage/statements/apps.ts';
import { findApiKey, hashApiKey } from '../src/vault/api-keys.ts';
import { anyDc, pinSystemKeys, sealSecrets } from '../src/vault/app/secrets.ts';
import { checkRows } from '../src/vault/guard/check-rows.ts';
import { internalsOf } from '../src/vault/internals.ts';
import { checkSeals } from '../src/vault/upkeep/check-seals.ts';
import { median } from './measure.ts';
import { type Aim, table } from './report.ts';

const many = Number(process.env['BENCH_ROWS'] ?? 10_000);
const few = 10;
const rounds = 11;
const lookUps = 200;
/** One transaction makes so many: a transaction may not last long. */
const batch = 50;

interface Home {
  readonly rows: number;
  readonly open: () => Promise<Vault>;
}

export async function benchRows(): Promise<Aim[]> {
  const printed: string[][] = [];
  const aims: Aim[] = [];
  await withDatabases(async (name, fresh) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'grantry-bench-'));
    try {
      const homes = [];
      for (const rows of [few, many]) homes.push(await filled(path.join(folder, `${rows}`), await fresh(), rows));
      const opened = await inTurns(homes, firstToken);
      const looked = await inTurns(homes, lookUpKeys);
      printed.push([name, 'open, and a first token', ...texts(opened, 'ms')]);
      printed.push([name, 'look-up of one API key', ...texts(looked, 'µs')]);
      printed.push([name, 'list of all apps and keys', ...texts(await inTurns(homes, lists, 3), 'ms')]);
      printed.push([name, 'doctor: MACs and seals', ...texts(await inTurns(homes, doctor, 3), 'ms')]);
      aims.push(
        { what: `opening with ${many} apps and keys against ${few}, ${name}`, value: ratio(opened), most: 1.5 },
        { what: `look-up of a key among ${many} against ${few}, ${name}`, value: ratio(looked), most: 1.5 },
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  const head = ['database', 'median', `${few} apps and keys`, `${many} apps and keys`, 'ratio'];
  process.stdout.write(`\n${table(head, printed)}\n`);
  return aims;
}

/** Fills a database through the vault's own statements, which seal and mark every row. */
async function filled(home: string, database: string, rows: number): Promise<Home> {
  mkdirSync(home);
  const at = database === 'sqlite' ? `sqlite:${home}/grantry.db` : database;
  const open = (): Promise<Vault> =>
    openVault({ home, database: at, rootKey: `file:${home}/root.key`, backgroundRefresh: false });
  await using vault = await open();
  await vault.apps.put('bench', { provider: 'google', clientId: 'bench', clientSecret: 'bench-secret' });
  const fresh = { refreshToken: 'refresh-acme', accessToken: 'access-acme', expiresIn: 86_400 };
  await vault.storeTokens({ tenant: 'acme', provider: 'google' }, { app: 'bench', ...fresh });
  const context = internalsOf(vault).open();
  const system = await pinSystemKeys(context);
  // The first protected row loads the key of the rows.
  await vault.keys.list();
  for (let from = 0; from < rows; from += batch) {
    await context.store.transaction(async (tx) => {
      for (let index = from; index < Math.min(rows, from + batch); index += 1) {
        const client = { name: `app-${index}`, generation: 1, provider: 'google', client_id: `client-${index}` };
        const secrets = new Map([[anyDc, new Secret(`secret-${index}`)]]);
        const noLimits = { dc: null, redirect_uri: null, scopes: '[]', return_to: '[]', context: `context-${index}` };
        const noSwitches = { scope_reasons: null, pkce: null };
        const tenants = JSON.stringify([`tenant-${index}`]);
        const sealed = sealSecrets(system, client, secrets);
        await putApp(tx, {
          ...client,
          ...noLimits,
          ...noSwitches,
          tenants,
          client_secrets: sealed,
          created_at: 1,
          updated_at: 1,
        });
        const rights = { role: 'reader' as const, tenants, providers: null, methods: null, paths: null, origins: null };
        const key = { id: `key-${index}`, name: `key-${index}`, key_hash: hashApiKey(keyOf(index)) };
        await insertApiKey(tx, { ...key, ...rights, parent: null, expires_at: null });
      }
    });
  }
  return { rows, open };
}

async function firstToken({ open }: Home): Promise<number> {
  const started = performance.now();
  const vault = await open();
  await vault.getAccessToken({ tenant: 'acme', provider: 'google' });
  const took = performance.now() - started;
  await vault.close();
  return took;
}

/** In microseconds. A server remembers a key, so it does this for a key's first request and after a change. */
async function lookUpKeys({ open, rows }: Home): Promise<number> {
  await using vault = await open();
  const context = internalsOf(vault).open();
  await findApiKey(context, hashApiKey(keyOf(0)));
  const started = performance.now();
  for (let index = 0; index < lookUps; index += 1) {
    const found = await findApiKey(context, hashApiKey(keyOf((index * 7_919) % rows)));
    if (found === null) throw new Error('a key was not found');
  }
  return ((performance.now() - started) * 1_000) / lookUps;
}

async function lists({ open }: Home): Promise<number> {
  await using vault = await open();
  const started = performance.now();
  await vault.apps.list();
  await vault.keys.list();
  return performance.now() - started;
}

async function doctor({ open, rows }: Home): Promise<number> {
  await using vault = await open();
  const context = internalsOf(vault).open();
  const started = performance.now();
  const [marked, sealed] = [await checkRows(context), await checkSeals(context)];
  if (marked.checked < 2 * rows || marked.altered.length + sealed.altered.length > 0) throw new Error('a check failed');
  return performance.now() - started;
}

/** Measures both homes in changing order; returns the times of each. */
async function inTurns(
  homes: readonly Home[],
  measure: (home: Home) => Promise<number>,
  times = rounds,
): Promise<number[][]> {
  for (const home of homes) await measure(home);
  const taken: number[][] = homes.map(() => []);
  for (let round = 0; round < times; round += 1) {
    for (const turn of homes.keys()) {
      const at = (turn + round) % homes.length;
      const home = homes[at];
      if (home !== undefined) taken[at]?.push(await measure(home));
    }
  }
  return taken;
}

function ratio([small = [], large = []]: readonly number[][]): number {
  return median(large.map((each, round) => each / (small[round] ?? Number.NaN)));
}

function texts(taken: readonly number[][], unit: string): string[] {
  return [...taken.map((times) => `${median(times).toFixed(1)} ${unit}`), ratio(taken).toFixed(2)];
}

function keyOf(index: number): string {
  return `key-of-${index}`;
}
