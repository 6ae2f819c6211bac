import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { touchInstance } from '../../storage/statements/instance.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { withTimeout } from '../deadline.ts';

interface Check {
  readonly startedAt: number;
  readonly ended: Promise<void>;
  isRunning: boolean;
}

/** The last check of each vault. A check of a database that hangs lasts longer than its caller waits. */
const checks = new WeakMap<VaultContext, Check>();

/**
 * Checks that the vault is ready: the database accepts writes and is not quarantined. No provider is contacted.
 *
 * @throws {GrantryError} `storage_unavailable`, also when the database does not answer within two seconds;
 * `grant_quarantined`
 */
export async function assertReady(context: VaultContext): Promise<void> {
  const { world } = context;
  const last = checks.get(context);
  const isShared = last?.isRunning === true && world.monotonic() - last.startedAt < limits.readinessHangsMs;
  const { ended } = isShared ? last : begin(context);
  await withTimeout(world, ended, limits.readinessMs, () => {
    return new GrantryError('storage_unavailable', 'The database does not answer.');
  });
}

function begin(context: VaultContext): Check {
  const ended = check(context).finally(() => {
    begun.isRunning = false;
  });
  const begun = { startedAt: context.world.monotonic(), ended, isRunning: true };
  checks.set(context, begun);
  ended.catch(() => {
    // A caller that no longer waits was told already.
  });
  return begun;
}

async function check(context: VaultContext): Promise<void> {
  await changing(context, ({ tx }) => touchInstance(tx));
  if (context.guard.reason !== null && context.guard.isStale) await context.guard.recheck();
  if (context.guard.reason !== null) throw new GrantryError('grant_quarantined', context.guard.reason);
}
