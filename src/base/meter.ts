/**
 * What the vault counts and measures: a fixed list with fixed labels, so that nothing else can get into a metric.
 *
 * Hand in your own to `openVault`; a server has one. None of these may throw, and none is on the path that hands out a
 * token from memory.
 */
export interface Meter {
  /** One try to replace the tokens of a grant has ended: `saved`, `again` at once, or the code of its error. */
  refreshEnded(of: { tenant: string; provider: string; outcome: string }): void;
  /** A token endpoint was asked; `dc` is empty where the provider has no data centres. `answered_2xx` … `answered_5xx`, `not_sent`, or `lost`. */
  providerAsked(of: { provider: string; dc: string; outcome: string }, ms: number): void;
  /** Somebody waited for the refresh of another process. */
  leaseAwaited(of: { provider: string }, ms: number): void;
  /** A token was read from the database with so much life left. */
  tokenRead(of: { provider: string }, lifeLeftMs: number): void;
}

export const silentMeter: Meter = {
  refreshEnded: () => {},
  providerAsked: () => {},
  leaseAwaited: () => {},
  tokenRead: () => {},
};
