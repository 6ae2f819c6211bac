import { LRUCache } from 'lru-cache';
import type { CheckedKey, GrantKey } from '../../base/ids.ts';
import { defaultAccount } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { HandOutCount } from '../audit/hand-outs.ts';
import type { ValidityRules } from '../grant/validity.ts';
import type { AccessToken } from '../types.ts';
import { type Instant, never } from './instant.ts';

/**
 * A token in memory, with the times that decide whether it may be handed out without a database read.
 *
 * A cache may hold a hundred thousand of them: shared strings are interned, and each caller gets its own copy.
 */
export interface HeldToken {
  readonly accessToken: string;
  readonly tokenType: string;
  readonly scopes: readonly string[];
  readonly apiDomain: string | undefined;
  readonly dc: string | undefined;
  /** The app and the metadata (JSON) of the same row: calls with this token go where they say. */
  readonly app: string | undefined;
  readonly metadata: string;
  /** The provider's rules at the time of the read; undefined in a one-shot program. */
  readonly rules: ValidityRules | undefined;
  readonly generation: number;
  /** Time of the row's last change, by the database's clock. */
  readonly changedAtMs: number;
  readonly expiresAtMs: number;
  /** Until then the token satisfies the default minimum validity and no refresh is due. */
  readonly freshUntilMs: number;
  /** Total life of the token; see `validity.ts`. */
  readonly lifetimeMs: number;
  /** Time of the last hand-out, and of the last usage note in the row. */
  usedAtMs: number;
  notedAtMs: number;
  /** End (by `World.monotonic`) of the pause in refreshes ahead of need after a failed one. */
  quietUntilMs: number | undefined;
  /** The cache's era in which the row was read; see {@link TokenCache.isOfThisEra}. */
  era: number | undefined;
  /** The newest count of hand-outs of this token. */
  counted: HandOutCount | undefined;
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Copies a token for one caller, which may change its copy without affecting others. */
export function accessTokenOf(held: HeldToken): AccessToken {
  const { accessToken, tokenType, scopes, apiDomain, generation, dc } = held;
  const expiresAt = new Date(held.expiresAtMs);
  const token: Writable<AccessToken> = { accessToken, tokenType, expiresAt, scopes, generation };
  if (apiDomain !== undefined) token.apiDomain = apiDomain;
  if (dc !== undefined) token.dc = dc;
  return token;
}

/** Estimated bytes of an entry without its token text: the object, its key and the cache's own records. */
const entryBytes = 300;

/** Separates the parts of a key. No name contains it, so a key with two separators is unambiguous. */
const separator = '\0';

/** Tokens that are looked at in one go. */
const lookedAtMax = 2_000;

/** The name of a grant in the cache. */
export function cacheKey(key: GrantKey): string {
  return key.tenant + separator + key.provider + separator + (key.account ?? defaultAccount);
}

/** The reverse of {@link cacheKey}. */
function keyOf(name: string): CheckedKey {
  const [tenant = '', provider = '', account = ''] = name.split(separator);
  return { tenant, provider, account };
}

/**
 * The tokens that this process has handed out, bounded in number and in size.
 *
 * For a moment after `seenAt` they may be handed out again without a database read: the change feed has just polled, and has
 * removed the grants that other processes disconnected.
 */
export class TokenCache {
  /** The feed's last successful poll. Hand-out without the database ends a while after it. */
  seenAt: Instant = never;
  /** Counts polls and removals. A row read in one epoch must not be cached in a later one, since it may be stale. */
  epoch = 0;
  #era = 0;
  readonly #held: LRUCache<string, HeldToken>;
  /** Tokens that were removed together, each with the time of its use that is not noted. */
  readonly #unnoted = new Map<string, number>();
  /** Grants that this process is disconnecting, and by how many calls. */
  readonly #withheld = new Map<string, number>();

  /** @param entriesMax Memory for all entries is allocated at once, so a one-shot program passes a small number. */
  constructor(entriesMax: number = limits.cacheEntriesMax) {
    this.#held = new LRUCache<string, HeldToken>({
      max: entriesMax,
      maxSize: limits.cacheBytesMax,
      sizeCalculation: (held) => entryBytes + held.accessToken.length + held.metadata.length,
    });
  }

  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  get(name: string): HeldToken | undefined {
    return this.#held.get(name);
  }

  hold(key: CheckedKey, held: HeldToken): void {
    held.era = this.#era;
    this.#held.set(cacheKey(key), held);
  }

  /** False for a token from before an outage: its row is read again, and memory serves only if the database is away again. */
  isOfThisEra({ era }: HeldToken): boolean {
    return era === this.#era;
  }

  /** Has each row read again before its token is handed out. */
  distrustAll(): void {
    this.epoch += 1;
    this.#era += 1;
  }

  forget(key: CheckedKey): void {
    this.epoch += 1;
    this.#held.delete(cacheKey(key));
  }

  /** Removes the token if it is older than a generation, or was read before or after another change of the row. */
  forgetOlder(key: CheckedKey, generation: number, changedAtMs?: number): void {
    this.epoch += 1;
    const name = cacheKey(key);
    const held = this.#held.peek(name);
    if (held === undefined) return;
    // Not by order: a clock that was set back gives a later change an earlier mark.
    const isOther = changedAtMs !== undefined && held.changedAtMs !== changedAtMs;
    if (held.generation < generation || isOther) this.#held.delete(name);
  }

  /** Counts the use of a token that is not kept: workers refresh it ahead of need all the same. */
  noteUse(key: CheckedKey, { usedAtMs, notedAtMs }: HeldToken): void {
    this.#unnoted.set(cacheKey(key), usedAtMs - notedAtMs);
  }

  /** Removes all tokens. That they were used is still to be noted. */
  forgetAll(): void {
    this.epoch += 1;
    for (const [name, { usedAtMs, notedAtMs }] of this.#held.entries()) this.#unnoted.set(name, usedAtMs - notedAtMs);
    this.#held.clear();
  }

  /**
   * Stops the hand-out of a grant that is being disconnected, until the returned function is called. Until then it may be
   * unknown for long whether the database has kept the end of the grant.
   */
  withhold(key: CheckedKey): () => void {
    const name = cacheKey(key);
    this.#withheld.set(name, (this.#withheld.get(name) ?? 0) + 1);
    this.forget(key);
    return () => {
      const left = (this.#withheld.get(name) ?? 1) - 1;
      if (left > 0) this.#withheld.set(name, left);
      else this.#withheld.delete(name);
      // What was read before the end was committed must not be kept.
      this.forget(key);
    };
  }

  isWithheld(key: CheckedKey): boolean {
    return this.#withheld.size > 0 && this.#withheld.has(cacheKey(key));
  }

  /**
   * Lists the grants whose use was not noted for `afterMs`, in lists of up to `limit`, and marks them as noted. Looks at each
   * token once. After every {@link lookedAtMax} tokens it yields what it has, so that the caller can let others run.
   */
  *takeUsed(afterMs: number, limit: number): Generator<CheckedKey[]> {
    let used: CheckedKey[] = [];
    let looked = 0;
    // A copy of the names: the cache may change between two lists.
    for (const name of [...this.#unnoted.keys(), ...this.#held.keys()]) {
      looked += 1;
      if (this.#takeUse(name, afterMs)) used.push(keyOf(name));
      if (used.length < limit && looked < lookedAtMax) continue;
      yield used;
      used = [];
      looked = 0;
    }
    if (used.length > 0) yield used;
  }

  /** Tells whether a use of at least that time is not noted, and then counts it as noted. */
  #takeUse(name: string, afterMs: number): boolean {
    const held = this.#held.peek(name);
    const usedMs = Math.max(this.#unnoted.get(name) ?? 0, held === undefined ? 0 : held.usedAtMs - held.notedAtMs);
    this.#unnoted.delete(name);
    if (usedMs < afterMs) return false;
    if (held !== undefined) held.notedAtMs = held.usedAtMs;
    return true;
  }
}
