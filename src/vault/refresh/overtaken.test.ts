/** Holders that die or come late: what the next holder finds, and what the late one may still say. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, until } from '../../../test/support/bench.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import type { FaultEffect } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import { refreshGrant } from './refresh.ts';

const refusal: FaultEffect = { kind: 'error', error: 'invalid_grant' };

describe('a holder that dies', () => {
  it('before it renews its lease is replaced within seconds, where a replay is harmless', async () => {
    await using bench = await makeBench({ profiles: ['retire_on_use'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'retire_on_use' });
    await dieInRefresh(bench, key);
    await bench.jump(4_100);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  });

  it('leaves no doubt where tokens do not rotate', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'none' });
    await dieInRefresh(bench, key);
    await bench.jump(4_100);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(await bench.events(key)).toEqual(['stored', 'refreshed']);
  });

  it('while it confirms a refusal adds no doubt to the one that is there', async () => {
    await using bench = await makeBench({ profiles: ['retire_on_use'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'retire_on_use' });
    bench.simulator.faults.add({ endpoint: 'token', effect: refusal });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(31_000);
    await dieInRefresh(bench, key);
    await bench.jump(4_100);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(await bench.events(key)).toEqual(['stored', 'suspect', 'refreshed']);
  });
});

describe('a holder that was overtaken', () => {
  it.each([
    ['a refusal', refusal],
    ['a lost answer', { kind: 'reset', when: 'before' }],
    ['a page', { kind: 'html', when: 'before' }],
    ['a failure', { kind: 'status', status: 503, when: 'before' }],
    ['a throttle', { kind: 'status', status: 429, when: 'before' }],
  ] as const)('decides nothing by %s, and hands out the newer token', async (_, effect) => {
    await using bench = await makeBench({ profiles: ['retire_on_use'] });
    const late = await bench.open();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'retire_on_use' });
    bench.simulator.faults.add({ endpoint: 'token', effect });
    late.world.onSend = () => late.world.freeze();
    const asked = late.vault.getAccessToken(key).then(
      ({ generation }) => generation,
      () => 'no token',
    );
    await until(() => bench.requests().length === 1, 'the request');
    await bench.jump(4_100);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    late.world.onSend = () => {};
    late.world.thaw();
    expect(await asked).toBe(2);
    expect((await bench.row(key)).state).toBe('active');
    expect(await bench.events(key)).toEqual(['stored', 'uncertain', 'refreshed']);
  });

  it('reads the row once more after its own deadline', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const late = await bench.open();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'before' } });
    late.world.onSend = () => late.world.freeze();
    const asked = refreshGrant(internalsOf(late.vault).open(), checkKey(key), 1);
    await until(() => bench.requests().length === 1, 'the request');
    await bench.jump(121_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    late.world.onSend = () => {};
    late.world.thaw();
    await expect(asked).resolves.toBeUndefined();
  });

  it('tells the state that others found meanwhile', async () => {
    await using bench = await makeBench({ profiles: ['retire_on_use'] });
    const late = await bench.open();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'retire_on_use' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'before' } });
    late.world.onSend = () => late.world.freeze();
    const asked = codeOf(late.vault.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    await vault.disconnect(key);
    late.world.onSend = () => {};
    late.world.thaw();
    expect(await asked).toBe('grant_not_found');
  });

  it('rejects no candidate by a refusal: it is tried again', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const late = await bench.open();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const odd: FaultEffect = { kind: 'patch', set: { error: 'warming_up' } };
    const lost: FaultEffect = { kind: 'reset', when: 'before' };
    for (const effect of [odd, refusal, refusal, lost]) bench.simulator.faults.add({ endpoint: 'token', effect });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(31_000);
    late.world.onSend = () => late.world.freeze();
    void late.vault.getAccessToken(key).catch(() => {});
    await until(() => bench.requests().length === 3, 'the late refusal');
    await bench.jump(121_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    late.world.thaw();
    const refusals = () => bench.judge.db.selectFrom('grantry_attempts').where('outcome', '=', 'refused');
    await until(async () => (await refusals().select('id').execute()).length === 2, 'the record of the late refusal');
    await bench.jump(121_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
  });
});

/** Another process claims a grant, and dies before its answer comes. */
async function dieInRefresh(bench: Bench, key: GrantKey): Promise<void> {
  const killed = await bench.open();
  const before = bench.requests().length;
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'hang', when: 'before' } });
  void killed.vault.getAccessToken(key).catch(() => {});
  await until(() => bench.requests().length > before, 'the request');
  await bench.crash(killed);
}
