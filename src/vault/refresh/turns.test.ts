/** Which token is sent next: the stored one, or a candidate that answered it. */
import { expect, it } from 'vitest';
import { type Bench, makeBench, nameOfToken } from '../../../test/support/bench.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';
import type { FaultEffect } from '../../simulator/index.ts';
import type { Vault } from '../types.ts';

/** The answer has tokens and an error: they are kept as a candidate. */
const odd: FaultEffect = { kind: 'patch', set: { error: 'warming_up' } };
const lost: FaultEffect = { kind: 'reset', when: 'after' };
const throttled: FaultEffect = { kind: 'status', status: 429, when: 'before', headers: { 'retry-after': '1' } };

it('a successor is sent although an earlier request for it was lost', async () => {
  await using bench = await makeBench({ profiles: ['retire_on_use'] });
  const { vault, key, stored } = await connected(bench, 'retire_on_use');
  begin(bench, [lost, odd]);
  await ask(bench, vault, key, 3_000);
  await ask(bench, vault, key, 0);
  const sent = sentBy(bench);
  expect(sent.slice(0, 2)).toEqual([stored, stored]);
  expect(sent[2]).not.toBe(stored);
  expect((await bench.row(key)).state).toBe('active');
});

it('a successor is sent again after its request failed, and after its own answer was lost', async () => {
  await using bench = await makeBench({ profiles: ['retire_on_use'] });
  const { vault, key, stored } = await connected(bench, 'retire_on_use');
  begin(bench, [odd, throttled, lost]);
  await ask(bench, vault, key, 5_000);
  await ask(bench, vault, key, 5_000);
  await ask(bench, vault, key, 0);
  const sent = sentBy(bench);
  expect(sent[1]).not.toBe(stored);
  expect(sent[2]).toBe(sent[1]);
  // The stored token may bring the same successor once more, which was spent.
  expect(sent[3]).toBe(sent[1]);
  expect((await bench.row(key)).state).toBe('active');
});

it('inside an overlap, two refusals of a successor within seconds let the stored token have its turn', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { vault, key, stored } = await connected(bench, 'timed_overlap');
  const refused: FaultEffect = { kind: 'error', error: 'invalid_grant' };
  begin(bench, [odd, { ...throttled, headers: { 'retry-after': '40' } }, refused, refused]);
  await ask(bench, vault, key, 41_000);
  await ask(bench, vault, key, 10_500);
  await ask(bench, vault, key, 0);
  const sent = sentBy(bench);
  expect(new Set(sent.slice(1, 4)).size).toBe(1);
  expect(sent[1]).not.toBe(stored);
  expect(sent[4]).toBe(stored);
  expect((await bench.row(key)).state).toBe('active');
});

const noReplay = (each: ProviderDefinitionInput): ProviderDefinitionInput => ({
  ...each,
  refreshToken: { ...each.refreshToken, replayAfterLoss: false },
});

it('where a replay is forbidden, a lost answer ends a grant only if it has no successor of the stored token', async () => {
  await using bench = await makeBench({ profiles: ['strict_revokes_family'], change: noReplay });
  const { vault, key, stored } = await connected(bench, 'strict_revokes_family');
  begin(bench, [odd, lost]);
  await ask(bench, vault, key, 121_000);
  expect((await bench.row(key)).state).not.toBe('reauthorization_required');
  await ask(bench, vault, key, 31_000);
  const sent = sentBy(bench);
  expect(sent).toHaveLength(3);
  expect(sent[2]).toBe(sent[1]);
  expect(sent[2]).not.toBe(stored);
});

it('where a replay is forbidden, an operator may still have the stored token tried', async () => {
  await using bench = await makeBench({ profiles: ['strict_revokes_family'], change: noReplay });
  const { vault, key } = await connected(bench, 'strict_revokes_family');
  begin(bench, [lost]);
  await ask(bench, vault, key, 121_000);
  await ask(bench, vault, key, 0);
  expect((await bench.row(key)).state).toBe('reauthorization_required');
  expect(bench.requests()).toHaveLength(1);
  await vault.recover(key);
  expect(bench.requests()).toHaveLength(2);
});

async function connected(bench: Bench, provider: string) {
  const { vault } = await bench.open();
  const { key, minted } = await bench.connect(vault, { provider });
  return { vault, key, stored: nameOfToken(minted.refreshToken) };
}

function begin(bench: Bench, effects: readonly FaultEffect[]): void {
  for (const effect of effects) bench.simulator.faults.add({ endpoint: 'token', effect });
}

/** Asks for a token, and lets so much time pass. */
async function ask(bench: Bench, vault: Vault, key: GrantKey, thenMs: number): Promise<void> {
  await vault.getAccessToken(key).catch(() => {});
  await bench.jump(thenMs);
}

function sentBy(bench: Bench): (string | undefined)[] {
  return bench.requests().map(({ token }) => token);
}
