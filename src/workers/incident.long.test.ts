/** Incidents of a provider: it fails, then refuses every grant by mistake. No grant may be given up. */
import { expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, settled } from '../../test/support/bench.ts';
import type { GrantKey } from '../base/ids.ts';
import type { FaultEffect } from '../simulator/index.ts';
import { startWorkers } from './workers.ts';

type Vault = Awaited<ReturnType<Bench['open']>>['vault'];

const unavailable: FaultEffect = { kind: 'status', status: 503, when: 'before' };
const unanswered: FaultEffect = { kind: 'reset', when: 'before' };
const mistake: FaultEffect = { kind: 'error', error: 'invalid_grant' };
const strictOnes = ['strict', 'strict_revokes_family'] as const;

it.each(strictOnes.flatMap((id) => [unavailable, unanswered].map((loss) => ({ id, loss, kind: loss.kind }))))(
  'one mistaken refusal after a lost answer ($kind) is looked at again, at $id',
  async ({ id, loss }) => {
    await using bench = await makeBench({ profiles: [id] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: id });
    bench.simulator.faults.add({ endpoint: 'token', effect: loss });
    bench.simulator.faults.add({ endpoint: 'token', effect: mistake });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(125_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect((await bench.row(key)).state).toBe('suspect');
    await bench.jump(31_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  },
);

it.each(['strict', 'strict_revokes_family', 'retire_on_use', 'timed_overlap'] as const)(
  'no grant is given up while %s fails once and then refuses all grants for ten minutes',
  async (id) => {
    await using bench = await makeBench({ profiles: [id] });
    const { vault } = await bench.open();
    const keys: GrantKey[] = [];
    for (let each = 0; each < 12; each += 1) {
      keys.push((await bench.connect(vault, { provider: id, tenant: `t${each}` })).key);
    }
    const all = (run: (key: GrantKey) => Promise<unknown>) => Promise.all(keys.map(run));
    const states = async () => new Set(await all(async (key) => (await bench.row(key)).state));
    bench.simulator.faults.add({ endpoint: 'token', times: 12, effect: unavailable });
    await all((key) => codeOf(vault.getAccessToken(key)));
    bench.simulator.faults.clear();
    bench.simulator.faults.add({ endpoint: 'token', forMs: 600_000, effect: mistake });
    for (let passed = 0; passed < 10; passed += 1) {
      await bench.jump(60_000);
      await all((key) => vault.getAccessToken(key).catch(() => {}));
      expect(await states()).not.toContain('reauthorization_required');
    }
    await bench.jump(151_000);
    for (const key of keys) expect((await vault.getAccessToken(key)).generation).toBe(2);
  },
);

it.each(databaseKinds)(
  'a grant that an incident condemned gets its second chance where a replay revokes the family, on %s',
  async (kind) => {
    const id = 'strict_revokes_family';
    await using bench = await makeBench({ kind, profiles: [id] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: id });
    bench.simulator.faults.add({ endpoint: 'token', effect: unanswered });
    bench.simulator.faults.add({ endpoint: 'token', times: 2, effect: mistake });
    await askUntil(bench, vault, key, 'reauthorization_required');
    expect((await bench.row(key)).reason).toBe('lost_rotation');
    const workers = startWorkers(vault);
    for (let minutes = 0; minutes < 11 && (await bench.row(key)).generation === 1; minutes += 1) {
      await bench.jump(60_000);
      await settled(8);
    }
    expect(await bench.row(key)).toMatchObject({ state: 'active', generation: 2 });
    await workers.stop();
  },
);

it.each(strictOnes)('a gateway that waits no longer leaves the lease in place, at %s', async (id) => {
  await using bench = await makeBench({ profiles: [id] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: id });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'status', status: 504, when: 'before' } });
  await codeOf(vault.getAccessToken(key));
  await bench.jump(100_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  expect(bench.requests()).toHaveLength(1);
  await bench.jump(21_000);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
});

it('the same holds where the definition forbids a replay, and the grant is not given up', async () => {
  await using bench = await makeBench({
    profiles: ['strict_revokes_family'],
    change: (each) => ({ ...each, refreshToken: { ...each.refreshToken, replayAfterLoss: false } }),
  });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'strict_revokes_family' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'status', status: 504, when: 'before' } });
  expect(await codeOf(vault.getAccessToken(key))).toBe('provider_unavailable');
  await bench.jump(100_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('provider_unavailable');
  expect(bench.requests()).toHaveLength(1);
  await bench.jump(21_000);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
});

/** Asks once in half a minute, until the grant is in that state. */
async function askUntil(bench: Bench, vault: Vault, key: GrantKey, state: string): Promise<void> {
  for (let tries = 0; tries < 12 && (await bench.row(key)).state !== state; tries += 1) {
    await vault.getAccessToken(key).catch(() => {});
    await bench.jump(31_000);
  }
  expect((await bench.row(key)).state).toBe(state);
}
