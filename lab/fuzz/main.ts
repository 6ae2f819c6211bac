/**
 * `npm run fuzz [COUNT] [SEED] [--database sqlite|postgres|both]`: sends mutated requests to a running server, 100,000 by
 * default. They cover every described route and raw bytes. No answer may be an undocumented 5xx or contain a planted secret,
 * and the server must survive.
 *
 * `npm run fuzz answers [COUNT] [SEED]`: reads token answers of real providers that were broken at random. No whole
 * token may be lost, and no foreign one taken.
 */
import { parseArgs } from 'node:util';
import { scratchServer } from '../../scripts/scratch-postgres.ts';
import { fuzzAnswers } from './answers.ts';
import { fuzz } from './fuzz.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { database: { type: 'string', default: 'sqlite' } },
});
const ofAnswers = positionals[0] === 'answers';
const [given, givenSeed] = positionals.slice(ofAnswers ? 1 : 0);
const count = Number(given ?? 100_000);
const seed = Number(givenSeed ?? (Math.random() * 2 ** 31) | 0);
const databases = values.database === 'both' ? ['sqlite', 'postgres'] : [values.database];
const isKnown = databases.every((name) => name === 'sqlite' || name === 'postgres');
if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed) || !isKnown) {
  process.stderr.write('npm run fuzz [answers] [COUNT] [SEED] [--database sqlite|postgres|both]: two whole numbers.\n');
  process.exit(2);
}
process.stdout.write(`seed ${seed}\n`);
const findings: string[] = [];
if (ofAnswers) findings.push(...readAnswers());
else for (const name of databases) findings.push(...(await sendRequests(name)));
for (const finding of findings) process.stdout.write(`✗ ${finding}\n`);
const again = `npm run fuzz -- ${ofAnswers ? 'answers ' : ''}${count} ${seed}${ofAnswers ? '' : ` --database ${values.database}`}`;
process.stdout.write(findings.length === 0 ? '✓ nothing found\n' : `Again: ${again}\n`);
process.exitCode = findings.length === 0 ? 0 : 1;

function readAnswers(): readonly string[] {
  const report = fuzzAnswers({ count, seed });
  const fates = [...report.fates].map(([fate, times]) => `${fate}: ${times}`).join(', ');
  process.stdout.write(`${count} answers, ${report.whole} with a whole living refresh token; ${fates}\n`);
  return report.findings;
}

async function sendRequests(name: string): Promise<readonly string[]> {
  await using postgres = name === 'postgres' ? await scratchServer() : undefined;
  const database = await postgres?.scratch();
  const onProgress = (done: number): void => void process.stderr.write(`\r  ${name}: ${done} of ${count}`);
  const report = await fuzz({ count, seed, onProgress, ...(database === undefined ? {} : { database }) });
  process.stderr.write('\n');
  const statuses = [...report.statuses].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`);
  process.stdout.write(`${name}: ${count} requests; ${statuses.join(', ')} (0: closed without an answer)\n`);
  return report.findings.map((finding) => `${name}: ${finding}`);
}
