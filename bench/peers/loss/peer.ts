import type { Endpoint } from './messages.ts';
import type { PeerStore } from './store.ts';

/** What a peer does where Grantry does its own: it spends a refresh token and keeps what comes back. */
export interface LossPeer {
  /** Makes what the library keeps its grants in besides the store's own table; once, before anything starts. */
  prepare?(store: PeerStore): Promise<void>;
  open(store: PeerStore, endpoint: Endpoint): Promise<Refresh>;
}

/**
 * Refreshes a tenant's grant as the library does it, and calls `spending` when it is about to send.
 *
 * @throws {RefusedError} when the grant is over for it
 */
export type Refresh = (tenant: string, spending: () => void) => Promise<void>;

/** The grant is over: its user has to authorize again. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}
