/** The guard against clones and older copies: which vaults are quarantined, and what a quarantined vault still does. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench } from '../../../test/support/bench.ts';
import { administer, postgresUrl, scratchDatabase } from '../../../test/support/postgres.ts';
import { TestWorld } from '../../../test/support/world.ts';
import type { GrantKey } from '../../base/ids.ts';
import { silentLogger } from '../../base/log.ts';
import { readInstance } from '../../storage/statements/instance.ts';
import { openStore } from '../../storage/store.ts';
import { internalsOf } from '../internals.ts';
import type { AdoptReport, Vault } from '../types.ts';
import { Guard } from './guard.ts';
import { HighWaterMarks } from './high-water-mark.ts';

let directory: string;
let bench: Bench;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'grantry-guard-'));
  bench = await makeBench({ profiles: ['none', 'strict'] });
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

it('three servers with empty homes on one PostgreSQL are not quarantined, even after a home is deleted', async () => {
  await using scratch = await scratchDatabase();
  const first = await open('home-1', scratch.database);
  const tenants = ['one', 'two', 'three', 'four'] as const;
  for (const tenant of tenants) await bench.connect(first, { tenant });
  const refresh = async (vault: Vault, tenant: (typeof tenants)[number]): Promise<void> => {
    expect((await vault.getAccessToken({ tenant, provider: 'strict' })).generation).toBe(2);
    expect(vault.quarantine).toBeNull();
  };
  await refresh(first, 'one');
  await refresh(await open('home-2', scratch.database), 'two');
  await refresh(await open('home-3', scratch.database), 'three');
  rmSync(join(directory, 'home-2'), { recursive: true });
  await refresh(await open('home-2', scratch.database), 'four');
  await refresh(first, 'four');
});

it('a PostgreSQL database that was copied elsewhere is quarantined, and the original is not', async () => {
  await using scratch = await scratchDatabase();
  const original = await open('home', scratch.database);
  const grants = await connectTwo(original);
  await original.close();
  const copy = await copyOf(scratch.database);
  try {
    const clone = await open('home', copy.database);
    await expectQuarantined(clone, grants);
    // A home of its own does not change that.
    await expectQuarantined(await open('other-home', copy.database), grants);
    const back = await open('home', scratch.database);
    expect(back.quarantine).toBeNull();
    expect((await back.rejectAccessToken(grants.strict.key, 1)).generation).toBe(2);
  } finally {
    await copy.drop();
  }
});

it('a home that was copied with its SQLite database is quarantined until it is adopted', async () => {
  const original = await open('home');
  const grants = await connectTwo(original);
  await original.close();
  cpSync(join(directory, 'home'), join(directory, 'copy'), { recursive: true });
  const clone = await open('copy');
  await expectQuarantined(clone, grants);
  await expectAdoptable(clone, grants);
  const back = await open('home');
  expect(back.quarantine).toBeNull();
});

it('an older SQLite file that was restored in its place is quarantined until it is adopted', async () => {
  const path = join(directory, 'home', 'grantry.db');
  const vault = await open('home');
  const grants = await connectTwo(vault);
  await vault.close();
  copyFileSync(path, join(directory, 'backup'));
  const later = await open('home');
  await bench.connect(later, { tenant: 'later' });
  await later.close();
  const inode = statSync(path).ino;
  putBack(join(directory, 'backup'), path);
  expect(statSync(path).ino).toBe(inode);
  const restored = await open('home');
  await expectQuarantined(restored, grants);
  // The quarantine is stored, so an empty home does not end it.
  await restored.close();
  const elsewhere = await open('empty', `sqlite:${path}`);
  await expectQuarantined(elsewhere, grants);
  await elsewhere.close();
  await expectAdoptable(await open('home'), grants);
});

it('an adoption replays the answers that the older copy lacks, even after a long quarantine', async () => {
  const path = join(directory, 'home', 'grantry.db');
  const vault = await open('home');
  const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
  await vault.close();
  copyFileSync(path, join(directory, 'backup'));
  const later = await open('home');
  await later.rejectAccessToken(key, 1);
  await later.close();
  putBack(join(directory, 'backup'), path);
  expect(bench.simulator.isAlive(minted.refreshToken)).toBe(false);
  await bench.jump(3_600_000);
  const restored = await open('home');
  expect(restored.quarantine).not.toBeNull();
  await restored.adopt();
  const { generation } = await restored.getAccessToken(key);
  expect(generation).toBeGreaterThanOrEqual(2);
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
});

it('a serving process spends nothing until the adoption has replayed the answers that the older copy lacks', async () => {
  const path = join(directory, 'home', 'grantry.db');
  const vault = await open('home');
  const { key, minted } = await bench.connect(vault, { provider: 'strict', expiresIn: 3_600 });
  await vault.close();
  copyFileSync(path, join(directory, 'backup'));
  const later = await open('home');
  await later.rejectAccessToken(key, 1);
  await later.close();
  putBack(join(directory, 'backup'), path);
  const [server, operator] = [await open('home'), await open('home')];
  expect(server.quarantine).not.toBeNull();
  const context = internalsOf(operator).open();
  const spool = await context.spool();
  const list = spool.list.bind(spool);
  const served: string[] = [];
  spool.list = async (...wanted) => {
    const entries = await list(...wanted);
    await bench.jump(3_000);
    served.push(await codeOf(server.rejectAccessToken(key, 1)));
    return entries;
  };
  await operator.adopt();
  expect(served).toEqual(['grant_quarantined']);
  await bench.jump(3_000);
  expect((await server.rejectAccessToken(key, 1)).generation).toBeGreaterThanOrEqual(2);
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
  expect(bench.simulator.isAlive(minted.refreshToken)).toBe(false);
});

it('a home that was restored with its mark is quarantined by the answers in its spool', async () => {
  const vault = await open('home');
  const grants = await connectTwo(vault);
  await vault.close();
  cpSync(join(directory, 'home'), join(directory, 'backup'), { recursive: true });
  const later = await open('home');
  expect((await later.rejectAccessToken(grants.strict.key, 1)).generation).toBe(2);
  await later.close();
  const path = join(directory, 'home', 'grantry.db');
  const { ino, birthtimeNs } = statSync(path, { bigint: true });
  for (const name of ['grantry.db', 'seen.json']) {
    putBack(join(directory, 'backup', name), join(directory, 'home', name));
  }
  expect(statSync(path, { bigint: true })).toMatchObject({ ino, birthtimeNs });
  const restored = await open('home');
  expect(restored.quarantine).toContain('spool');
  await expectQuarantined(restored, grants);
  await restored.adopt();
  expect((await restored.grants.get(grants.strict.key))?.state).toMatch(/active|uncertain/);
  await restored.close();
  // The adoption settled the answers in the spool, although the database will never have their attempts.
  const adopted = await open('home');
  expect(adopted.quarantine).toBeNull();
  await bench.jump(700_000);
  expect((await adopted.rejectAccessToken(grants.strict.key, 1)).generation).toBe(2);
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
});

it('answers of many generations whose attempts were pruned cause no quarantine', async () => {
  let vault = await open('home');
  const { key } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', times: 10, effect: { kind: 'patch', set: { expires_in: 2 } } });
  for (let generation = 2; generation <= 7; generation += 1) {
    expect((await vault.getAccessToken(key)).generation).toBe(generation);
    await bench.jump(3_000);
    await vault.close();
    vault = await open('home');
    expect(vault.quarantine).toBeNull();
  }
  const names = readdirSync(join(directory, 'home', 'spool'), { recursive: true, encoding: 'utf8' });
  expect(names.filter((name) => name.endsWith('.saved')).length).toBeGreaterThanOrEqual(5);
});

it('a new SQLite file with the same path and inode is quarantined', async () => {
  const original = await open('home');
  const grants = await connectTwo(original);
  await original.close();
  const store = await openStore({ database: `sqlite:${join(directory, 'home', 'grantry.db')}`, world: world() });
  const { location } = await store.location();
  const remembered = (await readInstance(store.db))?.location;
  expect(remembered).toBe(location);
  const [inode = '', birth] = location.split(' ');
  const pretend = (place: string) => store.db.updateTable('grantry_instance').set({ location: place }).execute();
  // An earlier version stored only the inode.
  await pretend(inode);
  expect((await open('home')).quarantine).toBeNull();
  if (birth !== undefined) {
    await pretend(`${inode} born:1`);
    await expectQuarantined(await open('home'), grants);
  }
  await store.close();
});

it('a process with the name of another installation is quarantined, and the real one is not', async () => {
  const production = await open('home', undefined, { installation: 'production' });
  const grants = await connectTwo(production);
  const staging = await open('home', undefined, { installation: 'staging' });
  await expectQuarantined(staging, grants);
  expect(staging.quarantine).toContain('production');
  expect((await production.rejectAccessToken(grants.strict.key, 1)).generation).toBe(2);
  const unnamed = await open('home');
  expect(unnamed.quarantine).toBeNull();
  await staging.adopt();
  await bench.jump(700_000);
  expect((await staging.rejectAccessToken(grants.strict.key, 2)).generation).toBe(3);
  await bench.jump(700_000);
  expect(await codeOf(production.rejectAccessToken(grants.strict.key, 3))).toBe('grant_quarantined');
});

it('an open vault notices within seconds that another process has adopted its database', async () => {
  const original = await open('home');
  const { strict } = await connectTwo(original);
  await original.close();
  cpSync(join(directory, 'home'), join(directory, 'copy'), { recursive: true });
  const server = await open('copy');
  expect(await codeOf(server.rejectAccessToken(strict.key, 1))).toBe('grant_quarantined');
  expect((await server.grants.get(strict.key))?.state).toBe('quarantined');
  await (await open('copy')).adopt();
  await bench.pass(3_000);
  expect((await server.grants.get(strict.key))?.state).toBe('active');
  expect(server.quarantine).toBeNull();
  expect((await server.rejectAccessToken(strict.key, 1)).generation).toBe(2);
});

it('an open vault spends nothing after another process has quarantined its database', async () => {
  const vault = await open('home');
  const { strict } = await connectTwo(vault);
  const store = await openStore({ database: `sqlite:${join(directory, 'home', 'grantry.db')}`, world: world() });
  await store.db.updateTable('grantry_instance').set({ quarantined_reason: 'Found by another process.' }).execute();
  await store.close();
  expect(await codeOf(vault.rejectAccessToken(strict.key, 1))).toBe('grant_quarantined');
  expect(bench.requests()).toEqual([]);
});

it('a commit of another process between two checks is no sign of an older copy', async () => {
  const vault = await open('home');
  const { strict } = await connectTwo(vault);
  const store = await openStore({ database: `sqlite:${join(directory, 'home', 'grantry.db')}`, world: world() });
  const instance = await readInstance(store.db);
  if (instance === undefined) throw new Error('there is no instance');
  await vault.rejectAccessToken(strict.key, 1);
  await vault.close();
  const marks = new HighWaterMarks(join(directory, 'home'), 'nonce');
  expect(marks.read(instance.vault_id)?.event?.id).not.toBe(instance.newest?.id);
  const guard = await Guard.open({
    store,
    write: (run) => store.transaction((tx) => run({ tx, recordOther: () => {} })),
    marks,
    instance,
    installation: null,
    logger: silentLogger,
    monotonic: () => 0,
    now: () => 0,
    spoolKeptMs: 0,
    recheckMs: 2_000,
  });
  expect(guard.reason).toBeNull();
  await store.close();
});

/** Overwrites the current file with an older one. */
function putBack(backup: string, path: string): void {
  copyFileSync(backup, path);
  for (const log of ['-wal', '-shm']) rmSync(`${path}${log}`, { force: true });
}

interface Two {
  readonly none: Awaited<ReturnType<Bench['connect']>>;
  readonly strict: Awaited<ReturnType<Bench['connect']>>;
}

/** Connects two grants. The one with rotation comes first by name. */
async function connectTwo(vault: Vault): Promise<Two> {
  const strict = await bench.connect(vault, { tenant: 'acme', provider: 'strict', expiresIn: 3_600 });
  const none = await bench.connect(vault, { tenant: 'zebra', provider: 'none', expiresIn: 3_600 });
  return { none, strict };
}

/** Expects that valid tokens are read, and that no token request, deletion or disconnect happens. */
async function expectQuarantined(vault: Vault, { none, strict }: Two): Promise<void> {
  expect(vault.quarantine).not.toBeNull();
  const before = bench.simulator.history.events().length;
  for (const { key, minted } of [none, strict]) {
    const token = await vault.getAccessToken(key);
    expect(token.accessToken).toBe(minted.accessToken);
    expect(await codeOf(vault.rejectAccessToken(key, token.generation))).toBe('grant_quarantined');
    expect(await codeOf(vault.disconnect(key))).toBe('grant_quarantined');
    expect(await codeOf(vault.recover(key))).toBe('grant_quarantined');
    expect(await vault.grants.get(key)).toMatchObject({ state: 'quarantined', generation: token.generation });
  }
  expect((await vault.grants.list({ state: 'quarantined' })).items).toHaveLength(2);
  expect((await vault.grants.list({ state: 'active' })).items).toEqual([]);
  expect(bench.simulator.history.events()).toHaveLength(before);
}

async function expectAdoptable(vault: Vault, { none, strict }: Two): Promise<void> {
  const before = bench.requests().length;
  const told: AdoptReport[] = [];
  await vault.adopt({ onReport: (report) => void told.push(report) });
  expect(vault.quarantine).toBeNull();
  expect(told.map(({ tenant, outcome }) => [tenant, outcome])).toEqual([
    ['zebra', 'refreshed'],
    ['acme', 'not_probed'],
  ]);
  expect(bench.requests()).toHaveLength(before + 1);
  const probed = await vault.adopt({ afterRestore: true });
  expect(probed.map(({ tenant, outcome }) => [tenant, outcome])).toEqual([
    ['zebra', 'refreshed'],
    ['acme', 'refreshed'],
  ]);
  for (const key of [none.key, strict.key]) await refreshes(vault, key);
}

async function refreshes(vault: Vault, key: GrantKey): Promise<void> {
  // A younger token would count as just refreshed.
  await bench.jump(700_000);
  const { generation } = await vault.getAccessToken(key);
  expect((await vault.rejectAccessToken(key, generation)).generation).toBe(generation + 1);
}

async function open(home: string, database?: string, options: { installation?: string } = {}): Promise<Vault> {
  const path = join(directory, home);
  mkdirSync(path, { recursive: true });
  const { vault } = await bench.open({
    home: path,
    spool: join(path, 'spool'),
    database: database ?? `sqlite:${join(path, 'grantry.db')}`,
    rootKey: `file:${join(directory, 'root.key')}`,
    ...options,
  });
  return vault;
}

function world(): TestWorld {
  return new TestWorld(bench.simulator, bench.clock);
}

/** Copies the rows into another database, as a dump that is restored elsewhere. */
async function copyOf(database: string): Promise<{ database: string; drop(): Promise<void> }> {
  const server = await postgresUrl();
  const url = new URL(database);
  const name = `${url.pathname.slice(1)}_copy`;
  await administer(server, `create database ${name} template ${url.pathname.slice(1)}`);
  url.pathname = `/${name}`;
  return { database: url.href, drop: () => administer(server, `drop database ${name} with (force)`) };
}
