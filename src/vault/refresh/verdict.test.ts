import { describe, expect, it } from 'vitest';
import { grantRow } from '../../../test/support/grant-fixtures.ts';
import { parseProviderDefinition } from '../../providers/parse.ts';
import type { AttemptRow } from '../../storage/statements/attempts.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import { reasons } from '../reasons.ts';
import { type RefusalEvidence, weighRefusal } from './verdict.ts';

type Rotation = 'none' | 'timed_overlap' | 'retire_on_use' | 'strict';
const rotations: readonly Rotation[] = ['none', 'timed_overlap', 'retire_on_use', 'strict'];
const nowMs = 1_000_000_000;
/** The answer to the stored token, which was never refused before. */
const candidate = { succeedsStored: true, refusals: 0, spent: false, replayed: false };

describe('a refusal', () => {
  it.each(rotations)('makes the grant suspect first, and condemns it the second time, at %s', (rotation) => {
    expect(weigh({ rotation })).toMatchObject({ state: 'suspect', reason: 'refused', retryInMs: 30_000 });
    const second = weigh({ rotation, row: { state: 'suspect', doubt_since: nowMs - 30_000 } });
    expect(second).toMatchObject({ state: 'reauthorization_required', reason: 'refused', condemned: true });
  });

  it.each([
    ['none', 'suspect', 'refused'],
    ['timed_overlap', 'suspect', 'lost_rotation'],
    ['retire_on_use', 'suspect', 'lost_rotation'],
    ['strict', 'suspect', 'lost_rotation'],
  ] as const)(
    'after a lost answer at %s leads to %s: %s, and is confirmed like any other',
    (rotation, state, reason) => {
      const others = [attempt('unknown', 200_000)];
      for (const reuse of ['error', 'revokes_family'] as const) {
        expect(weigh({ rotation, reuse, others })).toMatchObject({ state, reason, retryInMs: 30_000 });
        const row = { state: 'suspect', doubt_since: nowMs - 30_000 } as const;
        const again = { rotation, reuse, row, others: [...others, attempt('refused', 30_000)] };
        expect(weigh(again)).toMatchObject({ state: 'reauthorization_required', reason });
        expect(weigh({ ...again, provider: { refused: 12, tried: 12, failed: 0 } })).toMatchObject({
          state: 'suspect',
          reason: reasons.verdictsSuspended,
        });
      }
    },
  );

  it.each(['failed', 'not_sent', 'refused', 'saved'] as const)(
    'after an attempt with the outcome %s is no sign of a lost answer',
    (outcome) => {
      expect(weigh({ rotation: 'strict', others: [attempt(outcome, 10_000)] })).toMatchObject({
        state: 'suspect',
        reason: 'refused',
      });
    },
  );

  it.each(rotations)('decides nothing while a candidate is left, at %s', (rotation) => {
    const row = { state: 'suspect' } as const;
    expect(weigh({ rotation, row, candidatesLeft: true })).toMatchObject({
      state: 'uncertain',
      reason: reasons.storedRefused,
      retryInMs: 0,
    });
  });

  it.each(rotations)(
    'of a candidate is confirmed like any other before the stored token is tried, at %s',
    (rotation) => {
      for (const candidatesLeft of [true, false]) {
        const others = [attempt('unknown', 10_000)];
        const first = weigh({ rotation, candidate, candidatesLeft, others });
        expect(first).toMatchObject({ state: 'uncertain', reason: 'candidate', retryInMs: 30_000 });
        const second = weigh({ rotation, candidate: { ...candidate, refusals: 1 }, candidatesLeft, others });
        expect(second).toMatchObject({ state: 'uncertain', reason: 'candidate', retryInMs: 0 });
      }
    },
  );

  it('of a candidate is confirmed before the overlap of the stored token ends', () => {
    const first = weigh({ rotation: 'timed_overlap', candidate, overlapLeftMs: 20_000, overlapPauseMs: 10_000 });
    expect(first).toMatchObject({ state: 'uncertain', reason: 'candidate', retryInMs: 10_000 });
  });

  it('of a candidate rejects nothing while the provider refuses a large share of all grants', () => {
    const refused = { ...candidate, refusals: 1 };
    const provider = { refused: 9, tried: 9, failed: 0 };
    const verdict = weigh({ rotation: 'strict', candidate: refused, provider, row: { doubt_since: nowMs - 60_000 } });
    expect(verdict).toMatchObject({ state: 'uncertain', reason: 'candidate', retryInMs: 150_000 });
  });

  it('of the last successor is weighed as that of a stored token if a replay revokes the family', () => {
    const weighIt = (evidence: Partial<Parameters<typeof weigh>[0]>) =>
      weigh({
        rotation: 'strict',
        reuse: 'revokes_family',
        candidate,
        others: [attempt('parked', 60_000)],
        ...evidence,
      });
    expect(weighIt({})).toMatchObject({ state: 'suspect', reason: 'refused', retryInMs: 30_000 });
    const row = { state: 'suspect', doubt_since: nowMs - 30_000 } as const;
    expect(weighIt({ row })).toMatchObject({ state: 'reauthorization_required', reason: 'refused' });
    expect(weighIt({ row, provider: { refused: 9, tried: 9, failed: 0 } })).toMatchObject({ state: 'suspect' });
    // Its own answer was lost, so the refusal is the sign of a spent token.
    const spent = { ...candidate, spent: true };
    expect(weighIt({ candidate: spent })).toMatchObject({ state: 'suspect', reason: 'lost_rotation' });
    expect(weighIt({ candidate: spent, row })).toMatchObject({
      state: 'reauthorization_required',
      reason: 'lost_rotation',
    });
    // The same holds if the stored token was sent after it arrived, but then it is tried again first.
    const replayed = { ...candidate, replayed: true };
    expect(weighIt({ candidate: replayed })).toMatchObject({ state: 'suspect', reason: 'lost_rotation' });
    // While the overlap runs, the stored token can be sent without harm.
    expect(weighIt({ candidate: { ...candidate, refusals: 1 }, overlapLeftMs: 5_000 })).toMatchObject({
      state: 'uncertain',
      reason: 'candidate',
      retryInMs: 0,
    });
  });

  it('of a spent token whose parked successor was refused before is a loss, not a doubt', () => {
    const row = { state: 'uncertain', reason: reasons.storedRefused } as const;
    const others = [attempt('parked', 60_000)];
    expect(weigh({ rotation: 'strict', row, others })).toMatchObject({ state: 'suspect', reason: 'lost_rotation' });
    expect(weigh({ rotation: 'strict', row: { ...row, state: 'suspect' }, others })).toMatchObject({
      state: 'reauthorization_required',
      reason: 'lost_rotation',
    });
  });

  it('of the last candidate, after the stored token was refused, is weighed like any other', () => {
    const row = { state: 'uncertain', reason: reasons.storedRefused } as const;
    const refused = { succeedsStored: false, refusals: 1, spent: false, replayed: false };
    const first = weigh({ rotation: 'none', row, candidate: { ...refused, refusals: 0 } });
    expect(first).toMatchObject({ state: 'uncertain', reason: reasons.storedRefused, retryInMs: 30_000 });
    expect(weigh({ rotation: 'none', row, candidate: refused }).state).toBe('suspect');
    // That the stored token was sent after it arrived says something about a successor only.
    const replayed = { ...refused, replayed: true };
    expect(weigh({ rotation: 'none', row, candidate: replayed })).toMatchObject({
      state: 'suspect',
      reason: 'refused',
    });
  });

  it('of a candidate that is no successor of the stored token never stands for that one', () => {
    const refused = { ...candidate, succeedsStored: false };
    expect(weigh({ rotation: 'strict', reuse: 'revokes_family', candidate: refused })).toMatchObject({
      state: 'uncertain',
      reason: 'candidate',
    });
  });

  it('of a successor does not stand for the stored token while another candidate is left', () => {
    const left = { rotation: 'strict', reuse: 'revokes_family', candidate, candidatesLeft: true } as const;
    expect(weigh(left)).toMatchObject({ state: 'uncertain', reason: 'candidate', retryInMs: 30_000 });
  });

  it('decides nothing while another attempt may still bring tokens, and waits for its end', () => {
    const row = { state: 'suspect' } as const;
    expect(weigh({ rotation: 'strict', row, others: [attempt('open', 60_000)] })).toEqual({
      state: 'uncertain',
      reason: 'other_attempt_open',
      retryInMs: 40_000,
    });
    expect(weigh({ rotation: 'strict', row, others: [attempt('open', 100_000)] }).reason).toBe('lost_rotation');
  });

  it.each([
    [4, 4, 'reauthorization_required'],
    [5, 5, 'suspect'],
    [5, 24, 'suspect'],
    [5, 25, 'reauthorization_required'],
    [200, 1_000, 'reauthorization_required'],
    [201, 1_000, 'suspect'],
  ])('together with the refusals of %d grants of %d makes it %s', (refused, tried, state) => {
    const row = { state: 'suspect', doubt_since: nowMs - 60_000 } as const;
    expect(weigh({ rotation: 'strict', row, provider: { refused, tried, failed: 0 } }).state).toBe(state);
  });

  it.each([
    [4, 1, 1, 'reauthorization_required'],
    [5, 1, 1, 'suspect'],
    [5, 1, 2, 'reauthorization_required'],
  ])(
    'while the provider failed for %d grants, and refused %d of %d others, makes it %s',
    (failed, refused, tried, state) => {
      const row = { state: 'suspect', doubt_since: nowMs - 60_000 } as const;
      expect(weigh({ rotation: 'strict', row, provider: { failed, refused, tried } }).state).toBe(state);
    },
  );

  it('is believed in the end, even if many other grants are refused', () => {
    const row = { state: 'suspect', doubt_since: nowMs - 3_600_000 } as const;
    expect(weigh({ rotation: 'none', row, provider: { refused: 9, tried: 9, failed: 0 } }).state).toBe(
      'reauthorization_required',
    );
  });

  it('inside the overlap of a spent token is checked again during the overlap, a limited number of times', () => {
    const lost = { rotation: 'timed_overlap', overlapLeftMs: 20_000, overlapPauseMs: 10_000 } as const;
    const row = { state: 'suspect', doubt_since: nowMs - 60_000 } as const;
    const others = [attempt('unknown', 40_000), attempt('refused', 10_000)];
    expect(weigh({ ...lost, row, others })).toMatchObject({ state: 'suspect', retryInMs: 10_000 });
    // The pause between two refusals has passed, and the overlap still runs.
    const late = [attempt('unknown', 40_000), attempt('refused', 35_000)];
    expect(weigh({ ...lost, row, others: late })).toMatchObject({ state: 'suspect', retryInMs: 10_000 });
    const calm = [...others, attempt('refused', 30_000)];
    expect(weigh({ ...lost, row, others: calm, overlapLeftMs: 0 }).state).toBe('reauthorization_required');
    const often = [...calm, ...Array.from({ length: 4 }, () => attempt('refused', 5_000))];
    expect(weigh({ ...lost, row, others: often }).state).toBe('reauthorization_required');
    // Nothing was lost, so the token is not spent.
    expect(weigh({ ...lost, row }).state).toBe('reauthorization_required');
  });

  it('is no confirmation of one that came a moment before, in an overlap or because an operator asked', () => {
    const row = { state: 'suspect', doubt_since: nowMs - 60_000 } as const;
    const hasty = Array.from({ length: 6 }, (_, index) => attempt('refused', 1_000 * (index + 1)));
    expect(weigh({ rotation: 'none', row, others: hasty })).toMatchObject({ state: 'suspect', retryInMs: 24_000 });
    const others = [attempt('unknown', 40_000), ...hasty];
    const lost = { rotation: 'timed_overlap', row, others, overlapPauseMs: 1_000 } as const;
    expect(weigh({ ...lost, overlapLeftMs: 2_000 })).toMatchObject({ state: 'suspect', retryInMs: 1_000 });
    expect(weigh({ ...lost, overlapLeftMs: 0 })).toMatchObject({ state: 'suspect', retryInMs: 24_000 });
    // A clock that was set back does not make the wait longer.
    const ahead = [attempt('refused', -3_600_000)];
    expect(weigh({ rotation: 'none', row, others: ahead })).toMatchObject({ state: 'suspect', retryInMs: 30_000 });
  });

  it('that is not believed because of other grants is checked again while their refusals count', () => {
    const row = { state: 'suspect', doubt_since: nowMs - 60_000 } as const;
    const verdict = weigh({ rotation: 'none', row, provider: { refused: 9, tried: 9, failed: 0 } });
    expect(verdict.retryInMs).toBeLessThan(300_000);
  });
});

function weigh(
  evidence: { rotation: Rotation; reuse?: 'error' | 'revokes_family'; row?: Partial<GrantRow> } & Partial<
    Omit<RefusalEvidence, 'row'>
  >,
) {
  const { rotation, reuse = 'error', row, ...rest } = evidence;
  const definition = parseProviderDefinition({
    id: 'example',
    endpoints: { token: 'https://example.com/token' },
    refreshToken: { rotation, reuse },
    api: { hosts: ['https://example.com'] },
  });
  return weighRefusal({
    definition,
    row: grantRow(row),
    candidate: null,
    candidatesLeft: false,
    others: [],
    nowMs,
    flightMs: 100_000,
    confirmMs: 30_000,
    overlapLeftMs: null,
    overlapPauseMs: 30_000,
    provider: { tried: 1, refused: 1, failed: 0 },
    windowMs: 300_000,
    suspendedMsMax: 3_600_000,
    ...rest,
  });
}

function attempt(outcome: AttemptRow['outcome'], agoMs: number): AttemptRow {
  return {
    id: 'an-attempt',
    tenant: 'acme',
    grant_id: 'a-grant',
    fence: 1,
    generation: 1,
    token_fingerprint: 'fingerprint',
    candidate_id: null,
    owner: 'host:1:a',
    started_at: nowMs - agoMs,
    finished_at: outcome === 'open' ? null : nowMs - agoMs,
    outcome,
    detail: null,
  };
}
