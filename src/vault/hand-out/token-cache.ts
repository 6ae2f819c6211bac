import { LRUCache } from 'lru-cache';
import type { CheckedKey, GrantKey } from '../../base/ids.ts';
import { defaultAccount } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { ValidityRules } from '../grant/validity.ts';
import type { AccessToken } from '../types.ts';

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
  /** End of the pause in refreshes ahead of need after a failed one. */
  quietUntilMs: number | undefined;
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
 * Until `trustedUntilMs` they may be handed out again without a database read: the change feed has just polled, and has
 * removed the grants that other processes disconnected.
 */
export class TokenCache {
  trustedUntilMs = 0;
  /** Wall-clock time of the feed's last successful poll; hand-out without the database ends a while after it. */
  lastSeenMs = 0;
  /** Counts polls and removals. A row read in one epoch must not be cached in a later one, since it may be stale. */
  epoch = 0;
  readonly #held: LRUCache<string, HeldToken>;

  /** @param entriesMax Memory for all entries is allocated at once, so a one-shot program passes a small number. */
  constructor(entriesMax: number = limits.cacheEntriesMax) {
    this.#held = new LRUCache<string, HeldToken>({
      max: entriesMax,
      maxSize: limits.cacheBytesMax,
      sizeCalculation: (held) => entryBytes + held.accessToken.length + held.metadata.length,
    });
  }

  get(name: string): HeldToken | undefined {
    return this.#held.get(name);
  }

  hold(key: CheckedKey, held: HeldToken): void {
    this.#held.set(cacheKey(key), held);
  }

  forget(key: CheckedKey): void {
    this.epoch += 1;
    this.#held.delete(cacheKey(key));
  }

  /** Removes the token if it is older than a generation, or read before the row's last change. */
  forgetOlder(key: CheckedKey, generation: number, changedAtMs = 0): void {
    this.epoch += 1;
    const name = cacheKey(key);
    const held = this.#held.peek(name);
    if (held !== undefined && (held.generation < generation || held.changedAtMs < changedAtMs)) this.#held.delete(name);
  }

  forgetAll(): void {
    this.epoch += 1;
    this.#held.clear();
  }

  /** Lists up to `limit` grants whose use was not noted for `afterMs`, and marks them as noted. */
  takeUsed(afterMs: number, limit: number): CheckedKey[] {
    const used: CheckedKey[] = [];
    for (const [name, held] of this.#held.entries()) {
      if (used.length === limit) break;
      if (held.usedAtMs - held.notedAtMs < afterMs) continue;
      held.notedAtMs = held.usedAtMs;
      used.push(keyOf(name));
    }
    return used;
  }
}
