/**
 * `npm run fuzz [COUNT] [SEED]`: sends mutated requests to a running server, 100,000 by default. They cover every
 * described route and raw bytes. No answer may be an undocumented 5xx or contain a planted secret, and the server must
 * survive.
 */
import { fuzz } from './fuzz.ts';

const count = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? (Math.random() * 2 ** 31) | 0);
if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed)) {
  process.stderr.write('npm run fuzz [COUNT] [SEED]: both are whole numbers.\n');
  process.exit(2);
}
process.stdout.write(`seed ${seed}\n`);
const report = await fuzz({
  count,
  seed,
  onProgress: (done) => process.stderr.write(`\r  ${done} of ${count}`),
});
process.stderr.write('\n');
const statuses = [...report.statuses].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`);
process.stdout.write(`${count} requests; ${statuses.join(', ')} (0: closed without an answer)\n`);
for (const finding of report.findings) process.stdout.write(`✗ ${finding}\n`);
process.stdout.write(report.findings.length === 0 ? '✓ nothing found\n' : `Again: npm run fuzz -- ${count} ${seed}\n`);
process.exitCode = report.findings.length === 0 ? 0 : 1;
