/** Tests workers on a clock that is moved: each case counts the requests that reached the provider. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type Bench,
  type BenchOptions,
  codeOf,
  databaseKinds,
  makeBench,
  settled,
  until,
  whileLocked,
} from '../../test/support/bench.ts';
import { Wire } from '../../test/support/wire.ts';
import type { GrantKey } from '../base/ids.ts';
import { type LogFields, silentLogger } from '../base/log.ts';
import { internalsOf } from '../vault/internals.ts';
import type { VaultOptions } from '../vault/options.ts';
import type { Vault } from '../vault/types.ts';
import { claimDue, duties } from '../vault/upkeep/upkeep.ts';
import { startWorkers, type Workers } from './workers.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const benches: Bench[] = [];
const crews: Workers[] = [];
afterEach(async () => {
  for (const workers of crews.splice(0)) workers.stop().catch(() => {});
  await settled(20);
  for (const each of benches.splice(0)) await each[Symbol.asyncDispose]();
});

it('refreshes grants in use before a caller needs it, spread over time, and no others', async () => {
  const { bench, vault } = await make({ profiles: ['none'] });
  const tenants = Array.from({ length: 24 }, (_, index) => `t${index}`);
  const expiresAt = bench.clock.now() + hour;
  for (const tenant of tenants) await bench.connect(vault, { tenant, provider: 'none', expiresIn: 3_600 });
  const rows = await Promise.all(tenants.map((tenant) => bench.row({ tenant, provider: 'none' })));
  const dueAt = rows.map((row) => row.due_at ?? 0);
  // The early refresh begins five minutes before expiry, and the spread is another five minutes.
  for (const at of dueAt) {
    expect(at).toBeGreaterThan(expiresAt - 10 * minute - 5_000);
    expect(at).toBeLessThan(expiresAt - 5 * minute + 30_000);
  }
  expect(new Set(dueAt.map((at) => Math.floor(at / 30_000))).size).toBeGreaterThan(4);

  const used = tenants.slice(0, 12);
  // Twice: the vault does not cache a token that it reads during a change poll, and only notes use of cached tokens.
  for (const tenant of [...used, ...used]) await vault.getAccessToken({ tenant, provider: 'none' });
  // The vault records once a minute which grants are in use.
  await pass(bench, 70_000);
  await work(vault);
  await bench.jump(48 * minute);
  await pass(bench, 8 * minute);
  expect(bench.requests()).toHaveLength(12);
  for (const tenant of used) expect((await bench.row({ tenant, provider: 'none' })).generation).toBe(2);
  for (const tenant of tenants.slice(12)) {
    expect(await bench.row({ tenant, provider: 'none' })).toMatchObject({ generation: 1, due_at: null });
  }
});

it('refreshes an idle grant after half of its refresh token’s idle lifetime, and no other', async () => {
  const idle: BenchOptions['change'] = (each) =>
    each.id === 'strict'
      ? { ...each, refreshToken: { ...each.refreshToken, rotation: 'strict', idleSeconds: (60 * day) / 1_000 } }
      : each;
  const { bench, vault } = await make({ profiles: ['strict', 'none'], change: idle });
  const { key } = await bench.connect(vault, { provider: 'strict', expiresIn: 1_800 });
  await bench.connect(vault, { provider: 'none', expiresIn: 1_800 });
  await work(vault);
  await later(bench, hour);
  await later(bench, 23 * day);
  expect(bench.requests()).toHaveLength(0);
  await later(bench, 8 * day);
  expect(bench.requests()).toHaveLength(1);
  expect((await bench.row(key)).generation).toBe(2);
  await later(bench, hour);
  await later(bench, 31 * day);
  expect(bench.requests()).toHaveLength(2);
});

it('confirms a suspected refusal after its delay, not later', async () => {
  const { bench, vault } = await make({ profiles: ['strict'] });
  const { key, minted } = await bench.connect(vault);
  await work(vault);
  bench.simulator.revoke(minted.refreshToken);
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await pass(bench, 25_000);
  expect(bench.requests()).toHaveLength(1);
  await pass(bench, 20_000);
  expect(await bench.row(key)).toMatchObject({ state: 'reauthorization_required', reason: 'refused' });
  expect(bench.requests()).toHaveLength(2);
});

it('resolves its own uncertain refresh inside the overlap in which the spent token still works', async () => {
  const { bench, vault } = await make({ profiles: ['timed_overlap'] });
  const { key } = await bench.connect(vault, { provider: 'timed_overlap', expiresIn: 3_600 });
  await vault.getAccessToken(key);
  await pass(bench, 70_000);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  await work(vault);
  await bench.jump(54 * minute);
  await until(() => bench.requests().length === 1, 'the lost request');
  await pass(bench, 30_000);
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
  expect(bench.requests()).toHaveLength(2);
});

it('handles uncertain grants first, however many others are due', async () => {
  const { bench, vault } = await make({ profiles: ['none'] });
  const rowsDue = async (tenant: string, state: 'active' | 'uncertain' | 'suspect', dueAt: number) => {
    await bench.connect(vault, { tenant, provider: 'none', expiresIn: 60 });
    const { id } = await bench.row({ tenant, provider: 'none' });
    const set = { state, due_at: dueAt, used_at: bench.clock.now() };
    await bench.judge.db.updateTable('oauth_tokens').set(set).where('id', '=', id).execute();
  };
  const now = bench.clock.now();
  for (let each = 0; each < 40; each += 1) await rowsDue(`a${each}`, 'active', now - hour);
  await rowsDue('doubtful', 'suspect', now - 1_000);
  await rowsDue('uncertain', 'uncertain', now - 1_000);
  const context = internalsOf(vault).open();
  const claimed = async (pressing: number, usual: number, exceptProviders: string[] = []) => {
    const room = { pressing: { limit: pressing, exceptProviders: [] }, usual: { limit: usual, exceptProviders } };
    return (await claimDue(context, room)).map((grant) => grant.client_id);
  };
  // A grant of a killed holder is due since its lease ended; all other grants have been due for longer.
  await rowsDue('left', 'active', now - 1_000);
  const { id } = await bench.row({ tenant: 'left', provider: 'none' });
  await bench.judge.db
    .updateTable('oauth_tokens')
    .set({ lease_owner: 'killed', lease_until: now - 1_000 })
    .where('id', '=', id)
    .execute();
  expect(await claimed(32, 2)).toEqual(['uncertain', 'left', 'doubtful', expect.any(String), expect.any(String)]);
  expect(new Set(await claimed(32, 40)).size).toBe(38);
  // The dead worker's claim delays its grants by two minutes, and grants in doubt by seconds.
  expect(await claimed(32, 32)).toEqual([]);
  await bench.jump(11_000);
  expect(await claimed(32, 32, ['none'])).toEqual(['uncertain', 'left', 'doubtful']);
  await bench.jump(121_000);
  expect(await claimed(1, 0)).toEqual(['uncertain']);
});

describe('a condemned grant', () => {
  it('gets a second chance after 10 minutes, and lives again when the incident is over', async () => {
    const { bench, vault, key } = await condemn('strict', 'false');
    await work(vault);
    await later(bench, 9 * minute);
    const before = bench.requests().length;
    bench.simulator.faults.clear();
    await later(bench, 2 * minute);
    expect(bench.requests()).toHaveLength(before + 1);
    expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
    expect(await bench.events(key)).toContain('revived');
  });

  it.each(['strict', 'strict_revokes_family'])('has three chances at %s, and is shredded after 30 days', async (id) => {
    const { bench, vault, key } = await condemn(id, 'revoked');
    await work(vault);
    const start = bench.requests().length;
    const chances = async (ms: number) => {
      await later(bench, ms);
      return bench.requests().length - start;
    };
    expect(await chances(9 * minute)).toBe(0);
    expect(await chances(2 * minute)).toBe(1);
    expect(await chances(45 * minute)).toBe(1);
    expect(await chances(10 * minute)).toBe(2);
    expect(await chances(22 * hour)).toBe(2);
    expect(await chances(2 * hour)).toBe(3);
    expect(await chances(28 * day)).toBe(3);
    expect((await bench.row(key)).refresh_token).not.toBeNull();
    expect(await chances(day)).toBe(3);
    expect(await bench.row(key)).toMatchObject({
      state: 'reauthorization_required',
      refresh_token: null,
      due_at: null,
    });
    expect(await bench.events(key)).toContain('shredded');
  });

  it('is not tried again if its answer was lost where a replay is forbidden, and is shredded after 30 days', async () => {
    const { bench, vault } = await make({
      profiles: ['strict_revokes_family'],
      change: (each) => ({ ...each, refreshToken: { ...each.refreshToken, replayAfterLoss: false } }),
    });
    const { key } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
    await codeOf(vault.getAccessToken(key));
    await bench.jump(121_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
    await work(vault);
    const start = bench.requests().length;
    for (const ms of [11 * minute, hour, day, 28 * day]) await later(bench, ms);
    expect((await bench.row(key)).refresh_token).not.toBeNull();
    await later(bench, 2 * day);
    expect(bench.requests()).toHaveLength(start);
    expect((await bench.row(key)).refresh_token).toBeNull();
  });
});

it('a condemned grant is kept for as many days as are asked for, and bad numbers are refused', async () => {
  const { bench, vault, key } = await condemn('strict_revokes_family', 'revoked', { condemnedKeptDays: 2 });
  await work(vault);
  await later(bench, day);
  expect((await bench.row(key)).refresh_token).not.toBeNull();
  await later(bench, 2 * day);
  expect((await bench.row(key)).refresh_token).toBeNull();
  for (const condemnedKeptDays of [0, 0.5, 3_651, Number.NaN]) {
    expect(await codeOf(bench.open({ condemnedKeptDays }))).toBe('invalid_request');
  }
});

describe('a provider that refuses many grants at once', () => {
  it('condemns none of them, and they live again when it is over', async () => {
    const { bench, vault, keys } = await refuseAll(10);
    await pass(bench, 20 * minute, 10_000);
    for (const key of keys)
      expect(await bench.row(key)).toMatchObject({ state: 'suspect', reason: 'verdicts_suspended' });
    bench.simulator.faults.clear();
    await pass(bench, 4 * minute, 10_000);
    for (const key of keys) expect((await bench.row(key)).state).toBe('active');
    expect(vault.quarantine).toBeNull();
  });

  it('condemns them when it lasts for more than an hour', async () => {
    const { bench, keys } = await refuseAll(6);
    await pass(bench, 50 * minute, 30_000);
    for (const key of keys) expect((await bench.row(key)).state).toBe('suspect');
    await pass(bench, 20 * minute, 30_000);
    for (const key of keys) expect((await bench.row(key)).state).toBe('reauthorization_required');
  });
});

it('revokes what was disconnected while the provider was down for an hour', async () => {
  const { bench, vault } = await make({ profiles: ['none'] });
  const { key, minted } = await bench.connect(vault, { provider: 'none' });
  bench.simulator.faults.add({
    endpoint: 'revoke',
    forMs: hour,
    effect: { kind: 'status', status: 503, when: 'before' },
  });
  expect(await vault.disconnect(key)).toEqual({ revocation: 'queued' });
  await work(vault);
  await pass(bench, 55 * minute, 10_000);
  expect(bench.simulator.isAlive(minted.refreshToken)).toBe(true);
  await pass(bench, 70 * minute, 10_000);
  expect(bench.simulator.isAlive(minted.refreshToken)).toBe(false);
  expect(await bench.judge.db.selectFrom('grantry_revocations').select('id').execute()).toEqual([]);
  expect(
    await bench.judge.db.selectFrom('grantry_tenant_keys').selectAll().where('tenant', '=', 'acme').execute(),
  ).toEqual([]);
});

it('commits an answer that a process left in the spool when it died', async () => {
  const { bench, vault } = await make({ profiles: ['strict'] });
  const dying = await bench.open();
  const { key } = await bench.connect(dying.vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 200, when: 'after' } });
  dying.vault.getAccessToken(key).catch(() => {});
  await until(() => bench.requests().length === 1, 'the request');
  await whileLocked(bench, async () => {
    await until(() => spooled(bench) === 1, 'the spooled answer');
    await bench.crash(dying);
  });
  await work(vault);
  await pass(bench, 20_000);
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
  expect(bench.requests()).toHaveLength(1);
});

it('have one pause at a time, however many tasks end beside one that hangs', async () => {
  const bench = await makeBench({ profiles: ['none'] });
  benches.push(bench);
  const world = bench.world();
  const { vault } = await bench.open({ world });
  const pauseMs = internalsOf(vault).open().times.workerPauseMs;
  let pauses = 0;
  let most = 0;
  const sleep = world.sleep.bind(world);
  world.sleep = async (ms, signal) => {
    const counted = ms === pauseMs ? 1 : 0;
    pauses += counted;
    most = Math.max(most, pauses);
    await sleep(ms, signal).finally(() => {
      pauses -= counted;
    });
  };
  const tenants = Array.from({ length: 12 }, (_, index) => `t${index}`);
  for (const tenant of tenants) await bench.connect(vault, { tenant, provider: 'none', expiresIn: 60 });
  const soon = { due_at: bench.clock.now() - 1_000, used_at: bench.clock.now() };
  await bench.judge.db.updateTable('oauth_tokens').set(soon).execute();
  for (const [index] of tenants.entries()) {
    bench.simulator.faults.add({
      endpoint: 'token',
      effect: { kind: 'delay', ms: 100 * (index + 1), when: 'after' },
    });
  }
  await work(vault);
  await until(() => bench.requests().length === tenants.length, 'every request');
  for (let passed = 0; passed < 1_300; passed += 100) await bench.jump(100);
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
  // One of the loop for due grants, and one of the loop of each duty.
  expect(most).toBe(1 + duties.length);
});

it('tell an outage once for each of their loops, however long it lasts', async () => {
  const { bench } = await make({ kind: 'postgres', profiles: ['none'] });
  await using wire = await Wire.to(bench.database);
  const told: string[] = [];
  const warn = (message: string, fields?: LogFields) => {
    // The pool tells of each connection that it loses.
    if (!message.startsWith('an idle')) told.push(`${message} ${fields?.['queue'] ?? ''}`);
  };
  const { vault } = await bench.open({ database: wire.database, logger: { ...silentLogger, warn } });
  const { key } = await bench.connect(vault, { provider: 'none' });
  await vault.getAccessToken(key);
  await work(vault);
  const queues = duties.map(({ queue }) => `the maintenance of a queue failed ${queue}`);
  const outage = async () => {
    told.length = 0;
    await wire.lose('refuse');
    await until(async () => {
      await pass(bench, 10_000);
      return told.filter((line) => line.startsWith('the maintenance')).length >= duties.length - 1;
    }, 'the warnings');
    await pass(bench, 60_000);
    expect(told.filter((line, index) => told.indexOf(line) !== index)).toEqual([]);
    // Without an unwritten outcome there is nothing to write.
    expect(told).toEqual(expect.arrayContaining(queues.filter((line) => !line.endsWith('outcomes'))));
    expect(told).toContain('the database cannot be watched for changes ');
    expect(told).toContain('workers cannot claim due grants ');
    wire.mend();
    await pass(bench, 60_000);
  };
  await outage();
  await outage();
});

it('keeps a committed answer for ten minutes, for a database that comes back without it, and removes it then', async () => {
  const { bench, vault } = await make({ profiles: ['strict'] });
  const { key } = await bench.connect(vault);
  await vault.getAccessToken(key);
  const names = () => readdirSync(join(bench.home, 'spool'), { recursive: true, encoding: 'utf8' });
  const saved = () => names().filter((name) => name.endsWith('.saved')).length;
  await work(vault);
  await later(bench, 9 * minute);
  expect(saved()).toBe(1);
  await later(bench, 2 * minute);
  expect(saved()).toBe(0);
});

it.each(databaseKinds)('refreshes each due grant once with workers in three processes, on %s', async (kind) => {
  const { bench, vault } = await make({ profiles: ['strict'], kind });
  const others = [(await bench.open()).vault, (await bench.open()).vault];
  const tenants = Array.from({ length: 40 }, (_, index) => `t${index}`);
  for (const tenant of tenants) await bench.connect(vault, { tenant, expiresIn: 3_600 });
  await bench.judge.db
    .updateTable('oauth_tokens')
    .set({ due_at: bench.clock.now() - 1_000, used_at: bench.clock.now() })
    .execute();
  const crew = await Promise.all([vault, ...others].map(work));
  await until(() => bench.requests().length >= 40, 'every grant');
  await pass(bench, 15_000);
  expect(bench.requests()).toHaveLength(40);
  expect(bench.simulator.history.duplicateSpends()).toEqual([]);
  expect(crew.reduce((sum, { counts }) => sum + counts.refreshed, 0)).toBe(40);
  expect(crew.reduce((sum, { counts }) => sum + counts.failed, 0)).toBe(0);
});

it('spends nothing while the database is quarantined, and removes nothing', async () => {
  const { bench, vault } = await make({ profiles: ['none'] });
  const { key } = await bench.connect(vault, { provider: 'none', expiresIn: 60 });
  await bench.judge.db.updateTable('oauth_tokens').set({ due_at: 0, used_at: bench.clock.now() }).execute();
  await bench.judge.db.updateTable('grantry_instance').set({ quarantined_reason: 'It is a copy.' }).execute();
  await work(vault);
  await pass(bench, 30_000);
  expect(bench.requests()).toEqual([]);
  await bench.judge.db.updateTable('grantry_instance').set({ quarantined_reason: null }).execute();
  // Grants that a worker claimed before it noticed the quarantine are due again after its pause.
  await pass(bench, 135_000, 5_000);
  expect((await bench.row(key)).generation).toBe(2);
});

async function make(options: BenchOptions, opening: VaultOptions = {}): Promise<{ bench: Bench; vault: Vault }> {
  const bench = await makeBench(options);
  benches.push(bench);
  return { bench, vault: (await bench.open(opening)).vault };
}

async function work(vault: Vault): Promise<Workers> {
  const workers = startWorkers(vault);
  crews.push(workers);
  await settled(10);
  return workers;
}

/** Advances the clock in steps, so that workers look at each. */
async function pass(bench: Bench, ms: number, stepMs = 2_500): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await bench.jump(Math.min(stepMs, ms - passed));
    await settled(4);
  }
}

/** Advances the clock at once, then in steps until the workers have done what came due. */
async function later(bench: Bench, ms: number): Promise<void> {
  await bench.jump(ms - 15_000);
  await pass(bench, 15_000);
  await settled(10);
}

/** Makes a provider refuse a grant's refresh token twice: because it is dead, or because of a continuing incident. */
async function condemn(
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

function refuse(bench: Bench): void {
  bench.simulator.faults.add({
    endpoint: 'token',
    times: 10_000,
    effect: { kind: 'error', error: 'invalid_grant' },
  });
}

async function refuseAll(count: number): Promise<{ bench: Bench; vault: Vault; keys: readonly GrantKey[] }> {
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

function spooled(bench: Bench): number {
  return readdirSync(join(bench.home, 'spool')).filter((name) => name.endsWith('.answer')).length;
}
