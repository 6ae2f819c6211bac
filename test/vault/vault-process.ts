/**
 * A process of its own with a vault, driven by its parent in JSON lines: `{"call": n}` asks for n tokens at once. Its
 * answers name tokens only by generation.
 */
import { createInterface } from 'node:readline';
import { isGrantryError } from '../../src/base/errors.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import type { World } from '../../src/base/world.ts';
import { openVault } from '../../src/vault/open.ts';

interface Job {
  database: string;
  home: string;
  providers: readonly never[];
  key: { tenant: string; provider: string };
  /** Step at which it stops for ever, and reports that. */
  stopAt?: 'before_send' | 'after_answer';
  timeScale?: number;
}

const job: Job = JSON.parse(process.argv[2] ?? '{}');
const real = systemWorld({ timeScale: job.timeScale ?? 1, allowLoopback: true });
const world: World = {
  ...real,
  fetch: async (url, init) => {
    if (job.stopAt === 'before_send') await stop('before_send');
    const response = await real.fetch(url, init);
    if (job.stopAt === 'after_answer') await stop('after_answer');
    return response;
  },
};
const vault = await openVault({
  database: job.database,
  home: job.home,
  rootKey: `file:${job.home}/root.key`,
  providers: job.providers,
  unsafeAllowLoopbackProviders: 'a simulator on loopback ports',
  world,
});
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { call }: { call: number } = JSON.parse(line);
  const results = await Promise.all(
    Array.from({ length: call }, () =>
      vault.getAccessToken(job.key).then(
        (token) => String(token.generation),
        (error: unknown) => (isGrantryError(error) ? error.code : String(error)),
      ),
    ),
  );
  say({ results });
}
await vault.close();

function say(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Says where it is and never goes on. */
async function stop(point: string): Promise<void> {
  say({ stopped: point });
  await new Promise(() => {});
}
