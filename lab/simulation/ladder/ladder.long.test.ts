/**
 * The fault ladder: the n-th call of any kind fails, n = 1, 2, 3 … until a run has no failure, for each operation and on
 * both databases. The ring of tests climbs at one provider of each database, `npm run ladder` at both.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('./ladder-process.ts', import.meta.url));

const rungSchema = z.object({
  provider: z.string(),
  when: z.string(),
  n: z.number(),
  failed: z.string().nullable(),
  outcome: z.string(),
  violations: z.array(z.string()),
});

/** Minimum number of calls of each operation: a ladder that ends at its first rung proves nothing. */
const operations = [
  ['store tokens', 8],
  ['hand out', 20],
  ['reject', 20],
  ['authorize and complete', 20],
  ['disconnect', 12],
  ['adopt the spool', 15],
  ['recover', 20],
] as const;

const isWhole = process.env['GRANTRY_LADDER'] === 'whole';
const places = [
  { kind: 'sqlite', providers: isWhole ? ['strict', 'retire_on_use'] : ['retire_on_use'] },
  { kind: 'postgres', providers: isWhole ? ['strict', 'retire_on_use'] : ['strict'] },
] as const;

describe.each(places)('on $kind', ({ kind, providers }) => {
  it.each(operations)('%s survives the failure of each of its calls', async (operation, atLeast) => {
    await using scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    const args = [program, scratch.database, operation, ...providers];
    const { stdout } = await run(process.execPath, args, { maxBuffer: 2 ** 26 });
    const rungs = stdout
      .trim()
      .split('\n')
      .map((line) => rungSchema.parse(JSON.parse(line)));
    expect(rungs.filter(({ violations }) => violations.length > 0)).toEqual([]);
    const last = rungs.filter(({ failed }) => failed === null);
    // Each provider, failing before and after: each of these ladders was climbed to its end.
    expect(last).toHaveLength(providers.length * 2);
    expect(Math.max(...last.map(({ n }) => n))).toBeGreaterThan(atLeast);
  });
});
