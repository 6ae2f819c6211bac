import { scratchSqlite } from '../../test/support/postgres.ts';
import { startPostgres } from '../../test/support/postgres-server.ts';
import type { Guard } from './guards.ts';
import { printReport } from './report.ts';
import { tamper } from './tamper.ts';

/** Runs the lab on one kind of database. With a guard taken out it ends at the first leak. Returns true if it found nothing. */
export async function runOn(
  kind: string,
  { seed, seconds, guard }: { seed: number; seconds: number; guard: Guard | undefined },
): Promise<boolean> {
  process.stdout.write(`${kind}, seed ${seed}, ${seconds} s${guard === undefined ? '' : `, without ${guard.name}`}\n`);
  await using places = new AsyncDisposableStack();
  const renew = async (): Promise<string> => {
    if (kind === 'sqlite') return places.use(scratchSqlite()).database;
    const server = await startPostgres();
    places.defer(() => server.remove());
    return server.url;
  };
  const onProgress = (text: string): void => void process.stderr.write(`\r  ${text}`);
  const attack = guard === undefined ? {} : { tables: guard.tables, steps: guard.steps ?? [], untilLeak: true };
  const started = performance.now();
  const report = await tamper({ database: await renew(), seed, seconds, renew, onProgress, ...attack });
  process.stderr.write('\n');
  if (guard === undefined) return printReport(report);
  const [leak] = report.leaks;
  const took = Math.round((performance.now() - started) / 1_000);
  const found = leak === undefined ? { seconds: took } : { seconds: took, leak };
  process.stdout.write(`${JSON.stringify({ rounds: report.rounds, ...found })}\n`);
  return leak === undefined;
}
