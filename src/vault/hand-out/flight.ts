import type { GrantryError } from '../../base/errors.ts';
import type { CandidateClient } from '../refresh/candidate-client.ts';
import type { LeaseWait } from '../refresh/lease-wait.ts';
import type { HeldToken } from './token-cache.ts';

/** A running refresh; `wait` tells whether it waits for another process. */
export interface Flight {
  /** The generation being spent. */
  readonly generation: number;
  /** Gives the token that made the refresh unnecessary, or the error that says why none would help; undefined after a refresh. */
  readonly done: Promise<HeldToken | GrantryError | undefined>;
  readonly wait: LeaseWait;
}

/** Options of a refresh that callers join. */
export interface FlightOptions {
  candidateClient?: CandidateClient | undefined;
  /** Looks, before a token is spent, whether a refresh is of use. Callers that join and need one make it all the same. */
  before?: () => Flight['done'];
}
