/**
 * `npm run kill-lab -- --kills 1000 --database postgres --rotation timed_overlap [--seed N]`: kills real processes
 * while they refresh, and compares their grants with the simulated provider's history. Exits 1 when a promise is
 * broken.
 */
import { parseArgs } from 'node:util';
import { scratchServer } from '../../scripts/scratch-postgres.ts';
import { requirePackages } from '../../scripts/steps.ts';
import { rotationProfiles } from '../../src/simulator/index.ts';
import { runLab } from './lab.ts';
import type { LabOptions } from './options.ts';
import { lossText, promises, resultTable } from './report.ts';
import type { LabResult } from './verdict.ts';

const usage = `npm run kill-lab -- [options]
  --kills N        kills that must meet an open attempt, of each class and database (100)
  --database NAME  sqlite, postgres or both (both); postgres is started for the run, or GRANTRY_TEST_POSTGRES_URL is used
  --rotation NAME  ${rotationProfiles.join(', ')} or all (all)
  --seed N         repeats the choices of a run (random)
  --scale X        multiplies every time of the library (1; 0.1 for strict classes, whose leases last two minutes)
  --workers N      processes that are killed (4)
  --grants N       grants alive at any time (150)
  --pauses X       share of SIGSTOP past the lease, from 0 to 1 (0.15)
  --minutes N      the most minutes for each class and database (60)
  --json           the results as JSON
`;

requirePackages();
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    database: { type: 'string', default: 'both' },
    rotation: { type: 'string', default: 'all' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    scale: { type: 'string' },
    workers: { type: 'string', default: '4' },
    grants: { type: 'string', default: '150' },
    pauses: { type: 'string', default: '0.15' },
    minutes: { type: 'string', default: '60' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit();
}
const databases = chosen('database', values.database, ['sqlite', 'postgres'], 'both');
const rotations = chosen('rotation', values.rotation, rotationProfiles, 'all');
const postgres = databases.includes('postgres') ? await scratchServer() : undefined;
const results: LabResult[] = [];
try {
  say(`seed ${values.seed}, ${values.kills} counted kills each\n`);
  for (const rotation of rotations) {
    for (const database of databases) {
      const place = database === 'sqlite' ? 'sqlite' : ((await postgres?.scratch()) ?? '');
      // One after the other: runs at the same time would compete for the processor.
      results.push(await runLab(optionsFor(rotation, database, place)));
      clearLine();
      const latest = results.at(-1);
      if (latest !== undefined) say(`${summary(latest)}\n`);
    }
  }
} finally {
  await postgres?.[Symbol.asyncDispose]();
}
process.stdout.write(values.json ? `${JSON.stringify(results, null, 2)}\n` : `\n${resultTable(results)}\n`);
process.exitCode = results.some(({ broken }) => broken.length > 0) ? 1 : 0;

function optionsFor(rotation: string, name: string, database: string): LabOptions {
  return {
    rotation,
    database,
    kills: numberOf('kills', values.kills),
    seed: numberOf('seed', values.seed),
    scale: numberOf('scale', values.scale ?? (rotation.startsWith('strict') ? '0.1' : '1')),
    workers: numberOf('workers', values.workers),
    grants: numberOf('grants', values.grants),
    pauseShare: numberOf('pauses', values.pauses),
    minutesMax: numberOf('minutes', values.minutes),
    delayMs: [20, 500],
    onProgress: ({ counted, kills, pauses, condemned, seconds }) => {
      if (!process.stderr.isTTY) return;
      const rate = (kills / Math.max(1, seconds)).toFixed(1);
      clearLine();
      say(
        `${rotation}, ${name}: ${counted} of ${values.kills} (${kills} kills, ${pauses} pauses, ${condemned} over, ${rate}/s)`,
      );
    },
  };
}

function summary(result: LabResult): string {
  const { rotation, database, scale, counted, kills, seconds, falseDeaths, refreshes, revived, broken, stories } =
    result;
  const facts = `${counted} counted of ${kills} kills in ${seconds.toFixed(0)} s, ${refreshes} refreshes, lost: ${lossText(result)}, ${falseDeaths} false deaths, ${revived} revived`;
  const verdict = broken.length === 0 ? `✓ ${promises[rotation] ?? ''}` : `✗ broken: ${broken.join('; ')}`;
  return [`${rotation}, ${database}, times × ${scale}: ${facts}`, verdict, ...stories].join('\n  ');
}

function chosen(option: string, value: string, known: readonly string[], all: string): readonly string[] {
  if (value === all) return known;
  if (known.includes(value)) return [value];
  return refuse(`--${option} is one of ${known.join(', ')}, ${all}.`);
}

function numberOf(option: string, value: string): number {
  const number = Number(value);
  if (Number.isFinite(number) && number >= 0) return number;
  return refuse(`--${option} is a number.`);
}

function refuse(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(2);
}

function say(text: string): void {
  process.stderr.write(text);
}

function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
}
