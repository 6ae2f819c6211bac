import { expect, it } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../test/support/postgres.ts';
import { killReseals } from './reseal.ts';

const seed = (Math.random() * 2 ** 31) | 0;

it.each(['sqlite', 'postgres'] as const)(
  `an upgrade of 2,000 grants on %s that is killed five times, seed ${seed}, loses none (npm run reseal does more)`,
  async (kind) => {
    await using places = new AsyncDisposableStack();
    const fresh = async (): Promise<string> =>
      places.use(kind === 'sqlite' ? scratchSqlite() : await scratchDatabase()).database;
    const report = await killReseals({ grants: 2_000, kills: 5, seed, fresh });
    expect(report.findings).toEqual([]);
    expect(report.before + report.after).toBe(5);
  },
);
