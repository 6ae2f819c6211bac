import { GrantryError } from '../../base/errors.ts';
import { touchInstance } from '../../storage/statements/instance.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';

/**
 * Checks that the vault is ready: the database accepts writes and is not quarantined. No provider is contacted.
 *
 * @throws {GrantryError} `storage_unavailable`, `grant_quarantined`
 */
export async function assertReady(context: VaultContext): Promise<void> {
  await changing(context, ({ tx }) => touchInstance(tx));
  if (context.guard.reason !== null && context.guard.isStale) await context.guard.recheck();
  if (context.guard.reason !== null) throw new GrantryError('grant_quarantined', context.guard.reason);
}
