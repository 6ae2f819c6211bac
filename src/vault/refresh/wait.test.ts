import { expect, it } from 'vitest';
import { type Bench, makeBench, until } from '../../../test/support/bench.ts';
import { type GrantryError, isGrantryError } from '../../base/errors.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { Vault } from '../types.ts';

/** A grant whose strict lease is held by an owner of another host, since some time. */
async function heldElsewhere(bench: Bench, heldMs: number): Promise<{ vault: Vault; key: GrantKey }> {
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  const leaseUntil = bench.clock.now() + 120_000 - heldMs;
  await bench.judge.db
    .updateTable('oauth_tokens')
    .set({ lease_owner: 'elsewhere:7:abcdef', lease_until: leaseUntil })
    .execute();
  return { vault, key };
}

function refusal(call: Promise<unknown>): Promise<GrantryError> {
  return call.then(
    () => expect.unreachable('it was not refused'),
    (error: unknown) => (isGrantryError(error) ? error : Promise.reject(error)),
  );
}

it('tells a caller at once that the lease of a holder that no process here sees lasts longer than the caller waits', async () => {
  await using bench = await makeBench();
  const { vault, key } = await heldElsewhere(bench, 11_000);
  const startedAt = bench.clock.monotonic();
  const error = await refusal(vault.getAccessToken(key));
  expect(bench.clock.monotonic() - startedAt).toBeLessThan(10_000);
  expect(error.code).toBe('refresh_uncertain');
  expect(error.retryAfterMs).toBeGreaterThan(90_000);
  expect(error.retryAfterMs).toBeLessThan(110_000);
  expect(bench.requests()).toHaveLength(0);
});

it('waits for such a holder for the first seconds, in which most answers come', async () => {
  await using bench = await makeBench();
  const { vault, key } = await heldElsewhere(bench, 0);
  const waiting = vault.getAccessToken(key).then(
    (token) => token.generation,
    () => 0,
  );
  await bench.pass(3_000);
  // The other host saves its answer.
  const row = await bench.row(key);
  await bench.judge.db
    .updateTable('oauth_tokens')
    .set({ lease_owner: null, lease_until: null, changed_at: row.changed_at + 1 })
    .execute();
  await bench.pass(3_000);
  expect(await waiting).toBe(2);
});

it('tells a caller at once that the holder of a strict lease is dead', async () => {
  await using bench = await makeBench();
  const one = await bench.open();
  const { vault: other } = await bench.open();
  const { key } = await bench.connect(one.vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'hang', when: 'before' } });
  void one.vault.getAccessToken(key).catch(() => {});
  await until(() => bench.requests().length === 1, 'the request');
  await bench.crash(one);
  const startedAt = bench.clock.monotonic();
  const error = await refusal(other.getAccessToken(key));
  expect(bench.clock.monotonic() - startedAt).toBeLessThan(10_000);
  expect(error.code).toBe('refresh_uncertain');
  expect(error.retryAfterMs).toBeGreaterThan(100_000);
});

it('waits for a living holder that it sees, as long as the caller waits', async () => {
  await using bench = await makeBench();
  const { vault: one } = await bench.open();
  const { vault: other } = await bench.open();
  const { key } = await bench.connect(one);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 25_000, when: 'after' } });
  const first = one.getAccessToken(key);
  await until(() => bench.requests().length === 1, 'the request');
  const waiting = other.getAccessToken(key);
  await bench.pass(26_000);
  expect((await first).generation).toBe(2);
  expect((await waiting).generation).toBe(2);
  expect(bench.requests()).toHaveLength(1);
});
