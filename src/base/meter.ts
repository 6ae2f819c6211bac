/**
 * Receiver of the vault's measurements: a fixed list with fixed labels, so that nothing else can get into a metric.
 *
 * Pass your own to `openVault`; the server has one. No method may throw. None is called on the path that returns a
 * token from memory.
 */
export interface Meter {
  /** An attempt to replace the tokens of a grant has ended: `saved`, `again` at once, or the code of its error. */
  refreshEnded(of: { tenant: string; provider: string; outcome: string }): void;
  /**
   * A request to a token endpoint has ended: `answered_2xx` … `answered_5xx`, `not_sent`, or `lost`. `dc` is empty for
   * a provider without data centres.
   */
  providerAsked(of: { provider: string; dc: string; outcome: string }, ms: number): void;
  /** A caller has waited for the refresh of another process. */
  leaseAwaited(of: { provider: string }, ms: number): void;
  /** A token was read from the database with this much lifetime left. */
  tokenRead(of: { provider: string }, lifeLeftMs: number): void;
}

export const silentMeter: Meter = {
  refreshEnded: () => {},
  providerAsked: () => {},
  leaseAwaited: () => {},
  tokenRead: () => {},
};
