import type { Simulator } from '../../../src/simulator/index.ts';
import { type Coverage, excusedMark } from '../host/coverage.ts';
import type { GrantPlan } from '../host/swarm.ts';
import { type JudgedGrant, nameOf, type SeenRow } from './judged-grant.ts';
import { type KnownToken, newestUnspent, overtaken, type Sender } from './known-token.ts';

/** Every token that the provider made: whose it is, who got it, and what became of it. */
export class TokenBook {
  readonly grants: readonly JudgedGrant[];
  protected readonly simulator: Simulator;
  protected readonly coverage: Coverage;
  protected readonly now: () => number;
  readonly #leaseMs: number;
  readonly #byRefresh = new Map<string, JudgedGrant>();
  readonly #byAccess = new Map<string, { grant: JudgedGrant; refresh: string | null }>();
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
    now: () => number;
    /** The life of a lease that is renewed. */
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
      consents: new Map(),
      handedIn: new Set(),
      decidedAt: Number.NEGATIVE_INFINITY,
      committedAt: Number.NEGATIVE_INFINITY,
    }));
    this.simulator = parts.simulator;
    this.coverage = parts.coverage;
    this.now = parts.now;
    this.#leaseMs = parts.leaseMs;
  }

  /** Lets something pass that a fault may have caused: how often is printed, by kind. */
  excuse(kind: string): void {
    this.coverage.count(`${excusedMark}${kind}`);
  }

  /** The grant and the refresh token that an access token came with. Null if it came without one. */
  originOf(accessToken: string): { grant: JudgedGrant; refresh: string | null } | undefined {
    return this.#byAccess.get(accessToken);
  }

  /** The refresh token that the vault calls by this fingerprint. */
  refreshTokenNamed(fingerprint: string | null): string | undefined {
    return fingerprint === null ? undefined : this.#byFingerprint.get(fingerprint);
  }

  /** Vault and judge must call tokens by the same names. */
  nameTokens(fingerprint: (refreshToken: string) => string): void {
    this.#fingerprint = fingerprint;
  }

  /** Lets two grants hold one token. Returns it. */
  share(one: JudgedGrant, other: JudgedGrant): string {
    const [token] = one.tokens.values();
    if (token === undefined) throw new Error(`${nameOf(one)} has no token`);
    other.tokens.set(token.value, token);
    this.#sharers.set(one, other).set(other, one);
    this.coverage.count('grants that share a token');
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
    const family = this.simulator.familyOf(refreshToken)?.id ?? '?';
    const issuedAt = this.now();
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
    token.deliveredAt = Math.min(token.deliveredAt, this.now());
  }

  /** The provider revoked everything of this family because of a request of ours. */
  familyRevoked(family: string): void {
    if (!this.#revokedAt.has(family)) this.#revokedAt.set(family, this.now());
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
    this.coverage.count('answers lost');
  }

  /** A consent, stored tokens or a disconnect were committed. */
  protected decided(grant: JudgedGrant, at: number): void {
    grant.decidedAt = Math.max(grant.decidedAt, at);
    grant.committedAt = this.now();
  }

  isStored(refreshToken: string): boolean {
    return this.#byRefresh.get(refreshToken)?.tokens.get(refreshToken)?.stored === true;
  }

  /** The access token came with a consent that brought no refresh token: the one goes on that is stored when it arrives. */
  cameWithout(grant: JudgedGrant, accessToken: string): void {
    this.#byAccess.set(accessToken, { grant, refresh: null });
  }

  /** When the stored token was spent, by the provider's book. */
  storedSpentAt(grant: JudgedGrant): number {
    const stored = this.storedToken(grant)?.value;
    const successors = [...grant.tokens.values()].filter(({ parent }) => stored !== undefined && parent === stored);
    return Math.min(...successors.map(({ issuedAt }) => issuedAt));
  }

  storedToken(grant: JudgedGrant): KnownToken | undefined {
    const fingerprint = grant.row?.fingerprint ?? null;
    const stored = fingerprint === null ? undefined : this.#byFingerprint.get(fingerprint);
    return stored === undefined ? undefined : grant.tokens.get(stored);
  }

  markStored(grant: JudgedGrant, fingerprint: string): void {
    const value = this.#byFingerprint.get(fingerprint);
    const token = value === undefined ? undefined : grant.tokens.get(value);
    if (token !== undefined) this.seen(grant, token);
  }

  /** The database has the token, as when a spooled consent outlived the process that it came to. */
  protected seen(grant: JudgedGrant, token: KnownToken): void {
    token.stored = true;
    token.vanished = false;
    this.arrived(grant, token.value);
  }

  nameNewTokens(): void {
    if (this.#fingerprint === null) return;
    for (const { tokens } of this.grants) {
      for (const token of tokens.values()) {
        if (this.#named.has(token.value)) continue;
        this.#named.add(token.value);
        this.#byFingerprint.set(this.#fingerprint(token.value), token.value);
      }
    }
  }

  /** Tokens of the present authorization that came to us, were not lost since, and would be granted now. */
  livingTokens(grant: JudgedGrant): KnownToken[] {
    return [...grant.tokens.values()].filter(
      (token) =>
        token.family === grant.family && token.delivered && !token.vanished && this.simulator.isAlive(token.value),
    );
  }

  tokenOf({ fingerprint }: SeenRow): KnownToken | undefined {
    const value = fingerprint === null ? undefined : this.#byFingerprint.get(fingerprint);
    return value === undefined ? undefined : this.#byRefresh.get(value)?.tokens.get(value);
  }
}
