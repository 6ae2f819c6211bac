import type { Endpoint } from './messages.ts';
import type { PeerStore } from './store.ts';

/** A peer's replacement of Grantry's work: it spends a refresh token and stores the answer. */
export interface LossPeer {
  /** Creates the library's own tables beside the store's; runs once, before any process starts. */
  prepare?(store: PeerStore): Promise<void>;
  open(store: PeerStore, endpoint: Endpoint): Promise<Refresh>;
}

/**
 * Refreshes a tenant's grant as the library does, and calls `spending` immediately before it sends.
 *
 * @throws {RefusedError} when the library considers the grant over
 */
export type Refresh = (tenant: string, spending: () => void) => Promise<void>;

/** The grant is over: its user has to authorize again. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}
