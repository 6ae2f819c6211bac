/**
 * `npm run herd [-- --grants 10000] [--processes 4] [--database sqlite|postgres] [--seconds 300]`: grants that expire
 * at the same moment. Workers must renew each with one request, spread over the time before, within the process's limit
 * of calls.
 */
import { parseArgs } from 'node:util';

import { requirePackages } from '../../scripts/steps.ts';
import { limits } from '../../src/base/limits.ts';
import { type Aim, judge, table } from '../report.ts';
import { type HerdOptions, runHerd } from './herd.ts';

requirePackages();
const { values } = parseArgs({
  options: {
    grants: { type: 'string', default: '10000' },
    processes: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '300' },
    database: { type: 'string', multiple: true, default: ['sqlite', 'postgres'] },
  },
});
const aims: Aim[] = [];
const rows: string[][] = [];
if (values.database.includes('sqlite')) await run('sqlite', 'sqlite');
if (values.database.includes('postgres')) {
  const { scratchServer } = await import('../../scripts/scratch-postgres.ts');
  await using server = await scratchServer();
  await run('postgres', await server.scratch());
}
const head = ['database', 'requests', 'sent twice', 'renewed', 'in time', 'at once, one process', 'at once, all'];
process.stdout.write(`\n${table(head, rows)}\n\n`);
process.exitCode = judge(aims) ? 0 : 1;

async function run(name: string, database: string): Promise<void> {
  const grants = Number(values.grants);
  const options: HerdOptions = {
    grants,
    processes: Number(values.processes),
    database,
    spreadSeconds: Number(values.seconds),
    answerMs: 100,
    timeScale: 1,
    onProgress: (requests) => process.stderr.write(`\r  ${name}: ${requests} requests`),
  };
  const result = await runHerd(options);
  process.stderr.write('\n');
  rows.push([
    name,
    `${result.requests}`,
    `${result.sentTwice}`,
    `${result.renewed}`,
    `${result.inTime}`,
    `${result.mostAtOncePerProcess}`,
    `${result.mostAtOnce}`,
  ]);
  const busiest = Math.max(...result.tenths) / (grants / 10);
  process.stdout.write(`${name}, requests in each tenth of the time, and later: ${result.tenths.join(' ')}\n`);
  aims.push(
    { what: `${name}: requests per grant`, value: result.requests / grants, least: 1, most: 1 },
    { what: `${name}: refresh tokens sent twice`, value: result.sentTwice, most: 0 },
    { what: `${name}: grants renewed`, value: result.renewed, least: grants },
    { what: `${name}: renewed before the old token ended`, value: result.inTime, least: grants },
    {
      what: `${name}: calls at once of one process`,
      value: result.mostAtOncePerProcess,
      most: limits.providerCallsMax,
    },
    { what: `${name}: busiest tenth against an even spread`, value: busiest, most: 2 },
  );
}
