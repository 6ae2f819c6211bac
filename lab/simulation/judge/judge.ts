import type { Simulator } from '../../../src/simulator/index.ts';
import type { Coverage } from '../host/coverage.ts';
import type { Scheduler } from '../host/scheduler.ts';
import type { GrantPlan } from '../host/swarm.ts';
import { type KnownToken, newestUnspent, overtaken, type Sender } from './known-token.ts';
import type { Bystander, Snapshot } from './rows.ts';

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
export interface JudgedGrant extends GrantPlan {
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
  /** The last consent whose tokens came to a process that lived. */
  consent: Consent | null;
}

/** A consent of a user: its tokens must end up in the row, unless a later one does. */
export interface Consent {
  readonly family: string;
  readonly at: number;
  saved: boolean;
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

/** With a back-off that doubles from half a second, a generation is sent about eight times in a minute. */
const paceWindowMs = 60_000;
const paceMax = 20;

/**
 * Compares what the vault believes with what the provider knows, after every commit and at the end. The provider's own
 * book is the truth; the vault's rows, events and answers are what is judged.
 */
export class Judge {
  readonly grants: readonly JudgedGrant[];
  readonly violations: string[] = [];
  readonly #simulator: Simulator;
  readonly #coverage: Coverage;
  readonly #now: () => number;
  readonly #bystander: Bystander;
  readonly #scheduler: Scheduler;
  readonly #leaseMs: number;
  #snapshot: Snapshot = { grants: [], candidates: [], attempts: [], events: [] };
  readonly #byRefresh = new Map<string, JudgedGrant>();
  readonly #byAccess = new Map<string, { grant: JudgedGrant; refresh: string }>();
  readonly #byFingerprint = new Map<string, string>();
  readonly #named = new Set<string>();
  readonly #sharers = new Map<JudgedGrant, JudgedGrant>();
  /** When the provider revoked a family because of what we sent. */
  readonly #revokedAt = new Map<string, number>();
  /** Attempts at whose spool file the disk failed. */
  readonly #struck = new Set<string>();
  #fingerprint: ((refreshToken: string) => string) | null = null;

  constructor(parts: {
    grants: readonly GrantPlan[];
    simulator: Simulator;
    coverage: Coverage;
    bystander: Bystander;
    scheduler: Scheduler;
    /** How long a lease lasts that is renewed. */
    leaseMs: number;
  }) {
    this.grants = parts.grants.map((grant, index) => ({
      ...grant,
      index,
      row: null,
      family: null,
      tokens: new Map(),
      excuses: new Map(),
      disconnectedAt: null,
      condemnations: 0,
      requestsWhileCondemned: 0,
      refusedAt: [],
      sentAt: [],
      consent: null,
    }));
    this.#simulator = parts.simulator;
    this.#coverage = parts.coverage;
    this.#scheduler = parts.scheduler;
    this.#now = () => parts.scheduler.now;
    this.#bystander = parts.bystander;
    this.#leaseMs = parts.leaseMs;
  }

  /** Lets something pass that a fault may have caused: how often is printed, by kind. */
  excuse(kind: string): void {
    this.#coverage.count(`excused: ${kind}`);
  }

  /** The attempt that an answer belongs to. */
  openAttempt(grant: JudgedGrant, owner: string): string | null {
    const found = this.#snapshot.attempts.find((row) => row['grant_id'] === grant.row?.id && row['owner'] === owner);
    return found === undefined ? null : String(found['id']);
  }

  close(): void {
    this.#bystander.close();
  }

  /** Vault and judge must call tokens by the same names. */
  nameTokens(fingerprint: (refreshToken: string) => string): void {
    this.#fingerprint = fingerprint;
  }

  violated(what: string): void {
    if (this.violations.length < 20) this.violations.push(`${(this.#now() / 1_000).toFixed(3)} s: ${what}`);
  }

  grantOf(tenant: string, provider: string): JudgedGrant | undefined {
    return this.grants.find((grant) => grant.tenant === tenant && grant.provider === provider);
  }

  /** Lets two grants hold one token. Returns it. */
  share(one: JudgedGrant, other: JudgedGrant): string {
    const [token] = one.tokens.values();
    if (token === undefined) throw new Error(`${nameOf(one)} has no token`);
    other.tokens.set(token.value, token);
    this.#sharers.set(one, other).set(other, one);
    this.#coverage.count('grants that share a token');
    return token.value;
  }

  /** True if what belongs to one grant belongs to the other too. */
  isOne(one: JudgedGrant, other: JudgedGrant): boolean {
    return one === other || this.#sharers.get(one) === other;
  }

  ownerOf(refreshToken: string): JudgedGrant | undefined {
    return this.#byRefresh.get(refreshToken);
  }

  familyOf(refreshToken: string): string | undefined {
    return this.#byRefresh.get(refreshToken)?.tokens.get(refreshToken)?.family;
  }

  /** The provider made tokens for a grant. */
  issued(
    grant: JudgedGrant,
    tokens: {
      refreshToken: string;
      accessToken: string;
      delivered: boolean;
      spent: string | null;
      sentAt?: number | undefined;
      sender?: Sender | undefined;
    },
  ): void {
    const { refreshToken, accessToken, delivered, spent, sentAt, sender = null } = tokens;
    const parent = spent === null || spent === refreshToken ? undefined : grant.tokens.get(spent);
    if (parent !== undefined) parent.isUnspent = false;
    if (accessToken !== '') this.#byAccess.set(accessToken, { grant, refresh: refreshToken });
    const known = grant.tokens.get(refreshToken);
    if (known !== undefined) {
      if (delivered) this.arrived(grant, refreshToken);
      return;
    }
    this.#byRefresh.set(refreshToken, grant);
    const family = this.#simulator.familyOf(refreshToken)?.id ?? '?';
    const issuedAt = this.#now();
    grant.tokens.set(refreshToken, {
      value: refreshToken,
      family,
      issuedAt,
      sentAt: sentAt ?? issuedAt,
      sender,
      isUnspent: true,
      parent: parent?.value ?? null,
      delivered,
      deliveredAt: delivered ? issuedAt : Number.POSITIVE_INFINITY,
      attemptId: null,
      lost: false,
      vanished: false,
      stored: false,
    });
  }

  /** An answer with this token came to a process, for this attempt. */
  arrived(grant: JudgedGrant, refreshToken: string, attemptId: string | null = null): void {
    const token = grant.tokens.get(refreshToken);
    if (token === undefined) return;
    token.attemptId ??= attemptId;
    token.delivered = true;
    token.deliveredAt = Math.min(token.deliveredAt, this.#now());
  }

  /** The provider revoked everything of this family because of a request of ours. */
  familyRevoked(family: string): void {
    if (!this.#revokedAt.has(family)) this.#revokedAt.set(family, this.#now());
  }

  /**
   * The provider's own book excuses a loss: the newest token that it made for the grant reached no process, or
   * reached one only after a family was revoked that no process could know to be alive.
   */
  newestWasLost(grant: JudgedGrant): boolean {
    const newest = newestUnspent([...grant.tokens.values()], grant.family);
    if (newest === undefined) return false;
    const revokedAt = grant.family === null ? undefined : this.#revokedAt.get(grant.family);
    const cameLate = revokedAt !== undefined && newest.deliveredAt > revokedAt;
    return newest.lost || cameLate || this.newestWasOvertaken(grant);
  }

  /**
   * The newest token was asked for first and made last: no process can know that it is the newest. Not excused if the
   * second sender knew that the first was dead and did not wait for its requests.
   */
  newestWasOvertaken(grant: JudgedGrant): boolean {
    return overtaken([...grant.tokens.values()], grant.family, this.#leaseMs) === 'unavoidable';
  }

  /** The same, where waiting would have prevented it. */
  wasSentTooEarly(grant: JudgedGrant): boolean {
    return overtaken([...grant.tokens.values()], grant.family, this.#leaseMs) === 'too early';
  }

  /** The stored token was spent, nothing that came for it is kept, and the provider would still take it. */
  isInOverlap(grant: JudgedGrant): boolean {
    const { row } = grant;
    if (row === null || !['active', 'uncertain', 'suspect'].includes(row.state)) return false;
    const token = this.#storedToken(grant);
    if (token === undefined || token.isUnspent || !this.#simulator.isAlive(token.value)) return false;
    return ![...grant.tokens.values()].some((each) => each.parent === token.value && each.stored);
  }

  /** The disk failed at the file of this attempt's answer. */
  diskFailed(attemptId: string): void {
    this.#struck.add(attemptId);
  }

  /** The disk failed at the very file that was to keep this token, and the database has not got it either. */
  isStruck({ attemptId, stored }: KnownToken): boolean {
    return !stored && attemptId !== null && this.#struck.has(attemptId);
  }

  /** An answer with this token will never come to anybody who can keep it. */
  lost(grant: JudgedGrant, refreshToken: string): void {
    const token = grant.tokens.get(refreshToken);
    if (token === undefined || token.stored) return;
    token.lost = true;
    const before = grant.excuses.get('answer_lost') ?? Number.POSITIVE_INFINITY;
    grant.excuses.set('answer_lost', Math.min(before, token.issuedAt));
    this.#coverage.count('answers lost');
  }

  isStored(refreshToken: string): boolean {
    return this.#byRefresh.get(refreshToken)?.tokens.get(refreshToken)?.stored === true;
  }

  /** Looks at all rows; called after every commit. */
  async look(): Promise<void> {
    this.#nameNewTokens();
    this.#snapshot = await this.#scheduler.outside(this.#bystander.look());
    for (const raw of this.#snapshot.grants) {
      const grant = this.grantOf(String(raw['client_id']), String(raw['provider']));
      if (grant === undefined) {
        this.violated(`an unknown row appeared: ${String(raw['client_id'])}`);
        continue;
      }
      this.#lookAt(grant, {
        id: String(raw['id']),
        generation: Number(raw['generation']),
        state: String(raw['state']),
        reason: raw['reason'] === null ? null : String(raw['reason']),
        fingerprint: raw['refresh_fingerprint'] === null ? null : String(raw['refresh_fingerprint']),
        authorizedGeneration: Number(raw['authorized_generation']),
      });
    }
  }

  /** When the stored token was spent, by the provider's book. */
  storedSpentAt(grant: JudgedGrant): number {
    const stored = this.#storedToken(grant)?.value;
    const successors = [...grant.tokens.values()].filter(({ parent }) => stored !== undefined && parent === stored);
    return Math.min(...successors.map(({ issuedAt }) => issuedAt));
  }

  #storedToken(grant: JudgedGrant): KnownToken | undefined {
    const fingerprint = grant.row?.fingerprint ?? null;
    const stored = fingerprint === null ? undefined : this.#byFingerprint.get(fingerprint);
    return stored === undefined ? undefined : grant.tokens.get(stored);
  }

  #lookAt(grant: JudgedGrant, row: SeenRow): void {
    const before = grant.row;
    const familyBefore = grant.family;
    grant.row = row;
    for (const candidate of this.#snapshot.candidates) {
      if (candidate['grant_id'] === row.id) this.#markStored(grant, String(candidate['token_fingerprint']));
    }
    const refreshToken = row.fingerprint === null ? undefined : this.#byFingerprint.get(row.fingerprint);
    if (row.state !== 'disconnected') this.#checkToken(grant, before, row, refreshToken);
    if (before === null) return;
    if (row.generation < before.generation) this.violated(`I3: the generation of ${nameOf(grant)} went back`);
    if (row.state === before.state && row.generation === before.generation) return;
    if (row.state === 'disconnected') grant.disconnectedAt = this.#now();
    else if (before.state === 'disconnected') grant.disconnectedAt = null;
    if (row.generation > before.generation) {
      grant.refusedAt = [];
      grant.sentAt = [];
    }
    if (row.authorizedGeneration !== before.authorizedGeneration) {
      // A consent without a refresh token changes nothing about the stored one.
      const over = grant.family === familyBefore ? [] : (['answer_lost', 'lied', 'revoked_by_user'] as const);
      for (const excuse of over) grant.excuses.delete(excuse);
    } else if (row.generation > before.generation) {
      // The next tokens are saved: what was lost or said before this is over.
      for (const excuse of ['answer_lost', 'lied', 'wild', 'imported_dead'] as const) grant.excuses.delete(excuse);
    }
    const dies = row.state === 'reauthorization_required' && before.state !== row.state;
    if (dies) this.#checkDeath(grant, row);
    if (row.state !== 'reauthorization_required') grant.requestsWhileCondemned = 0;
  }

  /** The row's token is one that the provider made for this very grant, and only an authorization changes the family. */
  #checkToken(grant: JudgedGrant, before: SeenRow | null, row: SeenRow, refreshToken: string | undefined): void {
    const owner = refreshToken === undefined ? undefined : this.#byRefresh.get(refreshToken);
    if (refreshToken === undefined || owner === undefined) {
      this.violated(`${nameOf(grant)} holds a token that the provider never made for us`);
      return;
    }
    if (!this.isOne(owner, grant)) this.violated(`I7: ${nameOf(grant)} holds a token of ${nameOf(owner)}`);
    const token = grant.tokens.get(refreshToken);
    if (token === undefined) return;
    token.stored = true;
    this.arrived(grant, token.value);
    const authorized = before === null || row.authorizedGeneration !== before.authorizedGeneration;
    if (grant.family !== null && grant.family !== token.family && !authorized) {
      this.violated(`a refresh of ${nameOf(grant)} overwrote a newer authorization`);
    }
    if (authorized && before !== null) this.#checkNewer(grant, before, token);
    grant.family = token.family;
    if (grant.consent?.family === token.family) grant.consent.saved = true;
  }

  /** A grant that lives is never given an authorization that is older than its own. */
  #checkNewer(grant: JudgedGrant, before: SeenRow, token: KnownToken): void {
    if (!['active', 'uncertain', 'suspect'].includes(before.state)) return;
    if (token.family === grant.family) {
      if (!token.isUnspent && this.#byRefreshOf(before)?.isUnspent === true)
        this.violated(`a used token of ${nameOf(grant)} was put over the newest one`);
      return;
    }
    const consentOf = (family: string | null): number =>
      Math.min(...[...grant.tokens.values()].filter((each) => each.family === family).map(({ issuedAt }) => issuedAt));
    if (consentOf(token.family) < consentOf(grant.family))
      this.violated(`an older authorization of ${nameOf(grant)} was put over a newer one`);
  }

  #byRefreshOf({ fingerprint }: SeenRow): KnownToken | undefined {
    const value = fingerprint === null ? undefined : this.#byFingerprint.get(fingerprint);
    return value === undefined ? undefined : this.#byRefresh.get(value)?.tokens.get(value);
  }

  /** I4: no grant is declared dead while a token in the database is alive at the provider. */
  #checkDeath(grant: JudgedGrant, row: SeenRow): void {
    grant.condemnations += 1;
    this.#coverage.count(`condemned: ${row.reason ?? 'no reason'}`);
    const alive = this.#livingTokens(grant).filter((token) => token.stored);
    if (alive.length === 0) return;
    if (grant.excuses.has('wild')) {
      this.excuse('condemned after a clock jumped wildly');
      return;
    }
    if (grant.excuses.has('lied')) {
      this.excuse('condemned by refusals without cause, 20 s and more apart');
      return;
    }
    this.violated(`I4: ${nameOf(grant)} was condemned (${row.reason ?? '-'}) with a living token in the database`);
  }

  /** Tokens of the present authorization that came to us, were not lost since, and would be granted now. */
  #livingTokens(grant: JudgedGrant): KnownToken[] {
    return [...grant.tokens.values()].filter(
      (token) =>
        token.family === grant.family && token.delivered && !token.vanished && this.#simulator.isAlive(token.value),
    );
  }

  livingTokens(grant: JudgedGrant): readonly KnownToken[] {
    return this.#livingTokens(grant);
  }

  /** A process died: tokens that only it knew are gone. `kept` says which attempts have an answer in the spool. */
  died(carried: readonly CarriedToken[]): void {
    for (const { grant, refreshToken, inSpool, mustBeKept } of carried) {
      const token = grant.tokens.get(refreshToken);
      if (token === undefined || token.stored || inSpool) continue;
      const wanted = token.family === grant.family && grant.row?.state !== 'disconnected';
      if (!mustBeKept && grant.consent?.family === token.family) grant.consent = null;
      const struck = this.isStruck(token);
      if (mustBeKept && wanted && struck) this.excuse('an answer died with its process, and the disk failed at its file');
      else if (mustBeKept && wanted)
        this.violated(`I2: an answer for ${nameOf(grant)} died with its process long after it came`);
      token.vanished = true;
      this.lost(grant, refreshToken);
      this.#coverage.count('answers that died with their process');
    }
  }

  /** A caller was given a token; `rejected` is the generation that the caller reported as refused. */
  handedOut(
    grant: JudgedGrant,
    token: { accessToken: string; generation: number },
    rejected: number | undefined,
  ): void {
    if (rejected !== undefined && token.generation <= rejected) {
      this.violated(`${nameOf(grant)} gave out generation ${token.generation} to who had rejected ${rejected}`);
    }
    const known = this.#byAccess.get(token.accessToken);
    if (known === undefined) this.violated(`${nameOf(grant)} gave out a token that the provider never made`);
    else if (!this.isOne(known.grant, grant))
      this.violated(`I7: a caller of ${nameOf(grant)} got a token of ${nameOf(known.grant)}`);
    if (grant.row !== null && token.generation > grant.row.generation) {
      this.violated(`${nameOf(grant)} gave out generation ${token.generation} before it was saved`);
    }
  }

  /** A process uses an access token at the provider's API. */
  used(accessToken: string): void {
    const known = this.#byAccess.get(accessToken);
    if (known === undefined) return;
    const token = known.grant.tokens.get(known.refresh);
    if (token?.stored === false) this.violated(`a token of ${nameOf(known.grant)} was used before it was saved`);
  }

  events(grant: JudgedGrant): readonly { type: string; reason: string | null }[] {
    return this.#snapshot.events
      .filter((event) => event['grant_id'] === grant.row?.id)
      .map((event) => ({
        type: String(event['type']),
        reason: event['reason'] === null ? null : String(event['reason']),
      }));
  }

  /** The access token came with a consent that brought no refresh token: the stored one goes on. */
  cameWithout(grant: JudgedGrant, accessToken: string): void {
    const stored = this.#storedToken(grant);
    if (stored !== undefined) this.#byAccess.set(accessToken, { grant, refresh: stored.value });
  }

  /** A process sends the grant's token: a provider that fails is asked more and more seldom. */
  sent(grant: JudgedGrant): void {
    grant.sentAt = grant.sentAt.filter((at) => at > this.#now() - paceWindowMs);
    grant.sentAt.push(this.#now());
    if (grant.sentAt.length > paceMax)
      this.violated(`${nameOf(grant)} was asked for ${grant.sentAt.length} times in ${paceWindowMs / 1_000} s`);
  }

  /** The provider refused without cause. True if it did so before, so long ago that a second look may have followed. */
  refusedWithoutCause(grant: JudgedGrant, pauseMs: number): boolean {
    const again = grant.refusedAt.some((at) => at + pauseMs <= this.#now());
    grant.refusedAt.push(this.#now());
    return again;
  }

  #markStored(grant: JudgedGrant, fingerprint: string): void {
    const value = this.#byFingerprint.get(fingerprint);
    const token = value === undefined ? undefined : grant.tokens.get(value);
    if (token === undefined) return;
    token.stored = true;
    this.arrived(grant, token.value);
  }

  #nameNewTokens(): void {
    if (this.#fingerprint === null) return;
    for (const { tokens } of this.grants) {
      for (const token of tokens.values()) {
        if (this.#named.has(token.value)) continue;
        this.#named.add(token.value);
        this.#byFingerprint.set(this.#fingerprint(token.value), token.value);
      }
    }
  }
}

export function nameOf(grant: GrantPlan): string {
  return `${grant.tenant}/${grant.provider}`;
}
