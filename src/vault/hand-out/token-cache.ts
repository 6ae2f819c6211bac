import { LRUCache } from 'lru-cache';
import type { CheckedKey, GrantKey } from '../../base/ids.ts';
import { defaultAccount } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { AccessToken } from '../types.ts';

/**
 * A token in memory, with the times that decide whether it may be handed out without a look at the database.
 *
 * There may be a hundred thousand of them: what many have in common is held once, and what a caller gets is made for him.
 */
export interface HeldToken {
  readonly accessToken: string;
  readonly tokenType: string;
  readonly scopes: readonly string[];
  readonly apiDomain: string | undefined;
  readonly dc: string | undefined;
  readonly generation: number;
  /** When the row had last changed, by the database's clock. */
  readonly changedAtMs: number;
  readonly expiresAtMs: number;
  /** Until then a caller with the default minimum validity gets the token and nothing else is due. */
  readonly freshUntilMs: number;
  /** See `enoughValidity`. */
  readonly lifetimeMs: number;
  /** When it was last handed out, and when that was last noted in the row. */
  usedAtMs: number;
  notedAtMs: number;
  /** No refresh ahead of need before then: the last one failed. */
  quietUntilMs: number | undefined;
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

/** The token as a caller gets it: a thing of his own, which he may change without harm to others. */
export function tokenOf(held: HeldToken): AccessToken {
  const { accessToken, tokenType, scopes, apiDomain, generation, dc } = held;
  const expiresAt = new Date(held.expiresAtMs);
  const token: Writable<AccessToken> = { accessToken, tokenType, expiresAt, scopes, generation };
  if (apiDomain !== undefined) token.apiDomain = apiDomain;
  if (dc !== undefined) token.dc = dc;
  return token;
}

/** What a held token takes besides its text: itself, its key, its place in the cache. */
const entryBytes = 300;

/** Separates the parts of a key. No name holds it, so a key with exactly two of them has one reading. */
const separator = '\0';

/** The name under which a grant is held in memory. */
export function memoryKey(key: GrantKey): string {
  return key.tenant + separator + key.provider + separator + (key.account ?? defaultAccount);
}

/** The reverse of {@link memoryKey}. */
function keyOf(name: string): CheckedKey {
  const [tenant = '', provider = '', account = ''] = name.split(separator);
  return { tenant, provider, account };
}

/**
 * The tokens that this process has handed out, bounded in number and in size.
 *
 * They may be handed out again without a look at the database while `trustedUntilMs` lies ahead: the change feed has
 * looked a moment ago, and a grant that was disconnected elsewhere would be gone from here.
 */
export class Memory {
  trustedUntilMs = 0;
  /** When the feed last saw the database, by the wall clock; hand-out without the database ends a while after that. */
  lastSeenMs = 0;
  /** Counts the feed's looks and all that was forgotten: a row read before one and held after it may be stale already. */
  looks = 0;
  readonly #held: LRUCache<string, HeldToken>;

  /** @param entriesMax Room for these is taken at once: a program that ends after one token asks for little. */
  constructor(entriesMax: number = limits.cacheEntriesMax) {
    this.#held = new LRUCache<string, HeldToken>({
      max: entriesMax,
      maxSize: limits.cacheBytesMax,
      sizeCalculation: (held) => entryBytes + held.accessToken.length,
    });
  }

  get(name: string): HeldToken | undefined {
    return this.#held.get(name);
  }

  hold(key: CheckedKey, held: HeldToken): void {
    this.#held.set(memoryKey(key), held);
  }

  forget(key: CheckedKey): void {
    this.looks += 1;
    this.#held.delete(memoryKey(key));
  }

  /** Forgets what is older than a generation, or than the last change of its row. */
  forgetOlder(key: CheckedKey, generation: number, changedAtMs = 0): void {
    this.looks += 1;
    const name = memoryKey(key);
    const held = this.#held.peek(name);
    if (held !== undefined && (held.generation < generation || held.changedAtMs < changedAtMs)) this.#held.delete(name);
  }

  forgetAll(): void {
    this.looks += 1;
    this.#held.clear();
  }

  /** The grants whose use was not noted for `afterMs`, up to a limit; they count as noted from here on. */
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
