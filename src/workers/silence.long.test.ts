/** Connections that fall silent after the provider has acted: inside an overlap the replay must come in time. */
import { expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, until } from '../../test/support/bench.ts';
import { timesOf } from '../base/limits.ts';
import { builtInProfile } from '../simulator/index.ts';
import { startWorkers } from './workers.ts';

const silence = { endpoint: 'token', effect: { kind: 'delay', ms: 3_600_000, when: 'after' } } as const;

it.each([...[15, 20, 30, 60, 80, 95, 120].map((seconds) => ['sqlite', seconds] as const), ['postgres', 30] as const])(
  'on %s, an overlap of %i s heals while the connection to the provider is silent',
  async (kind, overlapSeconds) => {
    const profile = builtInProfile('timed_overlap', { rotation: { overlapSeconds, reuse: 'revokes_family' } });
    await using bench = await makeBench({ kind, profiles: [profile] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'timed_overlap' });
    bench.simulator.faults.add(silence);
    const workers = startWorkers(vault);
    vault.getAccessToken(key).catch(() => {});
    await until(() => bench.requests().length === 1, 'the request');
    await bench.pass(overlapSeconds * 1_000, () => bench.requests().length > 1);
    await until(async () => (await bench.row(key)).generation === 2, 'the tokens');
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    const stopped = workers.stop();
    await bench.jump(10_000);
    await stopped;
  },
);

it.each(databaseKinds)('on %s, a slow provider without rotation is given more time with each try', async (kind) => {
  await using bench = await makeBench({ kind, profiles: ['none'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'none' });
  bench.simulator.faults.add({ endpoint: 'token', times: 9, effect: { kind: 'delay', ms: 50_000, when: 'after' } });
  const first = codeOf(vault.getAccessToken(key));
  await until(() => bench.requests().length === 1, 'the request');
  await bench.pass(31_000);
  expect(await first).toBe('provider_unavailable');
  await bench.jump(3_000);
  vault.getAccessToken(key).catch(() => {});
  await until(() => bench.requests().length === 2, 'the second request');
  await bench.pass(51_000);
  await until(async () => (await bench.row(key)).generation === 2, 'the tokens');
  expect(bench.requests()).toHaveLength(2);
});

it('no deadline is longer than the leases allow for', () => {
  const times = timesOf({});
  expect(times.replayRoomMs).toBeLessThanOrEqual(times.quickOverlapMinMs);
  expect(times.callerWaitMs).toBeLessThanOrEqual(times.answerDeadlineMs);
});
