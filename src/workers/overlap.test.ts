/** Tests that a lost answer is requested again while the provider's overlap lasts, in spite of other failures. */
import { expect, it, vi } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, settled, until } from '../../test/support/bench.ts';
import { GrantryError } from '../base/errors.ts';
import { checkKey } from '../base/ids.ts';
import { builtInProfile } from '../simulator/index.ts';
import { findGrant } from '../storage/statements/grants.ts';
import { internalsOf } from '../vault/internals.ts';
import { claimDue } from '../vault/upkeep/upkeep.ts';
import { startWorkers } from './workers.ts';

it.each(databaseKinds)('another process replaces a killed holder without a caller, on %s', async (kind) => {
  await using bench = await makeBench({ kind, profiles: ['timed_overlap'] });
  const holder = await bench.open();
  const other = await bench.open();
  // The token is fresh for an hour, so without the lost answer no worker would touch it earlier.
  const { key } = await bench.connect(holder.vault, { provider: 'timed_overlap', expiresIn: 3_600 });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
  codeOf(holder.vault.rejectAccessToken(key, 1)).catch(() => {});
  await until(() => bench.requests().length === 1, 'the request');
  await bench.crash(holder);
  const workers = startWorkers(other.vault);
  await pass(bench, 20_000);
  expect(bench.requests()).toHaveLength(2);
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2, overlap_until: null });
  await workers.stop();
});

it('a worker that dies while it holds an uncertain grant delays it by seconds only', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await bench.jump(3_000);
  // Claims as a worker does that is killed right afterwards.
  const room = { limit: 1, exceptProviders: [] };
  expect(await claimDue(internalsOf(vault).open(), { pressing: room, usual: room })).toHaveLength(1);
  const workers = startWorkers(vault);
  await pass(bench, 20_000);
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
  await workers.stop();
});

it('a worker whose database fails after its claim tries again before the claim ends', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await bench.jump(3_000);
  const refreshes = vi.spyOn(internalsOf(vault).handOut, 'refresh');
  refreshes.mockRejectedValueOnce(new GrantryError('storage_unavailable', 'The database is away.'));
  const workers = startWorkers(vault);
  await pass(bench, 8_000);
  expect(refreshes.mock.calls.length).toBeGreaterThan(1);
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
  await workers.stop();
});

it('the back-off after repeated losses ends before the overlap does', async () => {
  const profile = builtInProfile('timed_overlap', { rotation: { overlapSeconds: 20 } });
  await using bench = await makeBench({ profiles: [profile] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
  bench.simulator.faults.add({ endpoint: 'token', times: 4, effect: { kind: 'reset', when: 'after' } });
  const endsAt = bench.clock.now() + 19_000;
  while (bench.clock.now() < endsAt && (await bench.row(key)).generation === 1) {
    await vault.getAccessToken(key).catch(() => {});
    await bench.jump(500);
  }
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
  expect(bench.requests()).toHaveLength(5);
});

it('the first request that arrives begins a new overlap, however long others failed before', async () => {
  const profile = builtInProfile('timed_overlap', { rotation: { overlapSeconds: 30 } });
  await using bench = await makeBench({ profiles: [profile] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
  bench.simulator.faults.add({ endpoint: 'token', times: 7, effect: { kind: 'reset', when: 'before' } });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  for (let seconds = 0; seconds < 300 && (await bench.row(key)).generation === 1; seconds += 1) {
    await vault.getAccessToken(key).catch(() => {});
    await bench.jump(1_000);
  }
  expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
  expect(bench.requests()).toHaveLength(9);
});

it('a throttle without Retry-After does not outlast the overlap', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'throttle' } });
  await bench.jump(3_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('provider_throttled');
  await bench.jump(30_000);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
});

it('an open breaker does not delay a request with a deadline', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await bench.jump(2_600);
  bench.simulator.faults.add({
    endpoint: 'token',
    times: 100,
    effect: { kind: 'status', status: 503, when: 'before' },
  });
  const codes: string[] = [];
  for (let each = 0; each < 9; each += 1) {
    const other = await bench.connect(vault, { tenant: `t${each}`, provider: 'timed_overlap' });
    codes.push(await codeOf(vault.getAccessToken(other.key)));
  }
  expect(codes.at(-1)).toBe('provider_unavailable');
  bench.simulator.faults.clear();
  expect((await vault.getAccessToken(key)).generation).toBe(2);
});

it('after the overlap the vault tries the stored successor, not the spent token', async () => {
  await using bench = await makeBench({ profiles: ['overlap_newest_only'] });
  const slow = await bench.open();
  const other = await bench.open();
  const { key, minted } = await bench.connect(slow.vault, { provider: 'overlap_newest_only' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
  const late = codeOf(slow.vault.getAccessToken(key));
  await until(() => bench.requests().length === 1, 'the request');
  slow.world.freeze();
  await bench.jump(5_000);
  // The second request never reaches the provider.
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'before' } });
  expect(await codeOf(other.vault.getAccessToken(key))).toBe('refresh_uncertain');
  slow.world.offline = true;
  slow.world.thaw();
  expect(await late).toBe('provider_unavailable');
  // No process asks until the overlap is over and no answer of the second request can still arrive.
  await bench.jump(110_000);
  expect((await other.vault.getAccessToken(key)).generation).toBe(2);
  expect(bench.simulator.family(minted.family)?.revoked).toBe(null);
});

it.each(databaseKinds)('a process that read the row before a suspicion does not confirm it, on %s', async (kind) => {
  await using bench = await makeBench({ kind, profiles: [builtInProfile('timed_overlap')] });
  const one = await bench.open();
  const other = await bench.open();
  const { key } = await bench.connect(one.vault, { provider: 'timed_overlap' });
  bench.simulator.faults.add({ endpoint: 'token', times: 2, effect: { kind: 'error', error: 'invalid_grant' } });
  const { planRefresh } = await import('../vault/refresh/plan.ts');
  const { claimRefresh } = await import('../vault/refresh/claim.ts');
  const context = internalsOf(other.vault).open();
  const row = await findGrant(context.store.db, checkKey(key));
  if (row === undefined) expect.unreachable();
  const plan = await planRefresh(context, row);
  if (plan === 'look_again') expect.unreachable();
  // Meanwhile the other process is refused.
  expect(await codeOf(one.vault.getAccessToken(key))).toBe('refresh_uncertain');
  expect((await bench.row(key)).state).toBe('suspect');
  expect(await claimRefresh(context, plan)).toBe('taken');
  await plan.slot.discard();
});

/** Advances the clock in steps, so that workers look at each. */
async function pass(bench: Bench, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    await bench.jump(1_000);
    await settled(6);
  }
}
