import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, settled, until } from '../../test/support/bench.ts';

describe.each(databaseKinds)('a grant that is left alive at its provider, on %s', (kind) => {
  it('is not revoked by an answer that was under way', async () => {
    await using bench = await makeBench({ kind });
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key, minted } = await bench.connect(one);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const refreshing = codeOf(one.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    expect(await other.disconnect(key, { revoke: false })).toEqual({ revocation: 'skipped' });
    await bench.jump(1_100);
    expect(await refreshing).toBe('grant_not_found');
    expect(bench.simulator.history.events().filter((event) => event.kind === 'revoke')).toEqual([]);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    expect((await bench.row(key)).refresh_token).toBeNull();
  });
});

it('a disconnect by another process is noticed after the clock was set back', async () => {
  await using bench = await makeBench();
  const a = await bench.open();
  const b = await bench.open();
  const { key } = await bench.connect(a.vault, { expiresIn: 3_600 });
  await a.vault.getAccessToken(key);
  const pass = async (looks: number) => {
    for (let look = 0; look < looks; look += 1) {
      await bench.jump(500);
      await settled();
    }
  };
  await pass(6);
  for (const { world } of [a, b]) world.skewMs = -60_000;
  await pass(6);
  await a.vault.getAccessToken(key);
  await b.vault.disconnect(key);
  await pass(10);
  expect(await codeOf(a.vault.getAccessToken(key))).toBe('grant_not_found');
});
