import { fingerprintOf } from './tokens.ts';

/** The endpoint of the simulator that a request reached. */
export type EventKind = 'authorize' | 'token' | 'revoke' | 'api' | 'device' | 'control';

/** Outcome of a request. */
export type Outcome =
  /** Tokens were issued. */
  | 'issued'
  /** An authorization code was sent to the redirect URI. */
  | 'code'
  /** The user was sent to the data centre or to the consent page. */
  | 'shown'
  | 'declined'
  /** The grant was refused: an unknown, spent, revoked or expired token or code. */
  | 'refused'
  /** The client was refused: it is unknown, has a wrong secret, or is not enabled here. */
  | 'client_refused'
  /** The request itself was invalid. */
  | 'invalid'
  | 'throttled'
  | 'revoked'
  | 'ok'
  /** An API call used a token that is not valid here. */
  | 'token_refused'
  /** An API call lacked a scope or an organisation. */
  | 'forbidden'
  /** A fault answered in the server's place: the request was not processed. */
  | 'not_processed';

/** One event as the provider saw it. Tokens only appear as fingerprints. */
export interface HistoryEvent {
  /** Counts from 1 and never repeats, even after old events were removed. */
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
  /** Fingerprint of the presented token. */
  readonly token?: string | undefined;
  /** Fingerprint of the issued refresh token. */
  readonly successor?: string | undefined;
  /** Fingerprint of the issued access token. */
  readonly accessToken?: string | undefined;
  /** The provider's own error code. */
  readonly error?: string | undefined;
  /** Method and path, or further facts for a reader. */
  readonly detail?: string | undefined;
  /** The fault that affected this request; it tells whether the answer arrived. */
  readonly fault?: string | undefined;
  /** Set when the presented refresh token was already spent. */
  readonly replay?: boolean | undefined;
}

export type NewEvent = Omit<HistoryEvent, 'sequence'>;

/** Recorded events: append-only, capped, newest last. */
export class History {
  readonly #cap: number;
  #events: HistoryEvent[] = [];
  #sequence = 0;

  constructor(cap: number) {
    this.#cap = cap;
  }

  /** @internal */
  append(event: NewEvent): void {
    this.#sequence += 1;
    this.#events.push({ sequence: this.#sequence, ...event });
    // Trimmed at one and a half times the cap, so that a full history is copied only once per many events.
    if (this.#events.length >= this.#cap * 1.5) this.#events = this.#events.slice(-this.#cap);
  }

  /** Returns the kept events, oldest first; optionally those after a sequence number. */
  events(afterSequence = 0): readonly HistoryEvent[] {
    const kept = this.#events.length > this.#cap ? this.#events.slice(-this.#cap) : this.#events;
    return afterSequence === 0 ? [...kept] : kept.filter((event) => event.sequence > afterSequence);
  }

  /** Returns the number of all events, kept or not. */
  get total(): number {
    return this.#sequence;
  }

  /** Returns every token and revocation request that presented this refresh token, processed or not. */
  requestsFor(refreshToken: string): readonly HistoryEvent[] {
    const fingerprint = fingerprintOf(refreshToken);
    return this.events().filter(
      (event) => event.token === fingerprint && (event.kind === 'token' || event.kind === 'revoke'),
    );
  }

  /** Returns the requests that spent an already spent refresh token, with any outcome. */
  duplicateSpends(): readonly HistoryEvent[] {
    return this.events().filter((event) => event.kind === 'token' && event.replay === true);
  }

  /** Deletes every event. */
  clear(): void {
    this.#events = [];
  }
}
