import type { CandidateClient } from '../refresh/candidate-client.ts';
import type { LeaseWait } from '../refresh/lease-wait.ts';
import type { HeldToken } from './token-cache.ts';

/** A running refresh; `wait` tells whether it waits for another process. */
export interface Flight {
  /** The generation being spent. */
  readonly generation: number;
  readonly done: Promise<void>;
  readonly wait: LeaseWait;
}

/** Options of a refresh that callers join. */
export interface FlightOptions {
  candidateClient?: CandidateClient | undefined;
  /** A check that must succeed before a token is spent. */
  before?: () => Promise<void>;
}

/** Thrown by a check before a refresh: the grant's own API accepts the token that was reported as rejected. */
export class TokenAcceptedError extends Error {
  readonly token: HeldToken;

  constructor(token: HeldToken) {
    super('The API accepts the token.');
    this.token = token;
  }
}
