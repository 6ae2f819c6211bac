import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { findGrant, type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { checkGeneration, checkSeconds } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { withinTime } from '../deadline.ts';
import { dcOf } from '../grant/grants.ts';
import { noSuchGrant } from '../grant/refusals.ts';
import { openToken } from '../grant/tokens.ts';
import { earlyMs, requiredMs, type ValidityRules, validityRules } from '../grant/validity.ts';
import type { ClientTrial } from '../refresh/client-trial.ts';
import { type LeaseWait, stillUncertain } from '../refresh/wait.ts';
import type { AccessToken, GetAccessTokenOptions } from '../types.ts';
import type { ChangeFeed } from './change-feed.ts';
import { shared, sharedList } from './shared-text.ts';
import { Joined } from './single-flight.ts';
import { type HeldToken, type Memory, memoryKey, tokenOf } from './token-cache.ts';

const defaultMinValidityMs = 60_000;

/** Callers who come within so many milliseconds of each other share one answer, and the deadline of the first of them. */
const sharedForMs = 100;

/** For a token whose remaining life is compared with the caller's wish and nothing else. */
const plainRules: ValidityRules = { earlyRefreshMs: 0, justRefreshedMs: 0 };

/** What a caller inside the library may ask for besides. */
export interface HandOutRequest extends GetAccessTokenOptions {
  /** Refreshes, where that is due, with this client. */
  trial?: ClientTrial | undefined;
}

export interface HandOutOptions {
  context: VaultContext;
  memory: Memory;
  feed: ChangeFeed;
  backgroundRefresh: boolean;
  staleHandOutMs: number;
  /** Asks the grant's own API whether it accepts a token. */
  isTokenAccepted: (key: CheckedKey, token: Secret) => Promise<boolean>;
}

/**
 * Hands out access tokens: from memory, from the row, or after a refresh, in this order.
 *
 * A token that is still good is never withheld. No lock, no lease and no provider is on the path that reads one.
 */
export class HandOut {
  readonly #context: VaultContext;
  readonly #memory: Memory;
  readonly #feed: ChangeFeed;
  readonly #backgroundRefresh: boolean;
  readonly #staleHandOutMs: number;
  readonly #isTokenAccepted: HandOutOptions['isTokenAccepted'];
  /** One refresh per grant and process; whoever comes later joins. */
  readonly #flights = new Map<string, Flight>();
  readonly #underWay = new Set<Promise<void>>();
  /** A thousand callers who come at once ask once, read the row once, and open its token once. */
  readonly #answers = new Joined<HeldToken>();
  readonly #rows = new Joined<GrantRow | undefined>();
  readonly #openings = new Joined<Seen>();
  /** Answers by where the token came from; callers who share one count once. */
  readonly answers = { memory: 0, row: 0, refresh: 0 };

  constructor(options: HandOutOptions) {
    this.#context = options.context;
    this.#memory = options.memory;
    this.#feed = options.feed;
    this.#backgroundRefresh = options.backgroundRefresh;
    this.#staleHandOutMs = options.staleHandOutMs;
    this.#isTokenAccepted = options.isTokenAccepted;
  }

  /** The hot path: one look-up and two comparisons. A name that is held was checked when it was first read. */
  held(key: GrantKey): HeldToken | undefined {
    if (!isNamed(key)) return undefined;
    const held = this.#memory.get(memoryKey(key));
    if (held === undefined) return undefined;
    const now = this.#context.world.now();
    if (now >= held.freshUntilMs || now >= this.#memory.trustedUntilMs) return undefined;
    held.usedAtMs = now;
    this.answers.memory += 1;
    return held;
  }

  async get(key: GrantKey, options?: HandOutRequest): Promise<AccessToken> {
    const held = options?.minValidity === undefined ? this.held(key) : undefined;
    if (held !== undefined) return tokenOf(held);
    const checked = checkKey(key);
    const demandMs = minValidityMs(options);
    if (options?.trial !== undefined) return tokenOf(await this.#get(checked, demandMs, { trial: options.trial }));
    const wish = `${memoryKey(checked)}\0${demandMs}\0${Math.floor(this.#context.world.monotonic() / sharedForMs)}`;
    return tokenOf(await this.#answers.join(wish, this.#memory.looks, () => this.#get(checked, demandMs, {})));
  }

  /** See `Vault.rejectAccessToken`. */
  async reject(key: GrantKey, generation: number, options?: GetAccessTokenOptions): Promise<AccessToken> {
    const checked = checkKey(key);
    const rejected = checkGeneration(generation);
    const demandMs = minValidityMs(options);
    const giveUpAt = this.#giveUpAt();
    const row = await this.#row(checked);
    if (rejected > row.generation) {
      throw new GrantryError('invalid_request', `The generation ${rejected} of this grant was never handed out.`);
    }
    this.#memory.forgetOlder(checked, row.generation);
    if (row.generation === rejected) {
      await this.#refreshInTime(checked, rejected, giveUpAt, { before: () => this.#checkUseful(checked, row) });
    }
    return tokenOf(await this.#get(checked, demandMs, { giveUpAt }));
  }

  /**
   * A token of the wrong data centre looks expired, and no refresh cures that. Where the refused token was itself
   * refreshed a moment ago, the grant's own data centre is asked first, and no other refresh is spent if it takes it.
   */
  async #checkUseful(key: CheckedKey, row: GrantRow): Promise<void> {
    const { world, times } = this.#context;
    const ageMs = world.now() - (row.last_refreshed_at ?? 0);
    if (row.last_refreshed_at === null || ageMs > times.uselessRefreshMs) return;
    const secret = await this.#openAccessToken(row);
    if (secret === null) return;
    if (!(await this.#isTokenAccepted(key, secret))) return;
    throw new GrantryError(
      'provider_misconfigured',
      "The grant's own data centre accepts the token that was reported.",
      {
        action: 'Call the API of the data centre that this grant belongs to; see grantry show for it.',
      },
    );
  }

  /** Refreshes a generation of a grant whoever asks for it, or joins who does. */
  refresh(key: CheckedKey, generation: number): Promise<void> {
    return this.#refresh(key, generation).done;
  }

  /** Waits for refreshes that are under way; past their point of no return nobody may cancel them. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  /** A token may need more than one round, since others change the row meanwhile: the caller's time is for all of them. */
  async #get(
    key: CheckedKey,
    demandMs: number,
    { trial, giveUpAt = this.#giveUpAt() }: { trial?: ClientTrial | undefined; giveUpAt?: number },
  ): Promise<HeldToken> {
    for (let round = 0; ; ) {
      const seen = await this.#read(key);
      const { held } = seen;
      const from = round > 0 ? 'refresh' : seen.generation === undefined ? 'memory' : 'row';
      const leftMs = held === undefined ? 0 : held.expiresAtMs - this.#context.world.now();
      const rules = await this.#rules(key, leftMs, demandMs);
      if (held !== undefined && leftMs > 0 && leftMs >= requiredMs(demandMs, held.lifetimeMs, rules)) {
        const isEarly = this.#backgroundRefresh && leftMs < earlyMs(held.lifetimeMs, rules);
        if (isEarly && this.#context.world.now() >= (held.quietUntilMs ?? 0)) this.#refreshBehind(key, held);
        this.answers[from] += 1;
        return held;
      }
      // A token that was refreshed for this very caller is the best there is, whatever its life.
      if (held !== undefined && round > 0 && leftMs > 0) {
        this.answers[from] += 1;
        return held;
      }
      if (round > 1) throw new GrantryError('provider_error', 'The provider gives tokens that have expired already.');
      const generation = seen.generation ?? (await this.#row(key)).generation;
      if (held !== undefined && held.generation < generation) {
        // Somebody else has refreshed, and this process had not heard of it.
        this.#memory.forgetOlder(key, generation);
        continue;
      }
      await this.#refreshInTime(key, generation, giveUpAt, { trial });
      round += 1;
    }
  }

  /** From memory while that is trusted, else from the row; from memory alone while the database is away. */
  async #read(key: CheckedKey): Promise<Seen> {
    const now = this.#context.world.now();
    const held = this.#memory.get(memoryKey(key));
    if (held !== undefined && now < this.#memory.trustedUntilMs && now < held.expiresAtMs) return { held };
    // The feed watches from before the row is read: a change in between is seen, or the token is not held.
    if (this.#backgroundRefresh) this.#feed.start();
    const looks = this.#memory.looks;
    try {
      return await this.#openings.join(memoryKey(key), looks, async () => {
        const row = await this.#row(key);
        const opened = await this.#open(key, row);
        const isCurrent = this.#backgroundRefresh && looks === this.#memory.looks;
        if (opened !== undefined && isCurrent) this.#memory.hold(key, opened);
        return { held: opened, generation: row.generation };
      });
    } catch (error) {
      const trusted = now < this.#memory.lastSeenMs + this.#staleHandOutMs;
      if (held !== undefined && trusted && isGrantryError(error, 'storage_unavailable')) return { held };
      if (isGrantryError(error, 'grant_not_found')) this.#memory.forget(key);
      throw error;
    }
  }

  async #row(key: CheckedKey): Promise<GrantRow> {
    const row = await this.#rows.join(memoryKey(key), this.#memory.looks, () => findGrant(this.#context.store.db, key));
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
    // A one-shot program hands out a stored token without a look at the provider's definition.
    const dc = this.#backgroundRefresh ? await dcOf(this.#context, row, metadata) : textOf(metadata['dc']);
    return holdable(row, secret, { expiresAtMs, nowMs: this.#context.world.now(), metadata, dc }, rules);
  }

  async #openAccessToken(row: GrantRow): Promise<Secret | null> {
    const { keys } = this.#context;
    try {
      return openToken(await keys.pin(row.client_id), row, 'access_token');
    } catch (error) {
      if (!isGrantryError(error, 'integrity_failed')) throw error;
      // Another process may have shredded and remade the tenant's keys: they are read again before this is believed.
      return openToken(await keys.pin(row.client_id, { fresh: true }), row, 'access_token');
    }
  }

  /** A plainly sufficient token in a one-shot program is handed out without a look at the provider's definition. */
  async #rules(key: CheckedKey, leftMs: number, demandMs: number): Promise<ValidityRules> {
    return !this.#backgroundRefresh && leftMs >= demandMs ? plainRules : this.#rulesOf(key);
  }

  async #rulesOf(key: CheckedKey): Promise<ValidityRules> {
    return validityRules(await this.#context.providers.require(key.provider), this.#context.times);
  }

  #refreshBehind(key: CheckedKey, held: HeldToken): void {
    if (this.#flights.has(memoryKey(key))) return;
    this.#refresh(key, held.generation).done.catch((error: unknown) => {
      // The caller has a good token; the row says what happened, and the next one who needs it will be told.
      // Until then the next callers get it without asking in vain once more.
      const pauseMs = isGrantryError(error) ? error.retryAfterMs : undefined;
      held.quietUntilMs = this.#context.world.now() + (pauseMs ?? this.#context.times.retryBackOffMs);
      const code = isGrantryError(error) ? error.code : 'internal';
      this.#context.logger.warn('a refresh ahead of need failed', { tenant: key.tenant, provider: key.provider, code });
    });
  }

  /** When a caller who comes now stops waiting, by `World.monotonic`. */
  #giveUpAt(): number {
    return this.#context.world.monotonic() + this.#context.callerWaitMs;
  }

  async #refreshInTime(key: CheckedKey, generation: number, giveUpAt: number, how: RefreshHow): Promise<void> {
    const { world, callerWaitMs, times } = this.#context;
    const leftMs = Math.max(0, giveUpAt - world.monotonic());
    const { done, wait } = this.#refresh(key, generation, how);
    await withinTime(world, done, leftMs, () => {
      if (wait.retryAfterMs !== undefined) return stillUncertain(wait.retryAfterMs);
      const seconds = Math.round(callerWaitMs / 1_000);
      return new GrantryError(
        'provider_unavailable',
        `The provider has not answered within ${seconds} s; the refresh goes on.`,
        {
          retryAfterMs: times.retryBackOffMs,
        },
      );
    });
  }

  #refresh(key: CheckedKey, generation: number, { trial, before }: RefreshHow = {}): Flight {
    // Nobody is told what another caller's credentials were told. One lease holds for all of them all the same.
    const name = trial === undefined ? memoryKey(key) : `${memoryKey(key)}\0${trial.name}`;
    const flying = this.#flights.get(name);
    // One for an older generation ends with the tokens that are refused now.
    if (flying !== undefined && flying.generation >= generation) return flying;
    const wait: LeaseWait = {};
    const done: Promise<void> = Promise.resolve(before?.())
      .then(loadRefresh)
      .then(({ refreshGrant }) => refreshGrant(this.#context, key, generation, { trial, wait }))
      // What failed leaves the token that is held as good as it was: it may be all there is while the database is away.
      .then(() => this.#memory.forget(key))
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

/** A token that is good for a while, and the row's generation if the row was read for it. */
interface Seen {
  held: HeldToken | undefined;
  generation?: number;
}

/** A refresh that is under way, and whether it waits for another process. */
interface Flight {
  /** The one that is spent. */
  readonly generation: number;
  readonly done: Promise<void>;
  readonly wait: LeaseWait;
}

interface RefreshHow {
  trial?: ClientTrial | undefined;
  /** Must succeed before anything is spent. */
  before?: () => Promise<void>;
}

/** Loaded with the first refresh: a program that only reads a stored token never pays for it. */
function loadRefresh() {
  return import('../refresh/refresh.ts');
}

interface HoldFacts {
  readonly expiresAtMs: number;
  readonly nowMs: number;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly dc: string | null;
}

function holdable(
  row: GrantRow,
  secret: Secret,
  { expiresAtMs, nowMs, metadata, dc }: HoldFacts,
  rules: ValidityRules,
): HeldToken {
  const lifetimeMs = Math.max(1, expiresAtMs - (row.obtained_at ?? expiresAtMs - 3_600_000));
  const early = Math.max(earlyMs(lifetimeMs, rules), requiredMs(defaultMinValidityMs, lifetimeMs, rules));
  return {
    accessToken: secret.reveal(),
    tokenType: shared(row.token_type ?? 'Bearer'),
    scopes: sharedList(row.scopes),
    apiDomain: sharedOrNone(textOf(metadata['api_domain'])),
    dc: sharedOrNone(dc),
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

function sharedOrNone(text: string | null): string | undefined {
  return text === null ? undefined : shared(text);
}

/** Enough to look a key up by; what is not held is checked in full. */
function isNamed(key: GrantKey): boolean {
  const account = key?.account;
  return (
    typeof key?.tenant === 'string' &&
    typeof key.provider === 'string' &&
    (account === undefined || typeof account === 'string')
  );
}

function minValidityMs(options: GetAccessTokenOptions | undefined): number {
  const seconds = options?.minValidity;
  if (seconds === undefined) return defaultMinValidityMs;
  return checkSeconds('minimum validity', seconds, limits.minValiditySecondsMax) * 1_000;
}
