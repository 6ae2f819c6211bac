/** The kill lab, very briefly: one class of rotation per database. `kill-lab.long.test.ts` has all of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scratchDatabase } from '../../test/support/postgres.ts';
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

test('no killed process loses an answer that had arrived, on SQLite', () => judge('timed_overlap', 'sqlite'));

test('no killed process loses an answer that had arrived, on PostgreSQL', async () => {
  await using scratch = await scratchDatabase();
  await judge('strict', scratch.database);
});

async function judge(rotation: string, database: string): Promise<void> {
  const result = await runLab(smallRun({ rotation, database, kills: 5, seed }));
  results.push(result);
  expect(result.counted).toBeGreaterThan(0);
  expect(result.refreshes).toBeGreaterThan(0);
  expect(result).toMatchObject({ broken: [] });
}
