/**
 * Failures of PostgreSQL: a primary that ends, a standby that is promoted without the last commits, and a server that
 * restarts under load.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, until } from '../../../test/support/bench.ts';
import { type PostgresPair, startPair } from '../../../test/support/postgres-pair.ts';
import { startPostgres } from '../../../test/support/postgres-server.ts';
import { Wire } from '../../../test/support/wire.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { openVault } from '../open.ts';
import type { Vault } from '../types.ts';

const profiles = ['none', 'timed_overlap', 'retire_on_use', 'strict', 'strict_revokes_family'];

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

it('a promoted standby without the last commits is no clone, and gets them back from the spool', async () => {
  const { bench, pair, wire, home } = await makePair();
  const vault = await open(bench, wire.database, home);
  const grants = await Promise.all(profiles.map((provider) => bench.connect(vault, { provider, expiresIn: 3_600 })));
  await pair.waitForStandby();
  await pair.pauseReplay();
  for (const { key } of grants) expect((await vault.rejectAccessToken(key, 1)).generation).toBe(2);
  const spent = bench.requests().length;

  wire.cut();
  await pair.promote();
  wire.point(pair.standby);
  wire.mend();

  for (const { key, minted } of grants) {
    // The database has generation 1 again. Most of these providers count its refresh token as spent.
    await until(() => vault.getAccessToken(key).then(Boolean, () => false), 'the database');
    await bench.jump(4_000_000);
    const { generation } = await vault.getAccessToken(key);
    expect(generation).toBeGreaterThanOrEqual(2);
    expect((await vault.grants.get(key))?.state).toBe('active');
    expect(bench.simulator.family(minted.family)?.revoked).toBeNull();
  }
  expect(vault.quarantine).toBeNull();
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
  expect(bench.requests().length).toBeGreaterThan(spent);

  // A server with an empty home joins. A server that still talks to the old primary does not.
  const other = await open(bench, wire.database, join(home, 'other'));
  expect(other.quarantine).toBeNull();
  await vault.close();
  const stray = await open(bench, pair.primary, home);
  expect(stray.quarantine).toContain('old primary');
  expect(await codeOf(stray.rejectAccessToken(grants[3]?.key ?? { tenant: '', provider: '' }, 2))).toBe(
    'grant_quarantined',
  );
});

it('a vault that opens after the failover restores the lost commits before it spends a token', async () => {
  const { bench, pair, wire, home } = await makePair();
  const before = await open(bench, wire.database, home);
  const { key, minted } = await bench.connect(before, { provider: 'strict_revokes_family', expiresIn: 3_600 });
  await pair.waitForStandby();
  await pair.pauseReplay();
  await before.rejectAccessToken(key, 1);
  await before.close();
  wire.cut();
  await pair.promote();
  wire.point(pair.standby);
  wire.mend();
  const vault = await open(bench, wire.database, home);
  expect(vault.quarantine).toBeNull();
  await bench.jump(4_000_000);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  expect(bench.simulator.family(minted.family)?.revoked).toBeNull();
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
});

it('a start that fails after the failover leaves the lost commits to the next start', async () => {
  const { bench, pair, wire, home } = await makePair();
  const before = await open(bench, wire.database, home);
  const { key, minted } = await bench.connect(before, { provider: 'strict_revokes_family', expiresIn: 3_600 });
  await pair.waitForStandby();
  await pair.pauseReplay();
  await before.rejectAccessToken(key, 1);
  await before.close();
  wire.cut();
  await pair.promote();
  wire.point(pair.standby);
  wire.mend();
  const spool = join(home, 'spool');
  renameSync(spool, `${spool}.away`);
  writeFileSync(spool, 'a disk that is not mounted yet');
  expect(await codeOf(open(bench, wire.database, home))).toBe('storage_unavailable');
  rmSync(spool);
  renameSync(`${spool}.away`, spool);
  const vault = await open(bench, wire.database, home);
  await bench.jump(4_000_000);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  expect(bench.simulator.family(minted.family)?.revoked).toBeNull();
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
});

it('a PostgreSQL that stops and starts under load costs no grant', async () => {
  const server = await startPostgres();
  closing.push(() => server.remove());
  const bench = await makeBench({ profiles });
  closing.push(() => bench[Symbol.asyncDispose]());
  const home = scratchHome();
  const vault = await open(bench, server.url, home);
  const grants = [];
  for (const provider of profiles) {
    for (let each = 0; each < 4; each += 1) {
      grants.push(await bench.connect(vault, { tenant: `t${each}`, provider, expiresIn: 3_600 }));
    }
  }
  bench.simulator.faults.add({ endpoint: 'token', times: 1_000, effect: { kind: 'delay', ms: 300, when: 'after' } });
  const calls = grants.map(({ key }) => vault.rejectAccessToken(key, 1).catch(() => null));
  await until(() => bench.requests().length >= 10, 'requests under way');
  await server.stop();
  await new Promise((resolve) => setTimeout(resolve, 500));
  await server.start();
  await Promise.all(calls);
  bench.simulator.faults.clear();
  for (const { key, minted } of grants) {
    await until(() => isRefreshed(bench, vault, key), `${key.tenant} at ${key.provider}`);
    expect(bench.simulator.family(minted.family)?.revoked).toBeNull();
  }
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
});

async function isRefreshed(bench: Bench, vault: Vault, key: { tenant: string; provider: string }): Promise<boolean> {
  const grant = await vault.grants.get(key).catch(() => null);
  if (grant?.state === 'reauthorization_required') throw new Error(`${key.provider} was lost`);
  if (grant?.generation === 2 && grant.state === 'active') return true;
  await bench.jump(500);
  await vault.rejectAccessToken(key, 1).catch(() => {});
  return false;
}

async function makePair(): Promise<{ bench: Bench; pair: PostgresPair; wire: Wire; home: string }> {
  const pair = await startPair();
  closing.push(() => pair.remove());
  const bench = await makeBench({ profiles });
  closing.push(() => bench[Symbol.asyncDispose]());
  const wire = await Wire.to(pair.primary);
  closing.push(() => wire[Symbol.asyncDispose]());
  return { bench, pair, wire, home: scratchHome() };
}

function scratchHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'grantry-failover-'));
  closing.push(async () => rmSync(home, { recursive: true, force: true }));
  return home;
}

async function open(bench: Bench, database: string, home: string): Promise<Vault> {
  const vault = await openVault({
    database,
    home,
    rootKey: `file:${join(bench.home, 'root.key')}`,
    spool: join(home, 'spool'),
    providers: bench.providers,
    unsafeAllowLoopbackProviders: 'simulated providers may listen on loopback ports',
    world: new TestWorld(bench.simulator, bench.clock),
  });
  closing.push(() => vault.close());
  return vault;
}
