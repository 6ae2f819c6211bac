/** Condemned grants, and providers that refuse many: what the workers try again, and when it ends. */
import { afterEach, describe, expect, it } from 'vitest';
import { codeOf } from '../../test/support/bench.ts';
import { condemn, day, endAll, hour, later, make, minute, pass, refuseAll, work } from '../../test/support/working.ts';
import { demoClient } from '../simulator/index.ts';

afterEach(endAll);

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

  it('is not brought back by a token that was replaced by hand, unless an operator asks for it', async () => {
    const { bench, vault } = await make({ profiles: ['strict'] });
    const { key } = await bench.connect(vault, { provider: 'strict' });
    const [clientId, user, scopes] = [demoClient.clientId, 'another', ['read']];
    const { refreshToken } = bench.simulator.mintTokens({ profile: 'strict', clientId, user, scopes });
    expect(await vault.storeTokens(key, { refreshToken })).toMatchObject({ result: 'replaced' });
    bench.simulator.revoke(refreshToken);
    await codeOf(vault.getAccessToken(key));
    await bench.jump(31_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
    await work(vault);
    const before = bench.requests().length;
    await later(bench, 11 * minute);
    expect(bench.requests()).toHaveLength(before + 1);
    expect(await bench.row(key)).toMatchObject({ state: 'reauthorization_required' });
    expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
  });

  it('has no new chances because the answer to one of them was lost', async () => {
    const { bench, vault, key } = await condemn('strict', 'revoked');
    const { condemned_at: condemnedAt } = await bench.row(key);
    await work(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
    await later(bench, 11 * minute);
    expect(await bench.row(key)).toMatchObject({ state: 'uncertain', reason: 'answer_lost' });
    // Refused after the lease, and once more after a pause.
    for (let passed = 0; passed < 3; passed += 1) await later(bench, 2 * minute);
    const row = await bench.row(key);
    expect(row).toMatchObject({ state: 'reauthorization_required', condemned_at: condemnedAt });
    const sent = bench.requests().length;
    await later(bench, 30 * minute);
    expect(bench.requests()).toHaveLength(sent);
    await later(bench, 15 * minute);
    expect(bench.requests()).toHaveLength(sent + 1);
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
