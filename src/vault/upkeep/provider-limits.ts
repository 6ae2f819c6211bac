import { limits } from '../../base/limits.ts';
import { busyTokens, fillingProviders } from '../../storage/statements/provider-limits.ts';
import type { VaultContext } from '../context.ts';

/** The use of a provider's limits. */
export interface ProviderLimits {
  /** The highest share of the token requests that one refresh token may make and has made: 1 if none is left. */
  readonly budgetUsed: number;
  /** Refresh tokens that may make no request now. */
  readonly budgetSpent: number;
  /** Users whose refresh tokens near the number that the provider keeps. */
  readonly slotsFilling: number;
}

const nothing: ProviderLimits = { budgetUsed: 0, budgetSpent: 0, slotsFilling: 0 };

/** Reads how far the limits of the providers are used up, of those at which anything is. */
export async function readProviderLimits(context: VaultContext): Promise<ReadonlyMap<string, ProviderLimits>> {
  const { db } = context.store;
  const found = new Map<string, ProviderLimits>();
  const change = (provider: string, by: (before: ProviderLimits) => Partial<ProviderLimits>) => {
    const before = found.get(provider) ?? nothing;
    found.set(provider, { ...before, ...by(before) });
  };
  const sinceMs = limits.tokenWindowSecondsMax * 1_000;
  for (const { provider, sentWithin } of await busyTokens(db, { sinceMs, limit: limits.queueCountMax })) {
    const limit = (await context.providers.get(provider))?.tokenLimit;
    if (limit === undefined) continue;
    const windowMs = limit.windowSeconds * 1_000;
    const share = sentWithin({ windowMs, marginMs: context.times.marginMs }).length / limit.requests;
    change(provider, ({ budgetUsed, budgetSpent }) => ({
      budgetUsed: Math.min(1, Math.max(budgetUsed, share)),
      budgetSpent: budgetSpent + (share >= 1 ? 1 : 0),
    }));
  }
  for (const provider of await fillingProviders(db, limits.queueCountMax))
    change(provider, ({ slotsFilling }) => ({ slotsFilling: slotsFilling + 1 }));
  return found;
}
