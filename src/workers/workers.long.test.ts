/** Tests workers on a clock that is moved: each case counts the requests that reached the provider. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import {
  type Bench,
  type BenchOptions,
  codeOf,
  databaseKinds,
  makeBench,
  until,
  whileLocked,
} from '../../test/support/bench.ts';
import { Wire } from '../../test/support/wire.ts';
import { benches, day, endAll, hour, later, make, minute, pass, work } from '../../test/support/working.ts';
import { type LogFields, silentLogger } from '../base/log.ts';
import { internalsOf } from '../vault/internals.ts';
import { claimDue, duties } from '../vault/upkeep/upkeep.ts';

afterEach(endAll);

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

function spooled(bench: Bench): number {
  return readdirSync(join(bench.home, 'spool')).filter((name) => name.endsWith('.answer')).length;
}
