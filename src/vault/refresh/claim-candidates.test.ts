/** Claims of a grant for which a token was parked after the preparation. */
import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { connected, outcomesOf } from '../../../test/support/left-answers.ts';
import { Secret } from '../../base/secret.ts';
import { insertCandidate } from '../../storage/statements/candidates.ts';
import { changing } from '../changing.ts';
import { internalsOf } from '../internals.ts';
import { claimRefresh } from './claim.ts';
import { planRefresh } from './plan.ts';

const kept = { refreshToken: new Secret('a-kept-token'), candidateId: null };

it.each([
  [
    'is given up: the parked token may succeed the one that would be sent',
    { state: 'uncertain', reason: 'answer_lost' },
    {},
    [],
  ],
  [
    'goes on if an operator ordered the token',
    { state: 'reauthorization_required', reason: 'refused' },
    { keptToken: kept },
    ['open'],
  ],
] as const)('a claim %s', async (_, doubt, options, outcomes) => {
  await using bench = await makeBench();
  const { vault, key } = await connected(bench);
  await bench.judge.db.updateTable('oauth_tokens').set(doubt).execute();
  const context = internalsOf(vault).open();
  const row = await bench.row(key);
  const plan = await planRefresh(context, row, options);
  if (plan === 'look_again') throw new Error('there is nothing to look at');
  const parked = {
    id: crypto.randomUUID(),
    tenant: key.tenant,
    grant_id: row.id,
    generation: row.generation,
    fence: 5,
  };
  const tokens = { token_fingerprint: 'a-candidate', state: 'untested', tokens: 'sealed' } as const;
  await changing(context, ({ tx }) => insertCandidate(tx, { ...parked, ...tokens }));
  const claimed = await claimRefresh(context, plan);
  expect(claimed === 'look_again').toBe(outcomes.length === 0);
  expect(await outcomesOf(bench)).toEqual(outcomes);
  await plan.slot.discard();
});
