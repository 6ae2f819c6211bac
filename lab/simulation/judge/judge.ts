import type { Simulator } from '../../../src/simulator/index.ts';
import type { Coverage } from '../host/coverage.ts';
import type { Scheduler } from '../host/scheduler.ts';
import type { GrantPlan } from '../host/swarm.ts';
import { type Clocks, orderOf } from './consents.ts';
import { type CarriedToken, type JudgedGrant, nameOf, type SeenRow } from './judged-grant.ts';
import type { KnownToken } from './known-token.ts';
import type { Bystander, Row, Snapshot } from './rows.ts';
import { TokenBook } from './token-book.ts';

export { type JudgedGrant, nameOf } from './judged-grant.ts';

/** With a back-off that doubles from half a second, a generation is sent about eight times in a minute. */
const paceWindowMs = 60_000;
/** The longest that a caller waits for a token. */
const triedMs = 30_000;
const paceMax = 20;

/**
 * Compares what the vault believes with what the provider knows, after every commit and at the end. The provider's own
 * book is the truth; the vault's rows, events and answers are what is judged.
 */
export class Judge extends TokenBook {
  readonly violations: string[] = [];
  readonly clocks: Clocks;
  readonly #bystander: Bystander;
  readonly #scheduler: Scheduler;
  #snapshot: Snapshot = { grants: [], candidates: [], attempts: [], events: [] };
  /** In the order of their commits. Their ids are made by clocks that differ. */
  readonly #events = new Map<string, Row>();
  /** When each access token was last sent to an API. */
  readonly #triedAt = new Map<string, number>();

  constructor(parts: {
    grants: readonly GrantPlan[];
    simulator: Simulator;
    coverage: Coverage;
    bystander: Bystander;
    scheduler: Scheduler;
    leaseMs: number;
    /** Clocks of the world differ by so much at most. */
    clockSlackMs: number;
  }) {
    super({ ...parts, now: () => parts.scheduler.now });
    this.#scheduler = parts.scheduler;
    this.#bystander = parts.bystander;
    this.clocks = { slackMs: parts.clockSlackMs, jumpedWildlyAt: Number.NEGATIVE_INFINITY };
  }

  /** The attempt that an answer belongs to. */
  openAttempt(grant: JudgedGrant, owner: string): string | null {
    const found = this.#snapshot.attempts.find((row) => row['grant_id'] === grant.row?.id && row['owner'] === owner);
    return found === undefined ? null : String(found['id']);
  }

  /** When the first of a grant's requests without an outcome may have been sent, by the clock of its process. */
  firstUnresolvedAt(grant: JudgedGrant): number {
    const own = this.#snapshot.attempts.filter((row) => row['grant_id'] === grant.row?.id);
    return Math.min(...own.map((row) => Number(row['started_at'])));
  }

  close(): void {
    this.#bystander.close();
  }

  violated(what: string): void {
    if (this.violations.length < 20) this.violations.push(`${(this.now() / 1_000).toFixed(3)} s: ${what}`);
  }

  grantOf(tenant: string, provider: string): JudgedGrant | undefined {
    return this.grants.find((grant) => grant.tenant === tenant && grant.provider === provider);
  }

  /** The stored token was spent, nothing that came for it is kept, and the provider would still take it. */
  isInOverlap(grant: JudgedGrant): boolean {
    const { row } = grant;
    if (row === null || !['active', 'uncertain', 'suspect'].includes(row.state)) return false;
    const token = this.storedToken(grant);
    if (token === undefined || token.isUnspent || !this.simulator.isAlive(token.value)) return false;
    return ![...grant.tokens.values()].some((each) => each.parent === token.value && each.stored);
  }

  /** Looks at all rows; called after every commit. */
  async look(): Promise<void> {
    this.nameNewTokens();
    this.#snapshot = await this.#scheduler.outside(this.#bystander.look());
    for (const event of this.#snapshot.events) this.#events.set(String(event['id']), event);
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
        reason: textOf(raw['reason']),
        fingerprint: textOf(raw['refresh_fingerprint']),
        authorizedGeneration: Number(raw['authorized_generation']),
      });
    }
  }

  #lookAt(grant: JudgedGrant, row: SeenRow): void {
    const before = grant.row;
    const familyBefore = grant.family;
    grant.row = row;
    for (const candidate of this.#snapshot.candidates) {
      if (candidate['grant_id'] === row.id) this.markStored(grant, String(candidate['token_fingerprint']));
    }
    const refreshToken = this.refreshTokenNamed(row.fingerprint);
    if (row.state !== 'disconnected') this.#checkToken(grant, before, row, refreshToken);
    if (before === null) return;
    if (row.generation < before.generation) this.violated(`I3: the generation of ${nameOf(grant)} went back`);
    if (row.state === before.state && row.generation === before.generation) return;
    if (row.state === 'disconnected') {
      grant.disconnectedAt = this.now();
      this.decided(grant, this.now());
    } else if (before.state === 'disconnected') grant.disconnectedAt = null;
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
    const owner = refreshToken === undefined ? undefined : this.ownerOf(refreshToken);
    if (refreshToken === undefined || owner === undefined) {
      this.violated(`${nameOf(grant)} holds a token that the provider never made for us`);
      return;
    }
    if (!this.isOne(owner, grant)) this.violated(`I7: ${nameOf(grant)} holds a token of ${nameOf(owner)}`);
    const token = grant.tokens.get(refreshToken);
    if (token === undefined) return;
    this.seen(grant, token);
    const authorized = before === null || row.authorizedGeneration !== before.authorizedGeneration;
    if (grant.family !== null && grant.family !== token.family && !authorized) {
      this.violated(`a refresh of ${nameOf(grant)} overwrote a newer authorization`);
    }
    const isFirst = grant.handedIn.delete(token.family);
    if (authorized && before !== null) this.#checkNewer(grant, before, token, isFirst);
    grant.family = token.family;
    const consent = grant.consents.get(token.family);
    if (consent !== undefined) consent.saved = true;
    if (authorized) this.decided(grant, consent?.sentAt ?? this.now());
  }

  /** A grant that lives is never given an authorization that is older than its own. */
  #checkNewer(grant: JudgedGrant, before: SeenRow, token: KnownToken, isFirst: boolean): void {
    if (!['active', 'uncertain', 'suspect'].includes(before.state)) return;
    if (token.family === grant.family) {
      if (!token.isUnspent && this.tokenOf(before)?.isUnspent === true)
        this.violated(`a used token of ${nameOf(grant)} was put over the newest one`);
      return;
    }
    const [put, held] = [grant.consents.get(token.family), grant.consents.get(grant.family ?? '')];
    const order = put === undefined || held === undefined ? undefined : orderOf(put, held, this.clocks);
    if (order === 'not before') return;
    if (order === 'clocks differ') {
      this.excuse('an older consent was put over a newer one, by clocks that differ');
      return;
    }
    const consentOf = (family: string | null): number =>
      Math.min(...[...grant.tokens.values()].filter((each) => each.family === family).map(({ issuedAt }) => issuedAt));
    if (order !== 'before' && consentOf(token.family) >= consentOf(grant.family)) return;
    if (isFirst && this.#isKept(before)) {
      // The program's call is still under way, and nothing says how old its tokens are: it ends as if begun now.
      this.excuse('a call that stores tokens was overtaken by another one, whose token waits for recover');
      return;
    }
    this.violated(`an older authorization of ${nameOf(grant)} was put over a newer one`);
  }

  /** The token that a row held is a candidate now. */
  #isKept(before: SeenRow): boolean {
    return this.#snapshot.candidates.some(
      (each) => each['grant_id'] === before.id && each['token_fingerprint'] === before.fingerprint,
    );
  }

  /** I4: no grant is declared dead while a token in the database is alive at the provider. */
  #checkDeath(grant: JudgedGrant, row: SeenRow): void {
    grant.condemnations += 1;
    this.coverage.count(`condemned: ${row.reason ?? 'no reason'}`);
    const alive = this.livingTokens(grant).filter((token) => token.stored);
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

  /** A process died: tokens that only it knew are gone. `kept` says which attempts have an answer in the spool. */
  died(carried: readonly CarriedToken[]): void {
    for (const { grant, refreshToken, inSpool, mustBeKept } of carried) {
      const token = grant.tokens.get(refreshToken);
      if (token === undefined || token.stored || inSpool) continue;
      const wanted = token.family === grant.family && grant.row?.state !== 'disconnected';
      const consent = grant.consents.get(token.family);
      if (!mustBeKept && consent !== undefined) consent.arrivedAt = null;
      const struck = this.isStruck(token);
      if (mustBeKept && wanted && struck)
        this.excuse('an answer died with its process, and the disk failed at its file');
      else if (mustBeKept && wanted)
        this.violated(`I2: an answer for ${nameOf(grant)} died with its process long after it came`);
      token.vanished = true;
      this.lost(grant, refreshToken);
      this.coverage.count('answers that died with their process');
    }
  }

  /** A caller was given a token; `rejected` is the generation that the caller reported as refused. */
  handedOut(
    grant: JudgedGrant,
    token: { accessToken: string; generation: number },
    rejected: number | undefined,
  ): void {
    const isProven = token.generation === rejected && this.#wasTried(token.accessToken);
    if (isProven) this.coverage.count('rejected tokens that the API accepts');
    else if (rejected !== undefined && token.generation <= rejected) {
      this.violated(`${nameOf(grant)} gave out generation ${token.generation} to who had rejected ${rejected}`);
    }
    const known = this.originOf(token.accessToken);
    if (known === undefined) this.violated(`${nameOf(grant)} gave out a token that the provider never made`);
    else if (!this.isOne(known.grant, grant))
      this.violated(`I7: a caller of ${nameOf(grant)} got a token of ${nameOf(known.grant)}`);
    if (grant.row !== null && token.generation > grant.row.generation) {
      this.violated(`${nameOf(grant)} gave out generation ${token.generation} before it was saved`);
    }
  }

  /** A rejected token may be handed out again only if its own API was asked a moment ago. */
  #wasTried(accessToken: string): boolean {
    return this.now() - (this.#triedAt.get(accessToken) ?? Number.NEGATIVE_INFINITY) < triedMs;
  }

  /** A process uses an access token at the provider's API. */
  used(accessToken: string): void {
    this.#triedAt.set(accessToken, this.now());
    const known = this.originOf(accessToken);
    if (known === undefined || known.refresh === null) return;
    const token = known.grant.tokens.get(known.refresh);
    if (token?.stored === false) this.violated(`a token of ${nameOf(known.grant)} was used before it was saved`);
  }

  events(grant: JudgedGrant): readonly { type: string; reason: string | null }[] {
    return [...this.#events.values()]
      .filter((event) => event['grant_id'] === grant.row?.id)
      .map((event) => ({
        type: String(event['type']),
        reason: textOf(event['reason']),
      }));
  }

  /** A process sends the grant's token: a provider that fails is asked more and more seldom. */
  sent(grant: JudgedGrant): void {
    grant.sentAt = grant.sentAt.filter((at) => at > this.now() - paceWindowMs);
    grant.sentAt.push(this.now());
    if (grant.sentAt.length > paceMax)
      this.violated(`${nameOf(grant)} was asked for ${grant.sentAt.length} times in ${paceWindowMs / 1_000} s`);
  }

  /** The provider refused without cause. True if it did so before, so long ago that a second look may have followed. */
  refusedWithoutCause(grant: JudgedGrant, pauseMs: number): boolean {
    const again = grant.refusedAt.some((at) => at + pauseMs <= this.now());
    grant.refusedAt.push(this.now());
    return again;
  }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
