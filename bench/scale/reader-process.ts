/** Opens a vault as a server does, reads distinct grants, and reports the process's largest size. */
import { keepHeapSmall } from '../../src/base/heap.ts';
import { openVault } from '../../src/index.ts';
import { type Population, provider, sealedPlace } from './population.ts';

export interface ReaderPlan {
  readonly home: string;
  readonly database: string;
  readonly population: Population;
  readonly reads: number;
}

export interface ReaderReport {
  readonly startMb: number;
  readonly peakMb: number;
  readonly reads: number;
  readonly perSecond: number;
}

const callersAtOnce = 16;
const megabyte = 1_048_576;

/** A server does the same at its start. */
keepHeapSmall();

async function read(plan: ReaderPlan): Promise<ReaderReport> {
  await using vault = await openVault({
    home: plan.home,
    database: plan.database,
    rootKey: `file:${plan.home}/root.key`,
  });
  const startMb = process.memoryUsage.rss() / megabyte;
  const started = performance.now();
  let next = 0;
  let peakMb = startMb;
  const caller = async (): Promise<void> => {
    while (next < plan.reads) {
      const place = sealedPlace(plan.population, next);
      next += 1;
      await vault.getAccessToken({ ...place, provider });
      // The kernel's own maximum would begin with the size of the parent process.
      if (next % 500 === 0) peakMb = Math.max(peakMb, process.memoryUsage.rss() / megabyte);
    }
  };
  await Promise.all(Array.from({ length: callersAtOnce }, caller));
  const perSecond = (plan.reads * 1_000) / (performance.now() - started);
  return { startMb, peakMb, reads: plan.reads, perSecond };
}

// Only the benchmark starts this program.
const plan = JSON.parse(process.argv[2] ?? '') as ReaderPlan;
process.stdout.write(JSON.stringify(await read(plan)));
