/** A short run of restarts under load; `npm run restarts` runs for two minutes. */
import { expect, test } from 'vitest';
import { scratchDatabase } from '../../test/support/postgres.ts';
import { type RestartsOptions, runRestarts } from './lab.ts';

const options = { seconds: 8, everyMs: 1_500, callers: 6, grants: 8, delayMs: [10, 150] } as const;

test('no accepted request fails and no rotation is lost on SQLite', async () => {
  await check({ ...options, database: 'sqlite' });
});

test('no accepted request fails and no rotation is lost on PostgreSQL', async () => {
  await using scratch = await scratchDatabase();
  await check({ ...options, database: scratch.database });
});

async function check(run: RestartsOptions): Promise<void> {
  const result = await runRestarts(run);
  expect(result.broken).toEqual([]);
  expect(result.restarts).toBeGreaterThan(0);
  expect(result.refreshes).toBeGreaterThan(run.grants * 2);
}
