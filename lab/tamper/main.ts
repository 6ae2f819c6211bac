/**
 * `npm run tamper -- [--seconds N] [--database sqlite|postgres|both] [--seed N]`: an attacker with write access to every
 * table, while a vault serves. No refresh token, client secret or access token may reach a host or caller that is not
 * entitled to it, untouched grants must go on, and every altered row must be named. The exit code is 1 otherwise.
 */
import { parseArgs } from 'node:util';
import { scratchSqlite } from '../../test/support/postgres.ts';
import { startPostgres } from '../../test/support/postgres-server.ts';
import { tamper } from './tamper.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    database: { type: 'string', default: 'both' },
    seed: { type: 'string', default: String((Math.random() * 2 ** 31) | 0) },
  },
});
const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
const kinds = values.database === 'both' ? ['sqlite', 'postgres'] : [values.database];
if (!(seconds > 0) || !Number.isSafeInteger(seed) || kinds.some((kind) => kind !== 'sqlite' && kind !== 'postgres')) {
  process.stderr.write('npm run tamper -- [--seconds N] [--database sqlite|postgres|both] [--seed N]\n');
  process.exit(2);
}
process.exitCode = 0;
for (const kind of kinds) if (!(await run(kind))) process.exitCode = 1;

async function run(kind: string): Promise<boolean> {
  process.stdout.write(`${kind}, seed ${seed}, ${seconds / kinds.length} s\n`);
  await using places = new AsyncDisposableStack();
  const renew = async (): Promise<string> => {
    if (kind === 'sqlite') return places.use(scratchSqlite()).database;
    const server = await startPostgres();
    places.defer(() => server.remove());
    return server.url;
  };
  const onProgress = (text: string): void => void process.stderr.write(`\r  ${text}`);
  const database = await renew();
  const report = await tamper({ database, seed, seconds: seconds / kinds.length, renew, onProgress });
  process.stderr.write('\n');
  for (const [name, times] of [...report.tried].toSorted(([one], [other]) => (one < other ? -1 : 1)))
    process.stdout.write(`  ${name}: ${times}\n`);
  process.stdout.write(
    `  ${report.rounds} rounds, ${report.calls} calls, ${report.requests} requests to providers; ${report.named} altered ` +
      `rows named, ${report.rolledBack} old rows put back, ${report.destroyed} vaults destroyed\n`,
  );
  for (const finding of report.findings) process.stdout.write(`✗ ${finding}\n`);
  if (report.findings.size === 0) process.stdout.write('✓ nothing left, and every altered row was named\n');
  else process.stdout.write(`Again: npm run tamper -- --seconds ${seconds} --database ${kind} --seed ${seed}\n`);
  return report.findings.size === 0;
}
