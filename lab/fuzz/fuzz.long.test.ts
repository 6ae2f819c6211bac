import { expect, it } from 'vitest';
import { databaseKinds } from '../../test/support/bench.ts';
import { scratchDatabase } from '../../test/support/postgres.ts';
import { fuzzAnswers } from './answers.ts';
import { fuzz } from './fuzz.ts';

const seed = 20_261_122;

it.each(databaseKinds)(
  `a thousand mutated requests on %s, seed ${seed}: no undocumented 5xx, no defect, no secret`,
  async (kind) => {
    await using scratch = kind === 'postgres' ? await scratchDatabase() : undefined;
    const place = scratch === undefined ? {} : { database: scratch.database };
    const { findings, statuses } = await fuzz({ count: 1_000, seed, ...place });
    expect(findings).toEqual([]);
    // The requests reached the routes, not only the checks before them.
    for (const status of [200, 400, 401, 403, 404]) expect([status, statuses.has(status)]).toEqual([status, true]);
  },
);

it(`ten thousand broken answers, seed ${seed}: no whole token is lost (npm run fuzz answers reads more)`, () => {
  expect(fuzzAnswers({ count: 10_000, seed }).findings).toEqual([]);
});
