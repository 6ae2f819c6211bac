import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, until } from '../../test/vault/bench.ts';

describe.each(databaseKinds)('a grant that is left alive at its provider, on %s', (kind) => {
  it('is not revoked by an answer that was under way', async () => {
    await using bench = await makeBench({ kind });
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key, minted } = await bench.connect(one);
    bench.simulator.addFault({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
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
