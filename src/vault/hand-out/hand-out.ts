import { type Acting, actingAs } from '../../base/acting.ts';
import { forCaller } from '../../base/callers-line.ts';
import { codeOf, type GrantryError, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import type { HandOuts, Use } from '../audit/hand-outs.ts';
import { checkGeneration } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { openToken } from '../grant/tokens.ts';
import { believedEndMs, earlyMs, requiredMs, type ValidityRules, validityRules } from '../grant/validity.ts';
import type { CandidateClient } from '../refresh/candidate-client.ts';
import type { AccessToken, GetAccessTokenOptions } from '../types.ts';
import type { ChangeFeed } from './change-feed.ts';
import { hasNames, minValidityMs } from './demand.ts';
import { ExpiredIssues } from './expired-issues.ts';
import { Flights } from './flights.ts';
import { heldTokenOf, plainRules } from './held-token.ts';
import { sinceMs } from './instant.ts';
import type { AskOwnApi, Rejections } from './rejections.ts';
import { SingleFlight } from './single-flight.ts';
import { accessTokenOf, cacheKey, type HeldToken, type TokenCache } from './token-cache.ts';

/** Options of callers inside the library. */
export interface HandOutRequest extends GetAccessTokenOptions {
  /** The client to use if a refresh is due. */
  candidateClient?: CandidateClient | undefined;
}

export interface HandOutOptions {
  context: VaultContext;
  cache: TokenCache;
  feed: ChangeFeed;
  handOuts: HandOuts;
  backgroundRefresh: boolean;
  staleHandOutMs: number;
  askOwnApi: AskOwnApi;
}

/**
 * Hands out access tokens: from the cache, from the row, or after a refresh, in this order.
 *
 * A token that is still good is never withheld: reading one needs no lock, no lease and no provider.
 */
export class HandOut {
  readonly #context: VaultContext;
  readonly #cache: TokenCache;
  readonly #feed: ChangeFeed;
  readonly #handOuts: HandOuts;
  readonly #backgroundRefresh: boolean;
  /** The time for which memory hands out tokens while the database is away. */
  readonly staleHandOutMs: number;
  readonly #askOwnApi: AskOwnApi;
  /** Loaded with the first report of a rejected token. */
  #rejections: Promise<Rejections> | undefined;
  readonly #flights: Flights;
  readonly #expired: ExpiredIssues;
  /** Single flights: a thousand concurrent callers make one request, read the row once and open its token once. */
  readonly #answers = new SingleFlight<HeldToken>();
  readonly #rows = new SingleFlight<GrantRow | undefined>();
  readonly #openings = new SingleFlight<ReadToken>();
  /** Counts of answers by the source of the token; callers that share an answer count once. */
  readonly answers = { memory: 0, row: 0, refresh: 0 };

  constructor(options: HandOutOptions) {
    this.#context = options.context;
    this.#expired = new ExpiredIssues(options.context);
    this.#cache = options.cache;
    this.#flights = new Flights(options.context, options.cache);
    this.#feed = options.feed;
    this.#handOuts = options.handOuts;
    this.#backgroundRefresh = options.backgroundRefresh;
    this.staleHandOutMs = options.staleHandOutMs;
    this.#askOwnApi = options.askOwnApi;
  }

  /** Returns the cached token on the hot path: one look-up, a few comparisons. Cached keys were checked on the first read. */
  held(key: GrantKey): HeldToken | undefined {
    if (!hasNames(key)) return undefined;
    const held = this.#cache.get(cacheKey(key));
    if (held === undefined) return undefined;
    const now = this.#context.world.now();
    if (now >= held.freshUntilMs || !this.#isTrusted(held, now)) return undefined;
    held.usedAtMs = now;
    this.answers.memory += 1;
    return held;
  }

  /** Hands a token out to a caller, and tells the audit log. */
  async get(key: GrantKey, options?: HandOutRequest): Promise<AccessToken> {
    // The hot path awaits nothing.
    const fromMemory = options?.minValidity === undefined ? this.held(key) : undefined;
    const held = fromMemory ?? (await forCaller(this.hold(key, options)));
    this.#handOuts.count('token.handed_out', key, held);
    if (this.#handOuts.isStrict) await this.#handOuts.write();
    return accessTokenOf(held);
  }

  /** True if each hand-out must wait for the audit log. */
  get mustWait(): boolean {
    return this.#handOuts.isStrict;
  }

  /** Tells the audit log of a hand-out that needs not wait for it. */
  tell(use: Use, key: GrantKey, held: HeldToken, acting?: Acting): void {
    this.#handOuts.count(use, key, held, acting);
  }

  /** Tells the audit log of a call with a token. @throws {GrantryError} the error of the database where the log is strict */
  async tellCall(key: GrantKey, held: HeldToken): Promise<void> {
    this.#handOuts.count('api.called', key, held);
    if (this.#handOuts.isStrict) await this.#handOuts.write();
  }

  /** Gets a token for the vault's own use, with what the same row says. */
  async hold(key: GrantKey, options?: HandOutRequest): Promise<HeldToken> {
    const held = options?.minValidity === undefined ? this.held(key) : undefined;
    if (held !== undefined) return held;
    const checked = checkKey(key);
    const demandMs = minValidityMs(options);
    if (options?.candidateClient !== undefined)
      return this.#get(checked, demandMs, { candidateClient: options.candidateClient });
    const request = `${cacheKey(checked)}\0${demandMs}\0${Math.floor(this.#context.world.monotonic() / this.#context.times.sharedAnswerMs)}`;
    return this.#answers.run(request, this.#cache.epoch, () => this.#get(checked, demandMs, {}));
  }

  /** See `Vault.rejectAccessToken`. */
  async reject(key: GrantKey, generation: number, options?: GetAccessTokenOptions): Promise<AccessToken> {
    const held = await this.replace(key, generation, options);
    this.#handOuts.count('token.handed_out', key, held);
    if (this.#handOuts.isStrict) await this.#handOuts.write();
    return accessTokenOf(held);
  }

  /** Like `reject`, for callers of the library that also need what the same row says. */
  async replace(key: GrantKey, generation: number, options?: GetAccessTokenOptions): Promise<HeldToken> {
    const checked = checkKey(key);
    const rejected = checkGeneration(generation);
    const demandMs = minValidityMs(options);
    const deadline = this.#deadline();
    const held = this.#cache.get(cacheKey(checked));
    if (held !== undefined && held.generation > rejected) return this.#get(checked, demandMs, { deadline });
    const row = await this.askIfHeld(checked, () => this.#row(checked));
    this.#cache.forgetOlder(checked, row.generation);
    if (row.generation === rejected) {
      const before = () => this.#judge(checked, row, demandMs);
      const judged = await this.#flights.refreshUntil(checked, rejected, deadline, { before });
      if (isGrantryError(judged)) throw judged;
      if (judged !== undefined) return judged;
      const fresh = await this.#get(checked, demandMs, { deadline });
      (await this.#rejectionsLoaded()).noteReplaced(checked, fresh.generation);
      return fresh;
    }
    // A failover lost the generation that this caller names. What memory has of it is not handed out again.
    if (row.generation < rejected) this.#cache.forget(checked);
    return this.#get(checked, demandMs, { deadline });
  }

  /**
   * Asks the database. A caller for whose grant memory has a token can do without: it does not wait out a database that
   * is away.
   *
   * @throws {GrantryError} `storage_unavailable` at once or soon while the database is away; every other error of `read`
   */
  askIfHeld<T>(key: CheckedKey, read: () => Promise<T>): Promise<T> {
    if (this.#cache.get(cacheKey(key)) === undefined) return read();
    return this.#context.reach.ask(read, limits.storagePatienceMsMax);
  }

  /** Judges the report of a token that was refreshed a moment ago: no refresh may better it. See {@link Rejections.judge}. */
  async #judge(key: CheckedKey, row: GrantRow, demandMs: number): Promise<HeldToken | GrantryError | undefined> {
    const { world, times } = this.#context;
    const { last_refreshed_at: refreshedAtMs } = row;
    if (refreshedAtMs === null || world.now() - refreshedAtMs > times.uselessRefreshMs) return undefined;
    const token = await this.#open(key, row);
    if (token === undefined || token.expiresAtMs - world.now() < demandMs) return undefined;
    return (await this.#rejectionsLoaded()).judge(key, token);
  }

  #rejectionsLoaded(): Promise<Rejections> {
    this.#rejections ??= import('./rejections.ts').then(
      ({ Rejections: Made }) => new Made(this.#context, this.#askOwnApi),
    );
    return this.#rejections;
  }

  /** Refreshes a generation of a grant, or joins a refresh of it that is already running. */
  async refresh(key: CheckedKey, generation: number): Promise<void> {
    await this.#flights.refresh(key, generation).done;
  }

  /** Does the same for a caller that waits no longer than callers do; the refresh goes on. */
  async prove(key: CheckedKey, generation: number): Promise<void> {
    const deadline = this.#deadline();
    let unneeded: HeldToken | GrantryError | undefined;
    // A report of a rejected token that this caller joins may end without a refresh.
    do unneeded = await this.#flights.refreshUntil(key, generation, deadline, {});
    while (unneeded !== undefined);
  }

  /** Waits for running refreshes: past the point of no return a refresh must not be cancelled. */
  async close(): Promise<void> {
    await this.#flights.ended();
  }

  /**
   * Reads or refreshes. Others may change the row meanwhile, so it may take several rounds, which share one deadline.
   *
   * A token with less life than the caller asks for is refreshed first. If that fails, the caller gets what still lives.
   */
  async #get(
    key: CheckedKey,
    demandMs: number,
    { candidateClient, deadline = this.#deadline() }: Wish,
  ): Promise<HeldToken> {
    const { world } = this.#context;
    for (let round = 0; ; ) {
      const read = await this.#read(key);
      const { held } = read;
      const source = round > 0 ? 'refresh' : read.generation === undefined ? 'memory' : 'row';
      const leftMs = held === undefined ? 0 : held.expiresAtMs - world.now();
      if (held !== undefined && leftMs > 0) {
        const rules = await this.#rules(key, held, leftMs, demandMs);
        // While the database is away nothing can be refreshed.
        const isQuiet = read.isAway === true || world.monotonic() < (held.quietUntilMs ?? Number.NEGATIVE_INFINITY);
        const isEnough = leftMs >= requiredMs(demandMs, held.lifetimeMs, rules);
        if (isEnough && !isQuiet && leftMs < earlyMs(held.lifetimeMs, rules)) this.#refreshInBackground(key, held);
        // A token refreshed for this caller is the best available, however short its life.
        if (isEnough || round > 0 || (isQuiet && candidateClient === undefined)) {
          this.answers[source] += 1;
          return held;
        }
      }
      try {
        const generation = read.generation ?? (await this.askIfHeld(key, () => this.#row(key))).generation;
        if (held !== undefined && held.generation < generation) {
          // Another process has refreshed, and the change feed has not reported it yet.
          this.#cache.forgetOlder(key, generation);
          continue;
        }
        // The first of two may have expired while this process was paused.
        if (round > 1) this.#expired.add(key, generation);
        this.#expired.assertNone(key, generation);
        // While the caller waits, the token that it may get instead must not run out.
        const until = leftMs > 0 ? Math.min(deadline, world.monotonic() + leftMs / 2) : deadline;
        const unneeded = await this.#flights.refreshUntil(key, generation, until, { candidateClient });
        // This caller joined a report of a rejected token, and needs a refresh all the same.
        if (unneeded !== undefined) continue;
      } catch (error) {
        if (leftMs <= 0 || candidateClient !== undefined) throw error;
        return this.#stillLiving(key, error);
      }
      round += 1;
    }
  }

  /** Returns the token of a grant whose refresh failed, while it lives. The next refresh waits for a pause. */
  async #stillLiving(key: CheckedKey, error: unknown): Promise<HeldToken> {
    if (!isGrantryError(error) || error.code === 'grant_not_found') throw error;
    const { world, logger } = this.#context;
    // Read again: the grant may have been disconnected while this caller waited.
    const { held, generation } = await this.#read(key);
    if (held === undefined || held.expiresAtMs <= world.now()) throw error;
    this.#keepQuiet(held, error);
    logger.warn('a token near its end is handed out: its refresh failed', { ...key, code: error.code });
    this.answers[generation === undefined ? 'memory' : 'row'] += 1;
    return held;
  }

  /** Reads from memory while it is trusted, else from the row; while the database is away, only from memory. */
  async #read(key: CheckedKey): Promise<ReadToken> {
    const held = this.#cache.get(cacheKey(key));
    if (held === undefined || this.#context.world.now() >= held.expiresAtMs) return this.#readRow(key);
    if (this.#isTrusted(held)) return { held };
    const isRecent = sinceMs(this.#context.world, this.#cache.seenAt) < this.staleHandOutMs;
    try {
      const patienceMs = isRecent ? limits.storagePatienceMs : limits.storagePatienceMsMax;
      return await this.#context.reach.ask(() => this.#readRow(key), patienceMs);
    } catch (error) {
      if (isRecent && isGrantryError(error, 'storage_unavailable')) return { held, isAway: true };
      throw error;
    }
  }

  #isTrusted(held: HeldToken, now?: number): boolean {
    return this.#cache.isOfThisEra(held) && this.#isWatched(now);
  }

  /** True if the change feed has polled a moment ago. */
  #isWatched(now?: number): boolean {
    return sinceMs(this.#context.world, this.#cache.seenAt, now) < this.#context.times.feedTrustMs;
  }

  async #readRow(key: CheckedKey): Promise<ReadToken> {
    // The feed starts before the row is read: a change in between is either seen, or the token is not cached.
    if (this.#backgroundRefresh) this.#startFeed();
    const epoch = this.#cache.epoch;
    return this.#openings.run(cacheKey(key), epoch, async () => {
      const row = await this.#row(key);
      const opened = await this.#open(key, row);
      const isCurrent = this.#backgroundRefresh && epoch === this.#cache.epoch;
      if (opened !== undefined && isCurrent) this.#cache.hold(key, opened);
      else if (opened !== undefined && this.#backgroundRefresh) this.#cache.noteUse(key, opened);
      return { held: opened, generation: row.generation };
    });
  }

  /** The feed is the program's, and not of the caller who happened to come first. */
  #startFeed(): void {
    const program = this.#context.audit?.program;
    if (program === undefined) this.#feed.start();
    else actingAs(program, () => this.#feed.start());
  }

  async #row(key: CheckedKey): Promise<GrantRow> {
    const row = await this.#rows.run(cacheKey(key), this.#cache.epoch, () => findGrant(this.#context.store.db, key));
    if (row !== undefined && row.state !== 'disconnected' && !this.#cache.isWithheld(key)) return row;
    this.#cache.forget(key);
    // Loaded for errors only, as below: a program that reads one good token starts sooner without.
    const { missingGrant, noSuchGrant } = await import('../grant/missing.ts');
    throw row === undefined ? await missingGrant(this.#context, key) : noSuchGrant(key);
  }

  async #open(key: CheckedKey, row: GrantRow): Promise<HeldToken | undefined> {
    const expiresAtMs = believedEndMs(row, this.#context.world.now(), this.#context.times.marginMs);
    if (row.access_token === null || !(expiresAtMs > this.#context.world.now())) return undefined;
    const secret = await this.#openAccessToken(row);
    if (secret === null) return undefined;
    this.#context.meter.tokenRead({ provider: row.provider }, expiresAtMs - this.#context.world.now());
    const rules = this.#backgroundRefresh ? await this.#rulesOf(key) : undefined;
    return heldTokenOf(this.#context, row, { secret, expiresAtMs }, rules);
  }

  async #openAccessToken(row: GrantRow): Promise<Secret | null> {
    const { keys } = this.#context;
    try {
      return openToken(await keys.pin(row.client_id), row, 'access_token');
    } catch (error) {
      if (!isGrantryError(error, 'integrity_failed')) throw error;
      // Another process may have shredded and recreated the tenant's keys: read them again before reporting this.
      const pinned = await keys.pin(row.client_id, { fresh: true });
      const { naming } = await import('../grant/altered.ts');
      return naming(this.#context, row, async () => openToken(pinned, row, 'access_token'));
    }
  }

  /** Returns the validity rules. A one-shot program skips the provider's definition if the token clearly lives long enough. */
  async #rules(key: CheckedKey, held: HeldToken, leftMs: number, demandMs: number): Promise<ValidityRules> {
    return held.rules ?? (leftMs >= demandMs ? plainRules : this.#rulesOf(key));
  }

  async #rulesOf(key: CheckedKey): Promise<ValidityRules> {
    return validityRules(await this.#context.providers.require(key.provider), this.#context.times);
  }

  #refreshInBackground(key: CheckedKey, held: HeldToken): void {
    if (!this.#backgroundRefresh || this.#flights.isUnderWay(key)) return;
    // While the database is away nothing can be refreshed, and each try would wait for it.
    if (this.#context.reach.isAway || !this.#isWatched()) return;
    this.#flights.refresh(key, held.generation).done.catch((error: unknown) => {
      // The caller has a good token, and the row records the failure for the next caller that needs a refresh.
      this.#keepQuiet(held, error);
      const code = codeOf(error);
      this.#context.logger.warn('a refresh ahead of need failed', { tenant: key.tenant, provider: key.provider, code });
    });
  }

  /** Until the pause ends, callers get the token without another attempt. */
  #keepQuiet(held: HeldToken, error: unknown): void {
    const pauseMs = isGrantryError(error) ? error.retryAfterMs : undefined;
    held.quietUntilMs = this.#context.world.monotonic() + (pauseMs ?? this.#context.times.retryBackOffMs);
  }

  /** The deadline of a caller that arrives now, by `World.monotonic`. */
  #deadline(): number {
    return this.#context.world.monotonic() + this.#context.callerWaitMs;
  }
}

/** A token that still lives, if there is one, and the row's generation if the row was read. */
interface ReadToken {
  held: HeldToken | undefined;
  generation?: number;
  /** The database does not answer. */
  isAway?: boolean;
}

interface Wish {
  candidateClient?: CandidateClient | undefined;
  deadline?: number;
}
