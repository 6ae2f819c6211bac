import { codeOf, GrantryError, invalidRequest, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { findGrant, type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { checkGeneration, checkSeconds } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { withTimeout } from '../deadline.ts';
import { type GrantPlace, placeOf } from '../grant/grants.ts';
import { noSuchGrant } from '../grant/refusals.ts';
import { openToken } from '../grant/tokens.ts';
import { earlyMs, requiredMs, type ValidityRules, validityRules } from '../grant/validity.ts';
import type { CandidateClient } from '../refresh/candidate-client.ts';
import { type LeaseWait, stillUncertain } from '../refresh/wait.ts';
import type { AccessToken, GetAccessTokenOptions } from '../types.ts';
import type { ChangeFeed } from './change-feed.ts';
import { interned, internedList } from './interned-text.ts';
import { SingleFlight } from './single-flight.ts';
import { accessTokenOf, cacheKey, type HeldToken, type TokenCache } from './token-cache.ts';

/** Rules that compare a token's remaining life with the caller's demand, and with nothing else. */
const plainRules: ValidityRules = { earlyRefreshMs: 0, justRefreshedMs: 0 };

/** Options of callers inside the library. */
export interface HandOutRequest extends GetAccessTokenOptions {
  /** The client to use if a refresh is due. */
  candidateClient?: CandidateClient | undefined;
}

export interface HandOutOptions {
  context: VaultContext;
  cache: TokenCache;
  feed: ChangeFeed;
  backgroundRefresh: boolean;
  staleHandOutMs: number;
  /** Asks the grant's own API whether it accepts a token. */
  isTokenAccepted: (key: CheckedKey, token: Secret) => Promise<boolean>;
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
  readonly #backgroundRefresh: boolean;
  readonly #staleHandOutMs: number;
  readonly #isTokenAccepted: HandOutOptions['isTokenAccepted'];
  /** The running refreshes, one per grant and client; later callers join them. */
  readonly #flights = new Map<string, Flight>();
  readonly #underWay = new Set<Promise<void>>();
  /** The generations that had expired when they came, two in a row. */
  readonly #issuedExpired = new Map<string, { generation: number; at: number }>();
  /** Single flights: a thousand concurrent callers make one request, read the row once and open its token once. */
  readonly #answers = new SingleFlight<HeldToken>();
  readonly #rows = new SingleFlight<GrantRow | undefined>();
  readonly #openings = new SingleFlight<ReadToken>();
  /** Counts of answers by the source of the token; callers that share an answer count once. */
  readonly answers = { memory: 0, row: 0, refresh: 0 };

  constructor(options: HandOutOptions) {
    this.#context = options.context;
    this.#cache = options.cache;
    this.#feed = options.feed;
    this.#backgroundRefresh = options.backgroundRefresh;
    this.#staleHandOutMs = options.staleHandOutMs;
    this.#isTokenAccepted = options.isTokenAccepted;
  }

  /** Returns the cached token on the hot path: one look-up, two comparisons. Cached keys were checked on the first read. */
  held(key: GrantKey): HeldToken | undefined {
    if (!hasNames(key)) return undefined;
    const held = this.#cache.get(cacheKey(key));
    if (held === undefined) return undefined;
    const now = this.#context.world.now();
    if (now >= held.freshUntilMs || now >= this.#cache.trustedUntilMs) return undefined;
    held.usedAtMs = now;
    this.answers.memory += 1;
    return held;
  }

  async get(key: GrantKey, options?: HandOutRequest): Promise<AccessToken> {
    const held = options?.minValidity === undefined ? this.held(key) : undefined;
    if (held !== undefined) return accessTokenOf(held);
    const checked = checkKey(key);
    const demandMs = minValidityMs(options);
    if (options?.candidateClient !== undefined)
      return accessTokenOf(await this.#get(checked, demandMs, { candidateClient: options.candidateClient }));
    const request = `${cacheKey(checked)}\0${demandMs}\0${Math.floor(this.#context.world.monotonic() / this.#context.times.sharedAnswerMs)}`;
    return accessTokenOf(await this.#answers.run(request, this.#cache.epoch, () => this.#get(checked, demandMs, {})));
  }

  /** See `Vault.rejectAccessToken`. */
  async reject(key: GrantKey, generation: number, options?: GetAccessTokenOptions): Promise<AccessToken> {
    const checked = checkKey(key);
    const rejected = checkGeneration(generation);
    const demandMs = minValidityMs(options);
    const deadline = this.#deadline();
    const row = await this.#row(checked);
    if (rejected > row.generation) {
      throw invalidRequest(`The generation ${rejected} of this grant was never handed out.`);
    }
    this.#cache.forgetOlder(checked, row.generation);
    if (row.generation === rejected) {
      await this.#refreshWithTimeout(checked, rejected, deadline, {
        before: () => this.#checkRefreshHelps(checked, row),
      });
    }
    return accessTokenOf(await this.#get(checked, demandMs, { deadline }));
  }

  /**
   * Checks that a refresh can help. A token sent to the wrong data centre looks expired, and no refresh cures that. If the
   * refused token was refreshed a moment ago, the grant's own data centre is asked first. If it accepts the token, the
   * refresh is refused.
   */
  async #checkRefreshHelps(key: CheckedKey, row: GrantRow): Promise<void> {
    const { world, times } = this.#context;
    const ageMs = world.now() - (row.last_refreshed_at ?? 0);
    if (row.last_refreshed_at === null || ageMs > times.uselessRefreshMs) return;
    const secret = await this.#openAccessToken(row);
    if (secret === null) return;
    if (!(await this.#isTokenAccepted(key, secret))) return;
    throw new GrantryError('provider_misconfigured', "The grant's own data centre accepts the rejected token.", {
      action: "Call the API of the grant's own data centre; grantry show prints it.",
    });
  }

  /** Refreshes a generation of a grant, or joins a refresh of it that is already running. */
  refresh(key: CheckedKey, generation: number): Promise<void> {
    return this.#refresh(key, generation).done;
  }

  /** Waits for running refreshes: past the point of no return a refresh must not be cancelled. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  /** Reads or refreshes. Others may change the row meanwhile, so it may take several rounds, which share one deadline. */
  async #get(
    key: CheckedKey,
    demandMs: number,
    {
      candidateClient,
      deadline = this.#deadline(),
    }: { candidateClient?: CandidateClient | undefined; deadline?: number },
  ): Promise<HeldToken> {
    for (let round = 0; ; ) {
      const read = await this.#read(key);
      const { held } = read;
      const source = round > 0 ? 'refresh' : read.generation === undefined ? 'memory' : 'row';
      const leftMs = held === undefined ? 0 : held.expiresAtMs - this.#context.world.now();
      const rules = await this.#rules(key, leftMs, demandMs);
      if (held !== undefined && leftMs > 0 && leftMs >= requiredMs(demandMs, held.lifetimeMs, rules)) {
        const isEarly = this.#backgroundRefresh && leftMs < earlyMs(held.lifetimeMs, rules);
        if (isEarly && this.#context.world.now() >= (held.quietUntilMs ?? 0)) this.#refreshInBackground(key, held);
        this.answers[source] += 1;
        return held;
      }
      // A token refreshed for this caller is the best available, however short its life.
      if (held !== undefined && round > 0 && leftMs > 0) {
        this.answers[source] += 1;
        return held;
      }
      const generation = read.generation ?? (await this.#row(key)).generation;
      if (held !== undefined && held.generation < generation) {
        // Another process has refreshed, and the change feed has not reported it yet.
        this.#cache.forgetOlder(key, generation);
        continue;
      }
      // The first of two may have expired while this process was paused.
      if (round > 1) this.#issuedExpired.set(cacheKey(key), { generation, at: this.#context.world.monotonic() });
      this.#assertNotExpired(key, generation);
      await this.#refreshWithTimeout(key, generation, deadline, { candidateClient });
      round += 1;
    }
  }

  /** A provider that issues expired tokens is asked at its own pace, not at the pace of the callers. */
  #assertNotExpired(key: CheckedKey, generation: number): void {
    const expired = this.#issuedExpired.get(cacheKey(key));
    if (expired === undefined) return;
    const retryAfterMs = expired.at + this.#context.times.issuedExpiredMs - this.#context.world.monotonic();
    if (expired.generation !== generation || retryAfterMs <= 0) {
      this.#issuedExpired.delete(cacheKey(key));
      return;
    }
    const text = `${key.provider} issues tokens that have already expired.`;
    throw new GrantryError('provider_error', text, { retryAfterMs });
  }

  /** Reads from the cache while it is trusted, else from the row; while the database is down, only from the cache. */
  async #read(key: CheckedKey): Promise<ReadToken> {
    const now = this.#context.world.now();
    const held = this.#cache.get(cacheKey(key));
    if (held !== undefined && now < this.#cache.trustedUntilMs && now < held.expiresAtMs) return { held };
    // The feed starts before the row is read: a change in between is either seen, or the token is not cached.
    if (this.#backgroundRefresh) this.#feed.start();
    const epoch = this.#cache.epoch;
    try {
      return await this.#openings.run(cacheKey(key), epoch, async () => {
        const row = await this.#row(key);
        const opened = await this.#open(key, row);
        const isCurrent = this.#backgroundRefresh && epoch === this.#cache.epoch;
        if (opened !== undefined && isCurrent) this.#cache.hold(key, opened);
        return { held: opened, generation: row.generation };
      });
    } catch (error) {
      const trusted = now < this.#cache.lastSeenMs + this.#staleHandOutMs;
      if (held !== undefined && trusted && isGrantryError(error, 'storage_unavailable')) return { held };
      if (isGrantryError(error, 'grant_not_found')) this.#cache.forget(key);
      throw error;
    }
  }

  async #row(key: CheckedKey): Promise<GrantRow> {
    const row = await this.#rows.run(cacheKey(key), this.#cache.epoch, () => findGrant(this.#context.store.db, key));
    if (row === undefined || row.state === 'disconnected') throw noSuchGrant(key);
    return row;
  }

  async #open(key: CheckedKey, row: GrantRow): Promise<HeldToken | undefined> {
    const expiresAtMs = row.token_expiry === null ? 0 : Date.parse(row.token_expiry);
    if (row.access_token === null || !(expiresAtMs > this.#context.world.now())) return undefined;
    const secret = await this.#openAccessToken(row);
    if (secret === null) return undefined;
    this.#context.meter.tokenRead({ provider: row.provider }, expiresAtMs - this.#context.world.now());
    const rules = this.#backgroundRefresh ? await this.#rulesOf(key) : plainRules;
    const metadata = metadataOf(row);
    const named = { dc: textOf(metadata['dc']), apiDomain: textOf(metadata['api_domain']) };
    // A one-shot program hands out a stored token without reading the provider's definition, unless it needs its host.
    const isPlaced = !this.#backgroundRefresh && (named.dc === null || named.apiDomain !== null);
    const place = isPlaced ? named : await placeOf(this.#context, row, metadata);
    return heldTokenOf(row, secret, { expiresAtMs, nowMs: this.#context.world.now(), ...place }, rules);
  }

  async #openAccessToken(row: GrantRow): Promise<Secret | null> {
    const { keys } = this.#context;
    try {
      return openToken(await keys.pin(row.client_id), row, 'access_token');
    } catch (error) {
      if (!isGrantryError(error, 'integrity_failed')) throw error;
      // Another process may have shredded and recreated the tenant's keys: read them again before reporting this.
      return openToken(await keys.pin(row.client_id, { fresh: true }), row, 'access_token');
    }
  }

  /** Returns the validity rules. A one-shot program skips the provider's definition if the token clearly lives long enough. */
  async #rules(key: CheckedKey, leftMs: number, demandMs: number): Promise<ValidityRules> {
    return !this.#backgroundRefresh && leftMs >= demandMs ? plainRules : this.#rulesOf(key);
  }

  async #rulesOf(key: CheckedKey): Promise<ValidityRules> {
    return validityRules(await this.#context.providers.require(key.provider), this.#context.times);
  }

  #refreshInBackground(key: CheckedKey, held: HeldToken): void {
    if (this.#flights.has(cacheKey(key))) return;
    this.#refresh(key, held.generation).done.catch((error: unknown) => {
      // The caller has a good token, and the row records the failure for the next caller that needs a refresh. Until the
      // pause ends, callers get the token without another attempt.
      const pauseMs = isGrantryError(error) ? error.retryAfterMs : undefined;
      held.quietUntilMs = this.#context.world.now() + (pauseMs ?? this.#context.times.retryBackOffMs);
      const code = codeOf(error);
      this.#context.logger.warn('a refresh ahead of need failed', { tenant: key.tenant, provider: key.provider, code });
    });
  }

  /** The deadline of a caller that arrives now, by `World.monotonic`. */
  #deadline(): number {
    return this.#context.world.monotonic() + this.#context.callerWaitMs;
  }

  async #refreshWithTimeout(
    key: CheckedKey,
    generation: number,
    deadline: number,
    options: RefreshOptions,
  ): Promise<void> {
    const { world, callerWaitMs, times } = this.#context;
    const leftMs = Math.max(0, deadline - world.monotonic());
    const { done, wait } = this.#refresh(key, generation, options);
    await withTimeout(world, done, leftMs, () => {
      if (wait.retryAfterMs !== undefined) return stillUncertain(wait.retryAfterMs);
      const seconds = Math.round(callerWaitMs / 1_000);
      return new GrantryError(
        'provider_unavailable',
        `${key.provider} has not answered within ${seconds} s; the refresh continues in the background.`,
        { retryAfterMs: times.retryBackOffMs },
      );
    });
  }

  #refresh(key: CheckedKey, generation: number, { candidateClient, before }: RefreshOptions = {}): Flight {
    // Candidate clients do not share flights: each caller must get the outcome of its own credentials. They share a lease.
    const name = candidateClient === undefined ? cacheKey(key) : `${cacheKey(key)}\0${candidateClient.name}`;
    const running = this.#flights.get(name);
    // A refresh of an older generation would return tokens that are being rejected now.
    if (running !== undefined && running.generation >= generation) return running;
    const wait: LeaseWait = {};
    const done: Promise<void> = Promise.resolve(before?.())
      // Loaded on demand: a program that only reads stored tokens does not pay for it.
      .then(() => import('../refresh/refresh.ts'))
      .then(({ refreshGrant }) => refreshGrant(this.#context, key, generation, { candidateClient, wait }))
      // A failed refresh leaves the cached token: it may be the only one available while the database is down.
      .then(() => this.#cache.forget(key))
      .finally(() => {
        this.#underWay.delete(done);
        if (this.#flights.get(name)?.done === done) this.#flights.delete(name);
      });
    const flight = { generation, done, wait };
    this.#flights.set(name, flight);
    this.#underWay.add(done);
    return flight;
  }
}

/** A token that still lives, if there is one, and the row's generation if the row was read. */
interface ReadToken {
  held: HeldToken | undefined;
  generation?: number;
}

/** A running refresh; `wait` tells whether it waits for another process. */
interface Flight {
  /** The generation being spent. */
  readonly generation: number;
  readonly done: Promise<void>;
  readonly wait: LeaseWait;
}

interface RefreshOptions {
  candidateClient?: CandidateClient | undefined;
  /** A check that must succeed before a token is spent. */
  before?: () => Promise<void>;
}

function heldTokenOf(
  row: GrantRow,
  secret: Secret,
  facts: GrantPlace & { expiresAtMs: number; nowMs: number },
  rules: ValidityRules,
): HeldToken {
  const { expiresAtMs, nowMs, apiDomain, dc } = facts;
  const lifetimeMs = Math.max(1, expiresAtMs - (row.obtained_at ?? expiresAtMs - 3_600_000));
  const early = Math.max(earlyMs(lifetimeMs, rules), requiredMs(limits.minValidityMsDefault, lifetimeMs, rules));
  return {
    accessToken: secret.reveal(),
    tokenType: interned(row.token_type ?? 'Bearer'),
    scopes: internedList(row.scopes),
    apiDomain: internedOrNone(apiDomain),
    dc: internedOrNone(dc),
    generation: row.generation,
    changedAtMs: row.changed_at,
    expiresAtMs,
    freshUntilMs: expiresAtMs - early,
    lifetimeMs,
    usedAtMs: nowMs,
    notedAtMs: row.used_at ?? 0,
    quietUntilMs: undefined,
  };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function internedOrNone(text: string | null): string | undefined {
  return text === null ? undefined : interned(text);
}

/** Checks just enough for a cache look-up; a key that is not cached is checked in full. */
function hasNames(key: GrantKey): boolean {
  const account = key?.account;
  return (
    typeof key?.tenant === 'string' &&
    typeof key.provider === 'string' &&
    (account === undefined || typeof account === 'string')
  );
}

function minValidityMs(options: GetAccessTokenOptions | undefined): number {
  const seconds = options?.minValidity;
  if (seconds === undefined) return limits.minValidityMsDefault;
  return checkSeconds('minimum validity', seconds, limits.minValiditySecondsMax) * 1_000;
}
