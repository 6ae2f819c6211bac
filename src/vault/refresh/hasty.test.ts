/** Candidates that were rejected within one pause: they get another try, and no others do. */
import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { candidatesOf, connected, headFor, noteAttempt } from '../../../test/support/left-answers.ts';
import { listAttempts } from '../../storage/statements/attempts.ts';
import { insertCandidate } from '../../storage/statements/candidates.ts';
import { changing } from '../changing.ts';
import { internalsOf } from '../internals.ts';
import { reopenHastilyRejected } from './hasty.ts';

it.each([
  ['opens again after refusals within seconds', 'dead', [0, 5_000], true, 'untested'],
  ['stays rejected after refusals with a pause between', 'dead', [0, 31_000], false, 'dead'],
  ['stays as it is if it was replaced meanwhile', 'superseded', [0, 5_000], false, 'superseded'],
] as const)('a candidate %s', async (_, state, refusedAfterMs, reopened, left) => {
  await using bench = await makeBench();
  const { vault, key } = await connected(bench);
  const context = internalsOf(vault).open();
  const row = await bench.row(key);
  const { id: grantId, generation, client_id: tenant } = row;
  const id = crypto.randomUUID();
  const place = { id, tenant, grant_id: grantId, generation, fence: 5 };
  await changing(context, ({ tx }) =>
    insertCandidate(tx, { ...place, token_fingerprint: 'a-candidate', state, tokens: 'sealed' }),
  );
  for (const [index, ms] of refusedAfterMs.entries()) {
    const attemptId = crypto.randomUUID();
    await noteAttempt(bench, await headFor(bench, key, { attemptId, candidateId: id, fence: 6 + index }), 'refused');
    const finished = { finished_at: bench.clock.now() - 60_000 + ms };
    await bench.judge.db.updateTable('grantry_attempts').set(finished).where('id', '=', attemptId).execute();
  }
  const attempts = await listAttempts(bench.judge.db, { tenant, grantId, generation });
  expect(await changing(context, (change) => reopenHastilyRejected(context, change, row, attempts))).toBe(reopened);
  expect(await candidatesOf(bench)).toMatchObject([{ state: left }]);
});

describe.each(databaseKinds)('on %s', (kind) => {
  it('a grant without candidates is given up after its second refusal', async () => {
    await using bench = await makeBench({ kind });
    const { vault, key } = await connected(bench);
    bench.simulator.faults.add({ endpoint: 'token', times: 2, effect: { kind: 'error', error: 'invalid_grant' } });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(31_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
    expect((await bench.row(key)).state).toBe('reauthorization_required');
  });
});
