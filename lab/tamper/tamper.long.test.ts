import { expect, it } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../test/support/postgres.ts';
import { guards } from './guards.ts';
import { hunt } from './hunt.ts';
import { tamper } from './tamper.ts';

const seed = (Math.random() * 2 ** 31) | 0;

it.each(['sqlite', 'postgres'] as const)(
  `20 s of a writer of the database, seed ${seed}, on %s: nothing leaves, and altered rows are named (npm run tamper does more)`,
  async (kind) => {
    await using places = new AsyncDisposableStack();
    const renew = async (): Promise<string> =>
      places.use(kind === 'sqlite' ? scratchSqlite() : await scratchDatabase()).database;
    const { leaks, findings, rounds } = await tamper({ database: await renew(), seed, seconds: 20, renew });
    expect([...leaks, ...findings]).toEqual([]);
    expect(rounds).toBeGreaterThan(0);
  },
);

it.each(guards.map((guard) => [guard.name, guard] as const))(
  `without the guard %s, something is used at a wrong place, seed ${seed}`,
  async (_, guard) => {
    // Long, for a slow machine: it ends with the first leak.
    expect((await hunt(guard, 'sqlite', { seed, seconds: 300 })).leak).toBeDefined();
  },
);
