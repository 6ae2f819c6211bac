import { fingerprintOf } from './tokens.ts';

/** The endpoint of the simulator that a request reached. */
export type EventKind = 'authorize' | 'token' | 'revoke' | 'api' | 'device' | 'control';

/** What became of a request. */
export type Outcome =
  /** Tokens were made. */
  | 'issued'
  /** An authorization code was sent to the redirect URI. */
  | 'code'
  /** The user was sent on: to the data centre, or to the consent page. */
  | 'shown'
  | 'declined'
  /** The grant was refused: unknown, spent, revoked or expired token or code. */
  | 'refused'
  /** The client was refused: unknown, wrong secret, not enabled here. */
  | 'client_refused'
  /** The request itself was wrong. */
  | 'invalid'
  | 'throttled'
  | 'revoked'
  | 'ok'
  /** An API call with a token that is not valid here. */
  | 'token_refused'
  /** An API call without the scope or the organisation it needs. */
  | 'forbidden'
  /** A fault answered in the server's place: nothing was processed. */
  | 'not_processed';

/** One thing that happened, as the provider saw it. Tokens appear by fingerprint alone. */
export interface HistoryEvent {
  /** Counts from 1 and never repeats, whatever the cap has removed. */
  readonly sequence: number;
  /** Simulator time in milliseconds since 1970. */
  readonly at: number;
  readonly profile: string;
  readonly dc: string | null;
  readonly kind: EventKind;
  readonly outcome: Outcome;
  readonly status?: number | undefined;
  readonly grantType?: string | undefined;
  readonly clientId?: string | undefined;
  readonly user?: string | undefined;
  readonly family?: string | undefined;
  /** The token that was presented. */
  readonly token?: string | undefined;
  /** The refresh token that was made. */
  readonly successor?: string | undefined;
  /** The access token that was made. */
  readonly accessToken?: string | undefined;
  /** The provider's own word for the error. */
  readonly error?: string | undefined;
  /** Method and path, or what else a reader wants to know. */
  readonly detail?: string | undefined;
  /** The fault that was applied to this request, and so whether the answer arrived. */
  readonly fault?: string | undefined;
  /** The presented refresh token had been spent before. */
  readonly replay?: boolean | undefined;
}

export type NewEvent = Omit<HistoryEvent, 'sequence'>;

/** The recorded history: append-only, capped, newest last. */
export class History {
  readonly #cap: number;
  #events: HistoryEvent[] = [];
  #sequence = 0;

  constructor(cap: number) {
    this.#cap = cap;
  }

  /** @internal */
  append(event: NewEvent): HistoryEvent {
    this.#sequence += 1;
    const kept: HistoryEvent = { sequence: this.#sequence, ...event };
    this.#events.push(kept);
    // Trimmed by halves of the cap, so that a full history costs one copy per many events.
    if (this.#events.length >= this.#cap * 1.5) this.#events = this.#events.slice(-this.#cap);
    return kept;
  }

  /** The events that are kept, oldest first; optionally those after a sequence number. */
  events(afterSequence = 0): readonly HistoryEvent[] {
    const kept = this.#events.length > this.#cap ? this.#events.slice(-this.#cap) : this.#events;
    return afterSequence === 0 ? [...kept] : kept.filter((event) => event.sequence > afterSequence);
  }

  /** How many events ever were, kept or not. */
  get total(): number {
    return this.#sequence;
  }

  /** Every token and revocation request that presented this refresh token, processed or not. */
  requestsFor(refreshToken: string): readonly HistoryEvent[] {
    const fingerprint = fingerprintOf(refreshToken);
    return this.events().filter(
      (event) => event.token === fingerprint && (event.kind === 'token' || event.kind === 'revoke'),
    );
  }

  /** Requests that spent a refresh token which had been spent before, whatever came of it. */
  duplicateSpends(): readonly HistoryEvent[] {
    return this.events().filter((event) => event.kind === 'token' && event.replay === true);
  }

  /** Deletes every event. */
  clear(): void {
    this.#events = [];
  }
}
