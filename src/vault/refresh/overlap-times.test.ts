/** Deadlines and pauses around the overlap in which a provider still accepts a spent token. */
import { expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { AttemptRow } from '../../storage/statements/attempts.ts';
import { internalsOf } from '../internals.ts';
import { deadlineFor, isReplayFatal, isUrgent, pauseInOverlap, waitForLateAnswer } from './overlap.ts';

it('leaves room for a replay in the deadline, as long as there is any', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { context, definition } = await partsOf(bench, 60);
  const deadline = (leftMs: number | null, prior: readonly AttemptRow[] = [], each = definition) =>
    deadlineFor(context, each, { leftMs, prior });
  expect([null, 0, -1].map((leftMs) => deadline(leftMs))).toEqual([45_000, 45_000, 45_000]);
  expect(deadline(40_000)).toBe(25_000);
  expect(deadline(20_000)).toBe(5_000);
  expect(deadline(19_999)).toBe(90_000);
  // Half of a short overlap is room enough, and a long one makes the deadline no longer than the longest.
  expect(deadline(null, [], rotating(definition, 'timed_overlap', 20))).toBe(10_000);
  expect(deadline(null, [], rotating(definition, 'timed_overlap', 3_600))).toBe(90_000);
  expect(deadline(null, [], rotating(definition, 'timed_overlap', 10))).toBe(90_000);
  expect(deadline(20_000, [], rotating(definition, 'strict', 60))).toBe(90_000);
  // Where tokens do not rotate, each silent try doubles the time that callers wait.
  const plain = rotating(definition, 'none', 0);
  expect(deadline(null, [], plain)).toBe(30_000);
  expect(deadline(null, [attempt('unknown', 1), attempt('failed', 2)], plain)).toBe(60_000);
  expect(deadline(null, [attempt('unknown', 1), attempt('unknown', 2)], plain)).toBe(90_000);
});

it('shortens a pause to half of the overlap that is left, but not below half of the first back-off', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { context } = await partsOf(bench, 60);
  expect(pauseInOverlap(context, 30_000, null)).toBe(30_000);
  expect(pauseInOverlap(context, 30_000, 0)).toBe(30_000);
  expect(pauseInOverlap(context, 30_000, 20_000)).toBe(10_000);
  expect(pauseInOverlap(context, 30_000, 1)).toBe(1_000);
  expect(pauseInOverlap(context, 4_000, 20_000)).toBe(4_000);
});

it('calls a grant urgent near the end of its overlap, and a replay fatal after it', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { context, definition, row } = await partsOf(bench, 60);
  const now = await context.store.nowMs();
  const urgent = (leftMs: number | null) =>
    isUrgent(context, { ...row, overlap_until: leftMs === null ? null : now + leftMs });
  expect(await urgent(null)).toBe(false);
  expect(await urgent(-1_000)).toBe(false);
  expect(await urgent(170_000)).toBe(true);
  expect(await urgent(600_000)).toBe(false);
  const revokes = { ...definition, refreshToken: { ...definition.refreshToken, reuse: 'revokes_family' as const } };
  expect([null, 0, 1].map((leftMs) => isReplayFatal(revokes, leftMs))).toEqual([true, true, false]);
  expect(isReplayFatal(definition, null)).toBe(false);
});

it('sends nothing after the overlap while an answer may be on its way', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const { context, definition } = await partsOf(bench, 60);
  const now = await context.store.nowMs();
  const waits = (prior: readonly AttemptRow[], each = definition): Promise<number | undefined> =>
    waitForLateAnswer(context, each, prior).then(
      () => 0,
      (error: { retryAfterMs?: number }) => error.retryAfterMs,
    );
  const first = attempt('open', now - 110_000);
  const second = attempt('open', now - 30_000);
  // The overlap began with the first request, and the answer to the second may come.
  const waitMs = await waits([second, first]);
  expect(waitMs).toBeGreaterThan(60_000);
  expect(waitMs).toBeLessThanOrEqual(70_000);
  expect(await waits([second])).toBe(0);
  expect(await waits([first])).toBe(0);
  expect(await waits([])).toBe(0);
  expect(
    await waits([
      { ...second, outcome: 'failed' },
      { ...first, outcome: 'failed' },
    ]),
  ).toBe(0);
  expect(await waits([second, first], rotating(definition, 'none', 0))).toBe(0);
});

async function partsOf(bench: Bench, overlapSeconds: number) {
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
  const context = internalsOf(vault).open();
  const definition = rotating(await context.providers.require('timed_overlap'), 'timed_overlap', overlapSeconds);
  return { context, definition, row: await bench.row(key) };
}

function rotating(
  definition: ProviderDefinition,
  rotation: ProviderDefinition['refreshToken']['rotation'],
  overlapSeconds: number,
): ProviderDefinition {
  return { ...definition, refreshToken: { ...definition.refreshToken, rotation, overlapSeconds } };
}

function attempt(outcome: AttemptRow['outcome'], started_at: number): AttemptRow {
  return {
    id: 'an-attempt',
    tenant: 'acme',
    grant_id: 'a-grant',
    fence: 1,
    generation: 1,
    candidate_id: null,
    token_fingerprint: 'fingerprint',
    owner: 'host:1:a',
    started_at,
    finished_at: null,
    outcome,
    detail: null,
  };
}
