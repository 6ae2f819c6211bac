import { limits } from '../../base/limits.ts';
import type { Reader } from '../../storage/database.ts';
import { countRefusals, type RefusalCount } from '../../storage/statements/attempts.ts';
import type { VaultContext } from '../context.ts';

/** The last counts of each vault, by provider. */
const counted = new WeakMap<VaultContext, Map<string, { readonly count: RefusalCount; readonly at: number }>>();

/**
 * Counts the refusals of a provider for a verdict. In an incident every refresh ends with a verdict: these share one count for
 * a moment. Outside of one every count is new, since a few refusals decide it.
 */
export async function refusalsAt(context: VaultContext, db: Reader, provider: string): Promise<RefusalCount> {
  const ofVault = counted.get(context) ?? new Map<string, { count: RefusalCount; at: number }>();
  counted.set(context, ofVault);
  const now = context.world.monotonic();
  const last = ofVault.get(provider);
  if (last !== undefined && now - last.at < limits.refusalsSharedMs) return last.count;
  const count = await countRefusals(db, provider, {
    windowMs: context.times.verdictWindowMs,
    enough: limits.verdictRefusalsMin,
    share: limits.verdictRefusalShare,
  });
  if (count.refused >= limits.refusalsSharedMin) ofVault.set(provider, { count, at: now });
  else ofVault.delete(provider);
  return count;
}
