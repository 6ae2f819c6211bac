import { expect, it } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../test/support/postgres.ts';
import { tamper } from './tamper.ts';

const seed = (Math.random() * 2 ** 31) | 0;

it.each(['sqlite', 'postgres'] as const)(
  `20 s of a writer of the database, seed ${seed}, on %s: nothing leaves, and altered rows are named (npm run tamper does more)`,
  async (kind) => {
    await using places = new AsyncDisposableStack();
    const renew = async (): Promise<string> =>
      places.use(kind === 'sqlite' ? scratchSqlite() : await scratchDatabase()).database;
    const { findings, rounds } = await tamper({ database: await renew(), seed, seconds: 20, renew });
    expect([...findings]).toEqual([]);
    expect(rounds).toBeGreaterThan(0);
  },
);
