/** A token that still lives is not withheld, though it has less life than its caller asks for. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, until } from '../../../test/support/bench.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { FaultEffect } from '../../simulator/index.ts';
import type { Vault } from '../types.ts';

/** A vault and a grant whose token has 50 s left; the default demand is 60 s. */
async function nearTheEnd(bench: Bench): Promise<{ vault: Vault; key: GrantKey }> {
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { expiresIn: 3_600 });
  await bench.jump(3_550_000);
  return { vault, key };
}

const failures: Readonly<Record<string, FaultEffect>> = {
  'an error of the provider': { kind: 'status', status: 503, when: 'before' },
  'a throttle': { kind: 'status', status: 429, when: 'before', headers: { 'retry-after': '3600' } },
  'an answer that no rule knows': { kind: 'status', status: 418, when: 'before' },
  'a refused client': { kind: 'error', error: 'invalid_client' },
  'a first refusal': { kind: 'error', error: 'invalid_grant' },
};

describe('near its end', () => {
  it.each(Object.entries(failures))('a token is handed out after %s, and no report gets it', async (_, effect) => {
    await using bench = await makeBench();
    const { vault, key } = await nearTheEnd(bench);
    bench.simulator.faults.add({ endpoint: 'token', forMs: 600_000, effect });
    for (let call = 0; call < 5; call += 1) {
      const token = await vault.getAccessToken(key);
      expect(token.generation).toBe(1);
      expect(token.expiresAt.getTime()).toBeGreaterThan(bench.clock.now());
    }
    expect((await vault.fetch(key, '/api/organization')).status).toBe(200);
    // The refreshes that failed are not repeated for each caller.
    expect(bench.requests().length).toBeLessThanOrEqual(2);
    expect(await codeOf(vault.rejectAccessToken(key, 1))).toMatch(/^(provider|refresh)_/);
    expect((await vault.getAccessToken(key)).generation).toBe(1);
    await bench.jump(50_000);
    expect(await codeOf(vault.getAccessToken(key))).toMatch(/^(provider|refresh|reauthorization)_/);
  });

  it('a token of a condemned grant is handed out', async () => {
    await using bench = await makeBench();
    const { vault, key } = await nearTheEnd(bench);
    bench.simulator.faults.add({
      endpoint: 'token',
      forMs: 600_000,
      effect: { kind: 'error', error: 'invalid_grant' },
    });
    await vault.getAccessToken(key);
    await bench.jump(31_000);
    expect((await vault.getAccessToken(key)).generation).toBe(1);
    expect((await bench.row(key)).state).toBe('reauthorization_required');
    expect((await vault.getAccessToken(key)).generation).toBe(1);
    await bench.jump(20_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
  });

  it('a caller of a provider that hangs gets the token while it lives', async () => {
    await using bench = await makeBench();
    const { vault, key } = await nearTheEnd(bench);
    await bench.jump(30_000);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'hang', when: 'before' } });
    const waiting = vault.getAccessToken(key);
    await until(() => bench.requests().length === 1, 'the request');
    await bench.pass(11_000);
    const { generation, expiresAt } = await waiting;
    expect(generation).toBe(1);
    // Half of its life is left: the caller waited for the other half.
    expect(expiresAt.getTime() - bench.clock.now()).toBeGreaterThan(5_000);
  });

  it('a token is handed out while another process holds the lease, and not after a disconnect', async () => {
    await using bench = await makeBench();
    const { vault, key } = await nearTheEnd(bench);
    const { vault: other } = await bench.open();
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'hang', when: 'before' } });
    const first = vault.getAccessToken(key);
    await until(() => bench.requests().length === 1, 'the request');
    const waiting = other.getAccessToken(key);
    await bench.pass(26_000);
    expect((await first).generation).toBe(1);
    expect((await waiting).generation).toBe(1);
    const { vault: third } = await bench.open();
    const late = codeOf(third.getAccessToken(key));
    await vault.disconnect(key, { revoke: false });
    await bench.pass(5_000);
    expect(await late).toBe('grant_not_found');
    expect(await codeOf(other.getAccessToken(key))).toBe('grant_not_found');
    expect(await codeOf(vault.getAccessToken(key))).toBe('grant_not_found');
  });
});
