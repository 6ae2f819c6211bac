/** The evidence against a grant: which refusals of which token count, and which candidates are still left to try. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, nameOfToken } from '../../../test/support/bench.ts';
import { GrantryError } from '../../base/errors.ts';
import type { GrantKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { demoClient, type FaultEffect } from '../../simulator/index.ts';
import { factsOf } from '../grant/facts.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { parkTokens } from './save.ts';

/** The answer has tokens and an error: they are kept as a candidate, which is sent at once. */
const odd: FaultEffect = { kind: 'patch', set: { error: 'warming_up' } };
const refused: FaultEffect = { kind: 'error', error: 'invalid_grant' };
const lost: FaultEffect = { kind: 'reset', when: 'before' };
const throttled: FaultEffect = { kind: 'status', status: 429, when: 'before', headers: { 'retry-after': '1' } };

describe('a candidate that came for an earlier token than the stored one', () => {
  it('is sent before a grant is doubted, where that does no harm', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault, key, older } = await withOlderCandidate(bench, 'strict');
    begin(bench, [refused]);
    expect((await vault.getAccessToken(key)).generation).toBe(3);
    expect(bench.requests().at(-1)?.token).toBe(older);
  });

  const fatal = ['strict_revokes_family', 'overlap_newest_only'];
  it.each(fatal)(
    'is never sent where a replay revokes the family, and hinders no recovery, at %s',
    async (provider) => {
      await using bench = await makeBench({ profiles: [provider] });
      const { vault, key, older } = await withOlderCandidate(bench, provider);
      begin(bench, [refused, refused]);
      expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
      await bench.jump(31_000);
      expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
      expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered', tried: 1 });
      expect(bench.requests().map(({ token }) => token)).not.toContain(older);
    },
  );
});

describe('where a replay revokes the family, the refusal of the last successor', () => {
  it('says nothing about an answer that was lost before the successor came', async () => {
    await using bench = await makeBench({ profiles: ['strict_revokes_family'] });
    const { vault, key } = await connected(bench, 'strict_revokes_family');
    begin(bench, [lost, odd, refused, refused]);
    for (const thenMs of [121_000, 31_000, 0]) await ask(bench, vault, key, thenMs);
    expect(await bench.row(key)).toMatchObject({ state: 'reauthorization_required', reason: 'refused' });
  });

  it.each([
    ['means a lost rotation if the stored token was sent after it, and that answer was lost', lost, 'lost_rotation'],
    ['is a refusal like any other if the stored token was only throttled', throttled, 'refused'],
  ] as const)('%s', async (_, effect, reason) => {
    await using bench = await makeBench({ profiles: ['overlap_newest_only'] });
    const { vault, key } = await connected(bench, 'overlap_newest_only');
    begin(bench, [odd, refused, refused, effect, refused]);
    // Two refusals inside the overlap give the stored token its turn.
    for (const thenMs of [31_000, 61_000]) await ask(bench, vault, key, thenMs);
    expect(bench.requests()).toHaveLength(4);
    await ask(bench, vault, key, 0);
    expect(await bench.row(key)).toMatchObject({ state: 'suspect', reason });
  });

  it('brings back no earlier candidate, although that one was refused within seconds', async () => {
    await using bench = await makeBench({ profiles: ['overlap_newest_only'] });
    const { vault, key } = await connected(bench, 'overlap_newest_only');
    const later: FaultEffect = { kind: 'status', status: 429, when: 'before', headers: { 'retry-after': '40' } };
    begin(bench, [odd, later, refused, refused, odd, throttled, refused, refused]);
    // Late in the overlap the pause between two refusals of the first candidate is short.
    for (const thenMs of [41_000, 10_500, 20_000]) await ask(bench, vault, key, thenMs);
    const [stored, first, , , again, second] = bench.requests().map(({ token }) => token);
    expect(again).toBe(stored);
    expect([stored, first]).not.toContain(second);
    for (const thenMs of [31_000, 0]) await ask(bench, vault, key, thenMs);
    expect(
      bench
        .requests()
        .map(({ token }) => token)
        .slice(6),
    ).toEqual([second, second]);
    expect((await bench.row(key)).state).toBe('reauthorization_required');
  });

  it('keeps it among the tokens that a disconnect revokes', async () => {
    await using bench = await makeBench({ profiles: ['strict_revokes_family'] });
    const { vault, key } = await connected(bench, 'strict_revokes_family');
    begin(bench, [odd, refused, refused, refused]);
    for (const thenMs of [31_000, 31_000, 0]) await ask(bench, vault, key, thenMs);
    const successor = bench.requests()[1]?.token;
    await vault.disconnect(key);
    const revoked = bench.simulator.history.events().filter(({ kind }) => kind === 'revoke');
    expect(revoked.map(({ token }) => token)).toContain(successor);
  });
});

it('two refusals of a candidate within seconds count as one, if the database was down after the first', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault, world, key, stored } = await connected(bench, 'strict');
  const { store } = internalsOf(vault).open();
  const transaction = store.transaction.bind(store);
  world.onSend = () => {
    if (bench.requests().length !== 1) return;
    store.transaction = () => Promise.reject(new GrantryError('storage_unavailable', 'The database is down.'));
  };
  begin(bench, [odd, refused, refused]);
  expect(await codeOf(vault.getAccessToken(key))).toBe('storage_unavailable');
  store.transaction = transaction;
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await bench.jump(31_000);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  expect(bench.requests().filter(({ token }) => token === stored)).toHaveLength(1);
});

describe('a second chance', () => {
  it.each([
    ['refused', refused, 'refused'],
    ['throttled', throttled, 'failed'],
  ] as const)(
    'that is %s leaves a condemned grant as it was, and the next chance at its time',
    async (_, effect, outcome) => {
      await using bench = await makeBench({ profiles: ['none'] });
      const { vault, key } = await connected(bench, 'none');
      begin(bench, [refused, refused, effect]);
      for (const thenMs of [31_000, 0]) await ask(bench, vault, key, thenMs);
      const before = await bench.row(key);
      const events = await bench.events(key);
      expect((before.due_at ?? 0) - bench.clock.now()).toBeGreaterThan(590_000);
      await bench.jump(60_000);
      expect(await vault.recover(key)).toMatchObject({ outcome, tried: 1 });
      const { state, reason, condemned_at } = before;
      expect(await bench.row(key)).toMatchObject({ state, reason, condemned_at, retry_at: null, lease_owner: null });
      expect(Math.abs(((await bench.row(key)).due_at ?? 0) - (before.due_at ?? 0))).toBeLessThan(5_000);
      expect(await bench.events(key)).toEqual(events);
    },
  );
});

async function connected(bench: Bench, provider: string) {
  const { vault, world } = await bench.open();
  const { key, minted } = await bench.connect(vault, { provider });
  return { vault, world, key, stored: nameOfToken(minted.refreshToken) };
}

/** A grant of generation 2 whose token has expired, with a living candidate that came for generation 1. */
async function withOlderCandidate(bench: Bench, provider: string) {
  const { vault, key } = await connected(bench, provider);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  await bench.jump(3_600_000);
  const context = internalsOf(vault).open();
  const row = await bench.row(key);
  const { refreshToken } = bench.simulator.mintTokens({
    profile: provider,
    clientId: demoClient.clientId,
    user: 'user@us.example',
    scopes: ['read'],
  });
  const late = {
    lease: { tenant: key.tenant, grantId: row.id, generation: 1, owner: 'host:1:late', fence: 0 },
    attemptId: crypto.randomUUID(),
    candidateId: null,
    provider,
    spentToken: new Secret('spent'),
    spentFingerprint: 'spent',
    tenantKeys: await context.keys.pin(key.tenant, { fresh: true }),
    facts: factsOf(row),
  };
  const parked = await parkTokens(context, late, { refreshTokens: [new Secret(refreshToken)], accessToken: null });
  expect(parked).toBe('parked');
  return { vault, key, older: nameOfToken(refreshToken) };
}

function begin(bench: Bench, effects: readonly FaultEffect[]): void {
  for (const effect of effects) bench.simulator.faults.add({ endpoint: 'token', effect });
}

/** Asks for a token, and lets so much time pass. */
async function ask(bench: Bench, vault: Vault, key: GrantKey, thenMs: number): Promise<void> {
  await vault.getAccessToken(key).catch(() => {});
  await bench.jump(thenMs);
}
