import type { GrantKey } from '../base/ids.ts';

/** An event that a vault reports to its listener. `type` tells the two kinds apart. */
export type VaultEvent = GrantEvent | SlotsEvent;

/** The refresh tokens of one user near the number that the provider keeps: the oldest grant ends when they exceed it. */
export interface SlotsEvent {
  readonly at: Date;
  readonly type: 'slots.filling';
  /** The grant whose consent was the last one. */
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly app: string;
  /** The user, as the provider names it; null if it named none. */
  readonly user: string | null;
  /** The tokens of this user, and the number with the consents whose user was not named. */
  readonly tokens: number;
  readonly upTo: number;
  readonly max: number;
  /** The grant that ends first; null if the oldest token is no grant's. */
  readonly next: Required<GrantKey> | null;
}

/** One committed state change. */
export interface GrantEvent {
  readonly at: Date;
  readonly type: VaultEventType;
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly from: string | null;
  readonly to: string;
  readonly generation: number;
  readonly reason: string | null;
}

/** The kinds of vault events. */
export const vaultEventTypes = [
  'grant.connected',
  'grant.stored',
  'grant.refreshed',
  'grant.updated',
  'grant.uncertain',
  'grant.suspect',
  'grant.reauthorization_required',
  'grant.revived',
  'grant.parked',
  'grant.disconnected',
  'grant.taken_over',
  'grant.shredded',
] as const;

/** The kind of a vault event. */
export type VaultEventType = (typeof vaultEventTypes)[number];
