import { describe, expect, test } from 'vitest';
import { smallRun } from './small-run.ts';
import { inMemoryMsMax, judgeRun, type Run } from './verdict.ts';

describe('an answer that was in the memory of a killed process', () => {
  test('is lost by the rules when it had just come', () => {
    expect(judgeRun(diedWith({ memoryMs: inMemoryMsMax }))).toMatchObject({ lost: 1, broken: [] });
  });

  test('breaks a promise when there was time to keep it', () => {
    const result = judgeRun(diedWith({ memoryMs: inMemoryMsMax + 1 }));
    expect(result).toMatchObject({ memoryOwnMsMax: inMemoryMsMax + 1, losses: { in_memory: 1 } });
    expect(result.broken).toEqual(['an answer that has arrived is kept at once']);
    expect(result.stories).toHaveLength(1);
  });

  test('may have waited for a processor meanwhile', () => {
    const result = judgeRun(diedWith({ memoryMs: 900, waitedMs: 800 }));
    expect(result).toMatchObject({ memoryMsMax: 900, memoryOwnMsMax: 100, broken: [] });
  });
});

test('an answer whose process was stopped before its commit came late on a host of its own, and was kept on a shared one', () => {
  const run = (database: string): Run => {
    const died = diedWith({ memoryMs: 900 });
    return {
      ...died,
      options: { ...died.options, database },
      deeds: died.deeds.map((deed) => ({ ...deed, open: [] })),
      pauses: [{ pid: 7, from: 1_080, until: 1_900 }],
      judgement: { ...died.judgement, families: died.judgement.families.map((family) => ({ ...family, alive: null })) },
    };
  };
  expect(judgeRun(run('postgres://host/name'))).toMatchObject({ losses: { came_late: 1, kept: 0 }, broken: [] });
  expect(judgeRun(run('sqlite')).losses).toMatchObject({ came_late: 0, kept: 1 });
});

/** One strict grant, whose only holder was killed so long after its answer had come. */
function diedWith({ memoryMs, waitedMs = 0 }: { memoryMs: number; waitedMs?: number }): Run {
  const tenant = 'tenant-0';
  const open = [{ tenant, grantId: 'g', generation: 1, attemptId: 'a' }];
  const lastIssued = { at: 900, token: 'old', successor: 'new' };
  const facts = { family: 'f', alive: 'new', requests: 2, replays: 1, worst: 2, lastRequestAt: 5_000, lastIssued };
  return {
    options: smallRun({ rotation: 'strict', database: 'sqlite', kills: 1, seed: 1 }),
    kills: { all: 1, counted: 1, pauses: 0, seconds: 1 },
    deeds: [{ at: 1_000 + memoryMs, goneAt: 2_000 + memoryMs, pid: 7, waitedMs: 40 + waitedMs, open, spooled: [] }],
    pauses: [],
    families: new Map([[tenant, 'f']]),
    healed: [{ tenant, outcome: 'reauthorization_required', reason: 'lost_rotation' }],
    judgement: { families: [facts], tokenRequests: 2, replays: 1 },
    duplicateSpendsBeforeHealing: 1,
    replacedMs: [],
    grants: [],
    events: [{ tenant, type: 'grant.reauthorization_required', reason: 'lost_rotation', at: 5_000 }],
    arrived: new Map([['new', { at: 1_000, pid: 7, waitedMs: 40 }]]),
  };
}
