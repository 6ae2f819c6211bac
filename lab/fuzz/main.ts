/**
 * `npm run fuzz [COUNT] [SEED]`: sends mutated requests to a running server, 100,000 by default. They cover every
 * described route and raw bytes. No answer may be an undocumented 5xx or contain a planted secret, and the server must
 * survive.
 *
 * `npm run fuzz answers [COUNT] [SEED]`: reads token answers of real providers that were broken at random. No whole
 * token may be lost, and no foreign one taken.
 */
import { fuzzAnswers } from './answers.ts';
import { fuzz } from './fuzz.ts';

const ofAnswers = process.argv[2] === 'answers';
const [given, givenSeed] = process.argv.slice(ofAnswers ? 3 : 2);
const count = Number(given ?? 100_000);
const seed = Number(givenSeed ?? (Math.random() * 2 ** 31) | 0);
if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed)) {
  process.stderr.write('npm run fuzz [answers] [COUNT] [SEED]: both are whole numbers.\n');
  process.exit(2);
}
process.stdout.write(`seed ${seed}\n`);
const findings = ofAnswers ? readAnswers() : await sendRequests();
for (const finding of findings) process.stdout.write(`✗ ${finding}\n`);
const again = `npm run fuzz -- ${ofAnswers ? 'answers ' : ''}${count} ${seed}`;
process.stdout.write(findings.length === 0 ? '✓ nothing found\n' : `Again: ${again}\n`);
process.exitCode = findings.length === 0 ? 0 : 1;

function readAnswers(): readonly string[] {
  const report = fuzzAnswers({ count, seed });
  const fates = [...report.fates].map(([fate, times]) => `${fate}: ${times}`).join(', ');
  process.stdout.write(`${count} answers, ${report.whole} with a whole living refresh token; ${fates}\n`);
  return report.findings;
}

async function sendRequests(): Promise<readonly string[]> {
  const report = await fuzz({ count, seed, onProgress: (done) => process.stderr.write(`\r  ${done} of ${count}`) });
  process.stderr.write('\n');
  const statuses = [...report.statuses].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`);
  process.stdout.write(`${count} requests; ${statuses.join(', ')} (0: closed without an answer)\n`);
  return report.findings;
}
