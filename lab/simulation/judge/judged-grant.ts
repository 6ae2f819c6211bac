import type { GrantPlan } from '../host/swarm.ts';
import type { Decisions } from './consents.ts';
import type { KnownToken } from './known-token.ts';

/** The columns of a row that are judged. */
export interface SeenRow {
  readonly id: string;
  readonly generation: number;
  readonly state: string;
  readonly reason: string | null;
  readonly fingerprint: string | null;
  readonly authorizedGeneration: number;
}

/** Everything the judge knows of one grant. */
export interface JudgedGrant extends GrantPlan, Decisions {
  readonly index: number;
  row: SeenRow | null;
  /** The provider's family that the row's token belongs to. */
  family: string | null;
  readonly tokens: Map<string, KnownToken>;
  /** Time of the last event of each kind that excuses a loss, since the last authorization. */
  readonly excuses: Map<Excuse, number>;
  disconnectedAt: number | null;
  condemnations: number;
  /** Token requests since the grant was condemned. */
  requestsWhileCondemned: number;
  /** When the provider refused this generation without cause. */
  refusedAt: number[];
  /** When this generation was sent. */
  sentAt: number[];
}

/** A token that a process got, and had when it died. */
export interface CarriedToken {
  readonly grant: JudgedGrant;
  readonly refreshToken: string;
  readonly inSpool: boolean;
  /** It came long enough ago that it must be kept by now. */
  readonly mustBeKept: boolean;
}

export type Excuse =
  /** The provider rotated, and its answer reached no process that lived to keep it. */
  | 'answer_lost'
  /** The provider refused although nothing was wrong, for so long or at such a moment that no process can know. */
  | 'lied'
  /** A clock jumped further than the guarantees allow for. */
  | 'wild'
  | 'revoked_by_user'
  /** A job handed in a token that was used up, for a grant that had no other. */
  | 'imported_dead';

export function nameOf(grant: GrantPlan): string {
  return `${grant.tenant}/${grant.provider}`;
}
