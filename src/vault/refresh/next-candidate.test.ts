/** Several successors of one token, where a replay brings a newer one and every earlier one counts as used. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Bench, codeOf, makeBench, nameOfToken } from '../../../test/support/bench.ts';
import { candidatesOf, headFor, noteAttempt } from '../../../test/support/left-answers.ts';
import type { GrantKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { demoClient, type FaultEffect } from '../../simulator/index.ts';
import { factsOf } from '../grant/facts.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { parkTokens } from './save.ts';

const provider = 'overlap_newest_only';
const refused: FaultEffect = { kind: 'error', error: 'invalid_grant' };

describe.each(['in the order of their requests', 'the later one first'] as const)(
  'of two successors that were parked %s',
  (order) => {
    const fences = order === 'the later one first' ? ([2, 1] as const) : ([1, 2] as const);

    it.each(['inside', 'after'] as const)('the one that was sent for last is sent, %s the overlap', async (when) => {
      await using bench = await makeBench({ profiles: [provider] });
      const { vault, key, second } = await withSuccessors(bench, fences);
      if (when === 'after') await bench.jump(61_000);
      expect((await vault.getAccessToken(key)).generation).toBe(2);
      expect(sent(bench)).toEqual([second]);
    });

    it('only that one stands for the grant after the overlap, and is the one that a recovery tries', async () => {
      await using bench = await makeBench({ profiles: [provider] });
      const { vault, key, family, first, second } = await withSuccessors(bench, fences);
      await bench.jump(61_000);
      bench.simulator.faults.add({ endpoint: 'token', effect: refused, times: 2 });
      expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
      await bench.jump(31_000);
      expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
      expect(bench.simulator.family(family)?.alive).toBe(true);
      expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered', tried: 1 });
      expect(sent(bench)).toEqual([second, second, second]);
      expect(sent(bench)).not.toContain(first);
    });

    it('the stored token follows that one inside the overlap, and the earlier one is never sent', async () => {
      await using bench = await makeBench({ profiles: [provider] });
      const { vault, key, stored, second } = await withSuccessors(bench, fences);
      bench.simulator.faults.add({ endpoint: 'token', effect: refused, times: 2 });
      for (let tries = 0; tries < 3 && (await bench.row(key)).generation === 1; tries += 1) {
        await vault.getAccessToken(key).catch(() => {});
        await bench.jump(16_000);
      }
      expect(await bench.row(key)).toMatchObject({ generation: 2, state: 'active' });
      expect(sent(bench)).toEqual([second, second, stored]);
    });
  },
);

it('a refusal of the saved successor brings back none of its elder siblings, however much of the overlap is left', async () => {
  await using bench = await makeBench({ profiles: [provider] });
  const { vault, key, family, second } = await withSuccessors(bench, [1, 2]);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  expect((await candidatesOf(bench)).map(({ state }) => state)).toEqual(['untested', 'superseded']);
  await bench.jump(3_600_000);
  bench.simulator.faults.add({ endpoint: 'token', effect: refused });
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await bench.jump(31_000);
  expect((await vault.getAccessToken(key)).generation).toBe(3);
  expect(bench.simulator.family(family)?.alive).toBe(true);
  const [, once, again] = sent(bench);
  expect([once === again, once === second]).toEqual([true, false]);
});

it('after a lost tail the token that came last is sent, whose lease has a lower number', async () => {
  await using bench = await makeBench({ profiles: [provider] });
  const { vault, key, second } = await withSuccessors(bench, [8, 2], { known: [2] });
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  expect(sent(bench)).toEqual([second]);
});

/** The tokens that the vault has sent. */
function sent(bench: Bench): string[] {
  return bench
    .requests()
    .slice(2)
    .map(({ token }) => token ?? '');
}

/**
 * A grant whose stored token was sent twice at the provider, and each successor is a candidate. They are parked in the
 * order of these fences: the higher one is the later request, unless the database has lost its attempt.
 */
async function withSuccessors(
  bench: Bench,
  fences: readonly [number, number],
  { known = fences }: { known?: readonly number[] } = {},
) {
  const { vault } = await bench.open();
  const { key, minted } = await bench.connect(vault, { provider });
  const [first, second] = [await spend(bench, minted.refreshToken), await spend(bench, minted.refreshToken)];
  const isWhole = known.length === fences.length;
  const earlier = isWhole ? Math.min(...fences) : fences[0];
  for (const fence of isWhole ? fences.toSorted((one, other) => one - other) : []) {
    await noteSent(bench, key, fence);
    await bench.jump(1_000);
  }
  for (const fence of fences) {
    // What a lost tail has brought is parked before anything is sent.
    if (!isWhole && known.includes(fence)) await noteSent(bench, key, fence);
    await park(bench, vault, key, { fence, refreshToken: fence === earlier ? first : second });
    await bench.jump(1_000);
  }
  const columns = { lease_fence: Math.max(...known), overlap_until: bench.clock.now() + 50_000 };
  await bench.judge.db.updateTable('oauth_tokens').set(columns).execute();
  const names = { stored: nameOfToken(minted.refreshToken), first: nameOfToken(first), second: nameOfToken(second) };
  return { vault, key, family: minted.family, ...names };
}

/** Sends a token as a process of which nothing else is left. */
async function spend(bench: Bench, refreshToken: string): Promise<string> {
  const { clientId: client_id, secret: client_secret = '' } = demoClient;
  const request = { grant_type: 'refresh_token', refresh_token: refreshToken, client_id, client_secret };
  const url = `${bench.simulator.origins()[provider]}/token`;
  const response = await bench.simulator.fetch(
    new Request(url, { method: 'POST', body: new URLSearchParams(request) }),
  );
  return z.object({ refresh_token: z.string() }).parse(await response.json()).refresh_token;
}

/** Notes a request whose answer was parked. */
async function noteSent(bench: Bench, key: GrantKey, fence: number): Promise<void> {
  await noteAttempt(bench, await headFor(bench, key, { fence }), 'parked');
}

async function park(
  bench: Bench,
  vault: Vault,
  key: GrantKey,
  { fence, refreshToken }: { fence: number; refreshToken: string },
): Promise<void> {
  const context = internalsOf(vault).open();
  const row = await bench.row(key);
  const attempt = {
    lease: { tenant: key.tenant, grantId: row.id, generation: row.generation, owner: 'host:1:late', fence },
    attemptId: crypto.randomUUID(),
    candidateId: null,
    provider,
    spentToken: new Secret('spent'),
    spentFingerprint: row.refresh_fingerprint ?? '',
    tenantKeys: await context.keys.pin(key.tenant, { fresh: true }),
    facts: factsOf(row),
  };
  const parked = await parkTokens(context, attempt, { refreshTokens: [new Secret(refreshToken)], accessToken: null });
  expect(parked).toBe('parked');
}
