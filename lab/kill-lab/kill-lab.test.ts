/**
 * A short kill lab: every rotation class on both databases, with a few dozen kills. `npm run kill-lab` runs longer
 * ones.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rotationProfiles } from '../../src/simulator/index.ts';
import { scratchDatabase } from '../../test/support/postgres.ts';
import { runLab } from './lab.ts';
import type { LabOptions } from './options.ts';
import { resultTable } from './report.ts';
import { inMemoryMsMax, judgeRun, type LabResult, type Run } from './verdict.ts';

const seed = Number(process.env['GRANTRY_KILL_LAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const results: LabResult[] = [];

beforeAll(() => {
  process.stdout.write(`kill lab: GRANTRY_KILL_LAB_SEED=${seed}\n`);
});

afterAll(() => {
  process.stdout.write(`${resultTable(results)}\n`);
});

describe.each(rotationProfiles)('where refresh tokens are %s', (rotation) => {
  test('no killed process loses what had arrived, on SQLite', { timeout: 120_000 }, async () => {
    judge(await runLab(options(rotation, 'sqlite')));
  });

  test('no killed process loses what had arrived, on PostgreSQL', { timeout: 120_000 }, async () => {
    await using scratch = await scratchDatabase();
    judge(await runLab(options(rotation, scratch.database)));
  });
});

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

/** Builds a run with one strict grant whose only holder was killed some time after its answer arrived. */
function diedWith({ memoryMs, waitedMs = 0 }: { memoryMs: number; waitedMs?: number }): Run {
  const tenant = 'tenant-0';
  const open = [{ tenant, grantId: 'g', generation: 1, attemptId: 'a' }];
  const lastIssued = { at: 900, token: 'old', successor: 'new' };
  const facts = { family: 'f', alive: 'new', requests: 2, replays: 1, worst: 2, lastRequestAt: 5_000, lastIssued };
  return {
    options: options('strict', 'sqlite'),
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

/** A run whose kills met no request proves nothing. */
function judge(result: LabResult): void {
  results.push(result);
  expect(result.counted).toBeGreaterThan(0);
  expect(result.refreshes).toBeGreaterThan(0);
  expect(result).toMatchObject({ broken: [] });
}

function options(rotation: string, database: string): LabOptions {
  const strict = rotation.startsWith('strict');
  return {
    rotation,
    database,
    seed,
    kills: 20,
    // Strict leases last two minutes; the other classes' overlap must outlast a slow machine.
    scale: strict ? 0.04 : 0.5,
    workers: 3,
    grants: 60,
    delayMs: [20, 500],
    pauseShare: 0.1,
    minutesMax: 0.15,
    onProgress: () => {},
  };
}
