/**
 * The kill lab, briefly: every class of rotation on both databases, with a few dozen kills. `npm run kill-lab` does the
 * same for as long as one likes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type LabOptions, runLab } from '../scripts/kill-lab/lab.ts';
import { resultTable } from '../scripts/kill-lab/report.ts';
import type { LabResult } from '../scripts/kill-lab/verdict.ts';
import { rotationProfiles } from '../src/simulator/index.ts';
import { scratchDatabase } from './postgres.ts';

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

/** A run that killed nobody in the act has shown nothing. */
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
    // Strict leases last two minutes; the overlap of the others must outlast a slow machine.
    scale: strict ? 0.04 : 0.5,
    workers: 3,
    grants: 60,
    delayMs: [20, 500],
    pauseShare: 0.1,
    minutesMax: 0.15,
    onProgress: () => {},
  };
}
