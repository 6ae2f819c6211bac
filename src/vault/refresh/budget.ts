import { checkKey, type GrantKey } from '../../base/ids.ts';
import type { TokenBudget } from '../../schemas/budget.ts';
import { findGrant } from '../../storage/statements/grants.ts';
import { tokenRequestsOf } from '../../storage/statements/token-requests.ts';
import type { VaultContext } from '../context.ts';
import { missingGrant } from '../grant/missing.ts';

/**
 * Reads what is left of the provider's limit for a grant's refresh token; null where the provider states none.
 *
 * @throws {GrantryError} `grant_not_found`
 */
export async function budgetOf(context: VaultContext, keyInput: GrantKey): Promise<TokenBudget | null> {
  const key = checkKey(keyInput);
  const row = await findGrant(context.store.db, key);
  if (row === undefined || row.refresh_fingerprint === null) throw await missingGrant(context, key);
  const { tokenLimit: limit } = await context.providers.require(key.provider);
  if (limit === undefined) return null;
  const { requests, windowSeconds } = limit;
  const windowMs = windowSeconds * 1_000;
  const window = { windowMs, marginMs: context.times.marginMs };
  const sent = await tokenRequestsOf(context.store.db, row.refresh_fingerprint, window);
  const [oldest] = sent.slice(-requests);
  const nextAt = oldest === undefined ? null : new Date(oldest + windowMs);
  return { used: Math.min(requests, sent.length), requests, windowSeconds, nextAt };
}
