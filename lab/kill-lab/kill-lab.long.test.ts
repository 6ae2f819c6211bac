/**
 * The kill lab, briefly: every class of rotation on one of the databases, which the seed decides. `npm run kill-lab` runs
 * it on both, for as long as you like.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rotationProfiles } from '../../src/simulator/index.ts';
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

/** Half of the classes run on each database. The next seed swaps them. */
const runs = rotationProfiles.map((rotation, index) => ({
  rotation,
  database: (index + seed) % 2 === 0 ? ('SQLite' as const) : ('PostgreSQL' as const),
}));

test.each(runs)(
  'no killed process loses an answer that had arrived: $rotation on $database',
  async ({ rotation, database }) => {
    if (database === 'SQLite') {
      await judge(rotation, 'sqlite');
      return;
    }
    await using scratch = await scratchDatabase();
    await judge(rotation, scratch.database);
  },
);

async function judge(rotation: string, database: string): Promise<void> {
  const result = await runLab(smallRun({ rotation, database, kills: 14, seed }));
  results.push(result);
  expect(result.counted).toBeGreaterThan(0);
  expect(result.refreshes).toBeGreaterThan(0);
  expect(result.broken, result.stories.join('\n')).toEqual([]);
}
