import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { Secret } from '../../base/secret.ts';
import { factsOf } from '../grant/facts.ts';
import { internalsOf } from '../internals.ts';
import { commitTokens, parkTokens, type TokenAttempt } from './save.ts';

it('keeps a parked sibling of the saved token, which the provider may honour instead, and drops older ones', async () => {
  await using bench = await makeBench({ profiles: ['overlap_newest_only'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'overlap_newest_only' });
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  const context = internalsOf(vault).open();
  const row = await bench.row(key);
  const { id: grantId, provider, lease_fence: fence } = row;
  const attempt = async (generation: number): Promise<TokenAttempt> => ({
    lease: { tenant: key.tenant, grantId, generation, owner: 'host:1:late', fence },
    attemptId: crypto.randomUUID(),
    candidateId: null,
    provider,
    spentToken: new Secret('spent'),
    spentFingerprint: 'spent',
    tenantKeys: await context.keys.pin(key.tenant, { fresh: true }),
    facts: factsOf(row),
  });
  const park = async (generation: number, refreshToken: string) =>
    parkTokens(context, await attempt(generation), {
      refreshTokens: [new Secret(refreshToken)],
      accessToken: null,
    });
  expect(await park(1, 'of-an-older-generation')).toBe('parked');
  expect(await park(2, 'a-sibling')).toBe('parked');
  const saved = await commitTokens(context, await attempt(2), {
    accessToken: new Secret('access'),
    refreshToken: new Secret('the-saved-one'),
    tokenType: 'Bearer',
    expiresAt: context.world.now() + 3_600_000,
    scopes: null,
    metadata: {},
  });
  expect(saved).toBe('saved');
  const candidates = await bench.judge.db
    .selectFrom('grantry_candidates')
    .select(['generation', 'state'])
    .orderBy('generation')
    .execute();
  expect(candidates).toEqual([
    { generation: 1, state: 'superseded' },
    { generation: 2, state: 'untested' },
  ]);
});
