/** One committed state change. */
export interface VaultEvent {
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

/** The kind of a vault event. */
export type VaultEventType =
  | 'grant.connected'
  | 'grant.stored'
  | 'grant.refreshed'
  | 'grant.updated'
  | 'grant.uncertain'
  | 'grant.suspect'
  | 'grant.reauthorization_required'
  | 'grant.revived'
  | 'grant.parked'
  | 'grant.disconnected'
  | 'grant.taken_over'
  | 'grant.shredded';
