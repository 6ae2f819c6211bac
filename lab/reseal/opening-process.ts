/** A process of its own that opens a vault of 0.1.0, and so upgrades it. It says when it begins, and when it is done. */
import { silentLogger } from '../../src/base/log.ts';
import { openVault } from '../../src/vault/open.ts';

const [database = '', home = ''] = process.argv.slice(2);
const rootKey = `file:${home}/root.key`;

say({ opening: true });
const startedAt = performance.now();
const vault = await openVault({
  database,
  home,
  rootKey,
  installation: 'fixture',
  backgroundRefresh: false,
  logger: { ...silentLogger, info: (message, fields) => say({ message, fields }) },
});
const { user, system } = process.cpuUsage();
say({
  openedInMs: Math.round(performance.now() - startedAt),
  cpuMs: Math.round((user + system) / 1_000),
  peakMiB: Math.round(process.resourceUsage().maxRSS / 1_024),
});
await vault.close();

function say(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
