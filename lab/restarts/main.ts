/**
 * `npm run restarts -- --minutes 2 --database sqlite`: restarts two servers on one database in turn, one SIGTERM every
 * two seconds, while callers request tokens. Exits 1 when an accepted request failed or a rotation was lost.
 */
import { parseArgs } from 'node:util';
import { scratchServer } from '../../scripts/scratch-postgres.ts';
import { requirePackages } from '../../scripts/steps.ts';
import { runRestarts } from './lab.ts';

const usage = `npm run restarts -- [options]
  --minutes N      how long, for each database (2)
  --every MS       between two SIGTERM (2000)
  --database NAME  sqlite, postgres or both (both); postgres is started for the run, or GRANTRY_TEST_POSTGRES_URL is used
  --callers N      callers at once (16)
  --grants N       grants at each of two providers, one timed_overlap and one strict (30)
  --json           the results as JSON
`;

requirePackages();
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    every: { type: 'string', default: '2000' },
    database: { type: 'string', default: 'both' },
    callers: { type: 'string', default: '16' },
    grants: { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit();
}
const databases = values.database === 'both' ? ['sqlite', 'postgres'] : [values.database];
const postgres = databases.includes('postgres') ? await scratchServer() : undefined;
try {
  for (const name of databases) {
    const result = await runRestarts({
      database: name === 'postgres' ? ((await postgres?.scratch()) ?? '') : 'sqlite',
      seconds: Number(values.minutes) * 60,
      everyMs: Number(values.every),
      callers: Number(values.callers),
      grants: Number(values.grants),
      delayMs: [10, 250],
    });
    const { broken, ...figures } = result;
    process.stdout.write(
      `${values.json ? JSON.stringify({ database: name, ...result }) : `${name}: ${said(figures)}`}\n`,
    );
    for (const promise of broken.slice(0, 20)) process.stdout.write(`  broken: ${promise}\n`);
    if (broken.length > 0) process.exitCode = 1;
  }
} finally {
  await postgres?.[Symbol.asyncDispose]();
}

function said(figures: Omit<Awaited<ReturnType<typeof runRestarts>>, 'broken'>): string {
  const { restarts, requests, refused, resets, shed, refreshes, replays, stopMs, waitMs } = figures;
  return [
    `${restarts} restarts, ${requests} requests answered, ${refreshes} refreshes, ${replays} with a spent token`,
    `repeated: ${refused} refused connections, ${resets} ended before an answer, ${shed} answered 429`,
    `stopping took ${stopMs.p50} ms (p50) to ${stopMs.max} ms, a caller waited ${waitMs.p50} ms (p50), ${waitMs.p99} ms (p99), ${waitMs.max} ms at most`,
  ].join('; ');
}
