import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, until } from '../../../test/support/bench.ts';

const limited = { tokenLimit: { requests: 2, windowSeconds: 600 } };

it('tells a caller when there is room in the budget again', async () => {
  const one = { tokenLimit: { requests: 1, windowSeconds: 7_200 } };
  await using bench = await makeBench({ profiles: ['none'], change: (each) => ({ ...each, ...one }) });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'none' });
  await vault.getAccessToken(key);
  const waitMs = async (): Promise<number> =>
    vault.getAccessToken(key).then(
      () => 0,
      (error: { retryAfterMs?: number }) => error.retryAfterMs ?? 0,
    );
  await bench.jump(3_700_000);
  const early = await waitMs();
  expect(early).toBeGreaterThan(3_400_000);
  expect(early).toBeLessThanOrEqual(3_500_000);
});

it('a probe that the budget has no room for tells of the failure that it would probe', async () => {
  const few = { tokenLimit: { requests: 4, windowSeconds: 600 } };
  await using bench = await makeBench({ profiles: ['none'], change: (each) => ({ ...each, ...few }) });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'none' });
  bench.simulator.faults.add({ endpoint: 'token', times: 99, effect: { kind: 'status', status: 503, when: 'before' } });
  for (let tries = 0; tries < 4; tries += 1) {
    expect(await codeOf(vault.getAccessToken(key))).toBe('provider_unavailable');
    await bench.jump(5_500);
  }
  // The fourth call found the back-off, and half of the budget is for calls that wait for none.
  expect(bench.requests()).toHaveLength(3);
});

describe.each(databaseKinds)('the token budget on %s', (kind) => {
  it('is shared by all processes and all grants with the same refresh token', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'], change: (each) => ({ ...each, ...limited }) });
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key, minted } = await bench.connect(one, { provider: 'none' });
    const twin = { tenant: 'twin', provider: 'none' };
    const { sharedWith } = await one.storeTokens(twin, { refreshToken: minted.refreshToken });
    expect(sharedWith).toEqual([{ tenant: 'acme', provider: 'none', account: 'default' }]);
    const { accessToken } = await one.getAccessToken(key);
    await other.getAccessToken(twin);
    bench.simulator.killAccessToken(accessToken);
    expect(await codeOf(other.rejectAccessToken(key, 2))).toBe('provider_throttled');
    expect((await one.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(2);
    await bench.jump(601_000);
    expect((await other.rejectAccessToken(key, 2)).generation).toBe(3);
  });

  it('lets other callers have the answer of the refresh that used it up', async () => {
    const one = { tokenLimit: { requests: 1, windowSeconds: 600 } };
    await using bench = await makeBench({ kind, profiles: ['none'], change: (each) => ({ ...each, ...one }) });
    const { vault } = await bench.open();
    const { vault: other } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'none' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 100, when: 'after' } });
    const first = vault.getAccessToken(key);
    await until(() => bench.requests().length === 1, 'the request');
    const tokens = await Promise.all([first, other.getAccessToken(key)]);
    expect(tokens[1].accessToken).toBe(tokens[0].accessToken);
  });

  it('is not used up by requests that were never sent', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'], change: (each) => ({ ...each, ...limited }) });
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'none' });
    world.offline = true;
    for (let tries = 0; tries < 4; tries += 1) {
      expect(await codeOf(vault.getAccessToken(key))).toBe('provider_unavailable');
      await bench.jump(100_000);
    }
    world.offline = false;
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  });
});
