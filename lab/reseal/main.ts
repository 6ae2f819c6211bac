/**
 * `npm run reseal -- [--grants N] [--kills N] [--database sqlite|postgres|both] [--seed N]`: measures the upgrade of a vault
 * of 0.1.0, then kills processes at random moments of it. The next opening must go on, every grant must open with its own
 * tokens, and every row must carry its MAC. The exit code is 1 otherwise.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { scratchServer } from '../../scripts/scratch-postgres.ts';
import { killReseals } from './reseal.ts';

const { values } = parseArgs({
  options: {
    grants: { type: 'string', default: '20000' },
    kills: { type: 'string', default: '10' },
    database: { type: 'string', default: 'both' },
    seed: { type: 'string', default: String((Math.random() * 2 ** 31) | 0) },
  },
});
const [grants, kills, seed] = [Number(values.grants), Number(values.kills), Number(values.seed)];
const kinds = values.database === 'both' ? ['sqlite', 'postgres'] : [values.database];
const isKind = kinds.every((kind) => kind === 'sqlite' || kind === 'postgres');
if (!Number.isSafeInteger(grants) || !(grants > 0) || !(kills >= 0) || !Number.isSafeInteger(seed) || !isKind) {
  process.stderr.write('npm run reseal -- [--grants N] [--kills N] [--database sqlite|postgres|both] [--seed N]\n');
  process.exit(2);
}
process.exitCode = 0;
for (const kind of kinds) {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'grantry-reseal-db-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  let made = 0;
  const server = kind === 'postgres' ? stack.use(await scratchServer()) : null;
  const fresh = async (): Promise<string> => {
    made += 1;
    return server === null ? `sqlite:${join(folder, `${made}.db`)}` : server.scratch();
  };
  const report = await killReseals({ grants, kills, seed, fresh });
  const { openedInMs, cpuMs, peakMiB, before, after, findings } = report;
  process.stdout.write(
    `${kind}, seed ${seed}: ${grants} grants are upgraded in ${openedInMs} ms (${cpuMs} ms of processor) with a peak of ${peakMiB} MiB; ` +
      `${before} kills before the commit, ${after} after it\n`,
  );
  for (const finding of findings.slice(0, 50)) process.stdout.write(`✗ ${finding}\n`);
  if (findings.length > 0) process.exitCode = 1;
  else process.stdout.write('✓ every grant opens, and every row carries its MAC\n');
}
