/** Runs workers until it is told to stop, then reports what they did. */
import { startWorkers } from '../../src/index.ts';
import { countingWorld, type HerdPlace, openHerdVault } from './vault.ts';

export interface WorkerReport {
  readonly refreshed: number;
  readonly failed: number;
  readonly mostAtOnce: number;
}

// Only the herd starts this program.
const place = JSON.parse(process.argv[2] ?? '') as HerdPlace;
const { world, mostAtOnce } = countingWorld(place.timeScale);
const vault = await openHerdVault(place, world);
const workers = startWorkers(vault);
process.send?.('ready');
process.once('message', () => {
  void finish();
});

async function finish(): Promise<void> {
  await workers.stop();
  await vault.close();
  const { refreshed, failed } = workers.counts;
  const report: WorkerReport = { refreshed, failed, mostAtOnce: mostAtOnce() };
  process.send?.(report);
  process.disconnect();
}
