import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, settled, until } from '../../../test/support/bench.ts';
import { isGrantryError } from '../../base/errors.ts';

const minute = 60_000;

describe('a cached token', () => {
  it('is refreshed in the background once its early-refresh time has passed', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { expiresIn: 3_600 });
    await bench.jump(54 * minute);
    expect((await vault.getAccessToken(key)).accessToken).toBe(minted.accessToken);
    await settled(10);
    expect(bench.requests()).toHaveLength(0);
    await bench.jump(2 * minute);
    expect((await vault.getAccessToken(key)).accessToken).toBe(minted.accessToken);
    await until(async () => (await bench.row(key)).generation === 2, 'the refresh');
    await settled(10);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  it('with too little life for the caller is not refreshed again right after another process did', async () => {
    await using bench = await makeBench();
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key } = await bench.connect(one, { expiresIn: 3_600 });
    for (let call = 0; call < 3; call += 1) {
      await Promise.all([one.getAccessToken(key), other.getAccessToken(key)]);
      await settled(10);
    }
    await bench.jump(5 * minute);
    await settled(100);
    const options = { minValidity: 3_500 };
    expect((await one.getAccessToken(key, options)).generation).toBe(2);
    expect((await other.getAccessToken(key, options)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  it('of a rejected generation is not handed out again after another process replaced it', async () => {
    await using bench = await makeBench();
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key } = await bench.connect(one, { expiresIn: 3_600 });
    for (let call = 0; call < 3; call += 1) {
      await other.getAccessToken(key);
      await settled(10);
    }
    await one.rejectAccessToken(key, 1);
    expect((await other.rejectAccessToken(key, 1)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  it.each(databaseKinds)('is gone within 5 s of a disconnect in another process, on %s', async (kind) => {
    await using bench = await makeBench({ kind });
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key } = await bench.connect(one, { expiresIn: 3_600 });
    const { key: kept } = await bench.connect(one, { tenant: 'kept', expiresIn: 3_600 });
    for (let call = 0; call < 5; call += 1) {
      await Promise.all([other.getAccessToken(key), other.getAccessToken(kept)]);
      await settled(10);
    }
    await one.disconnect(key);
    for (let passedMs = 0; passedMs < 4_500; passedMs += 500) await bench.jump(500);
    await settled(10);
    expect(await codeOf(other.getAccessToken(key))).toBe('grant_not_found');
    expect((await other.getAccessToken(kept)).generation).toBe(1);
  });

  it('is gone at once after a disconnect in this process, even during a read', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const { vault } = await bench.open();
    for (let turns = 0; turns < 12; turns += 1) {
      const { key } = await bench.connect(vault, { provider: 'none', tenant: `tenant-${turns}`, expiresIn: 3_600 });
      const gone = vault.disconnect(key, { revoke: false });
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      await Promise.allSettled([gone, vault.getAccessToken(key)]);
      expect(await codeOf(vault.getAccessToken(key))).toBe('grant_not_found');
    }
  });
});

describe('a minimum validity', () => {
  it('longer than the life of tokens is satisfied by a token that was just refreshed', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    for (let call = 0; call < 10; call += 1) {
      expect((await vault.getAccessToken(key, { minValidity: 86_400 })).generation).toBe(2);
    }
    expect(bench.requests()).toHaveLength(1);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, '60', null])('of %j is rejected', async (minValidity) => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { expiresIn: 3_600 });
    const options = JSON.parse('{}');
    options.minValidity = minValidity;
    expect(await codeOf(vault.getAccessToken(key, options))).toBe('invalid_request');
  });
});

describe('a rejected generation', () => {
  it('is replaced by one refresh, even when many callers reject it', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { expiresIn: 3_600 });
    const { generation } = await vault.getAccessToken(key);
    const fresh = await Promise.all(Array.from({ length: 20 }, () => vault.rejectAccessToken(key, generation)));
    expect(new Set(fresh.map((token) => token.generation))).toEqual(new Set([2]));
    expect((await vault.rejectAccessToken(key, generation)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  it('that a failover lost gets what there is, without a refresh', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { expiresIn: 3_600 });
    await vault.getAccessToken(key);
    expect((await vault.rejectAccessToken(key, 2)).generation).toBe(1);
    expect((await vault.rejectAccessToken(key, Number.MAX_SAFE_INTEGER)).generation).toBe(1);
    expect(bench.requests()).toHaveLength(0);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 53])(
    'of %d, which no row can have, is an invalid request',
    async (generation) => {
      await using bench = await makeBench();
      const { vault } = await bench.open();
      const { key } = await bench.connect(vault, { expiresIn: 3_600 });
      expect(await codeOf(vault.rejectAccessToken(key, generation))).toBe('invalid_request');
      expect(bench.requests()).toHaveLength(0);
    },
  );
});

it('tells a caller that waits for the strict lease of another process when the lease ends', async () => {
  await using bench = await makeBench();
  const { vault: one } = await bench.open();
  const { vault: other } = await bench.open();
  const { key } = await bench.connect(one);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'hang', when: 'before' } });
  const hanging = one.getAccessToken(key).catch((error: unknown) => error);
  await until(() => bench.requests().length === 1, 'the request');
  const waiting = other.getAccessToken(key).catch((error: unknown) => error);
  await bench.pass(31_000);
  const error = await waiting;
  expect(error).toMatchObject({ code: 'refresh_uncertain' });
  // The lease of 120 s began 30 s ago.
  expect(isGrantryError(error) ? error.retryAfterMs : 0).toBeGreaterThan(80_000);
  expect(await hanging).toMatchObject({ code: 'provider_unavailable' });
});

it('asks a provider that issues expired tokens at most twice a minute, and tells its callers', async () => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', times: 99, effect: { kind: 'patch', set: { expires_in: 1e-9 } } });
  const thrown: unknown = await vault.getAccessToken(key).catch((error: unknown) => error);
  expect(isGrantryError(thrown, 'provider_error') && (thrown.retryAfterMs ?? 0) > minute / 2).toBe(true);
  for (let calls = 0; calls < 5; calls += 1) {
    expect(await codeOf(vault.getAccessToken(key))).toBe('provider_error');
    await bench.jump(1_000);
  }
  expect(bench.requests()).toHaveLength(2);
  bench.simulator.faults.clear();
  await bench.jump(minute);
  expect((await vault.getAccessToken(key)).generation).toBe(4);
});

it('finishes a running refresh and refuses new calls after close', async () => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const { key, minted } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 500, when: 'after' } });
  const token = vault.getAccessToken(key).catch(() => null);
  await until(() => bench.requests().length === 1, 'the request');
  const closed = vault.close();
  expect(await codeOf(vault.getAccessToken(key))).toBe('invalid_request');
  await bench.jump(600);
  await closed;
  await token;
  expect((await bench.row(key)).generation).toBe(2);
  expect(bench.simulator.family(minted.family)?.alive).toBe(true);
});
