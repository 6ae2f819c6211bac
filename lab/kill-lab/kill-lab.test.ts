/** The kill lab, very briefly: one class of rotation on SQLite. `kill-lab.long.test.ts` has all of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runLab } from './lab.ts';
import { resultTable } from './report.ts';
import { smallRun } from './small-run.ts';
import type { LabResult } from './verdict.ts';

const seed = Number(process.env['GRANTRY_KILL_LAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const results: LabResult[] = [];

beforeAll(() => {
  process.stdout.write(`kill lab: GRANTRY_KILL_LAB_SEED=${seed}\n`);
});

afterAll(() => {
  process.stdout.write(`${resultTable(results)}\n`);
});

test('no killed process loses an answer that had arrived', async () => {
  const result = await runLab(smallRun({ rotation: 'timed_overlap', database: 'sqlite', kills: 5, seed }));
  results.push(result);
  expect(result.counted).toBeGreaterThan(0);
  expect(result.refreshes).toBeGreaterThan(0);
  expect(result).toMatchObject({ broken: [] });
});
