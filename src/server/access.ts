import { LRUCache } from 'lru-cache';
import { codeOf, GrantryError, isGrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Logger, RepeatedWarning } from '../base/log.ts';
import type { World } from '../base/world.ts';
import {
  type ChangedApiKey,
  type FoundApiKey,
  hashApiKey,
  isWellFormedKey,
  type KeyChanges,
} from '../vault/api-keys.ts';
import { Reach } from '../vault/reach.ts';
import { type Principal, principalOf } from './principal.ts';
import { withStatus } from './problem.ts';

interface Known {
  /** `null`: no live key has this hash. */
  readonly principal: Principal | null;
  /** The key whose changes end or change this one, and its last change that is in this entry. */
  readonly root: string | null;
  readonly stamp: number;
  readonly checkedAt: number;
}

export interface AccessOptions {
  /** The live key with a hash. @throws {GrantryError} while the vault is not open */
  readonly find: (hash: string) => Promise<FoundApiKey | null>;
  /** All changed keys; null if there are still as many changes as that. @throws {GrantryError} as `find` does */
  readonly findChanged: (known: string) => Promise<KeyChanges | null>;
  /** The time for which keys that were live are trusted while the database is away. */
  readonly offlineMs: () => number;
  /** Records when keys were last used. @throws {GrantryError} as `find` does */
  readonly noteUses: (uses: readonly { readonly id: string; readonly at: number }[]) => Promise<void>;
  readonly world: World;
  readonly logger: Logger;
}

/**
 * Identifies the caller. Keys are looked up by their hash and cached. Every two seconds the server looks for keys that were
 * changed or revoked elsewhere: a read costs no query, and a change holds everywhere within five seconds. A child key
 * depends on its parent: what changes the parent makes the child be looked up again.
 *
 * While the database is away, keys that were live stay trusted for as long as memory hands out tokens.
 */
export class Access {
  readonly #options: AccessOptions;
  readonly #known = new LRUCache<string, Known>({ max: limits.apiKeysHeld });
  /** Hashes of no live key, in a cache of their own: invented keys must not evict real ones. */
  readonly #strangers = new LRUCache<string, Known>({ max: limits.strangeKeysHeld });
  #asking = new Map<string, Promise<Known>>();
  /** The number of running look-ups of keys never seen before. */
  #newOnes = 0;
  /** Entries learnt before this time (`World.monotonic`) are no longer trusted. */
  #distrustedUntil = Number.NEGATIVE_INFINITY;
  readonly #reach: Reach;
  /** The time (`World.monotonic`) of the last successful look for changed keys; before the first one, of the start. */
  #watchedAt: number;
  #isWatched = false;
  /** The changes counted at the last look, and the changed keys by their ids. */
  #changes = '';
  #changed: ReadonlyMap<string, ChangedApiKey> = new Map();
  #uses = new Map<string, number>();
  readonly #unnoted: RepeatedWarning;
  /** The hash of a key from outside, which has no checksum of ours. */
  #foreignHash: string | null = null;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#reach = new Reach(options.world);
    this.#watchedAt = options.world.monotonic();
    this.#unnoted = new RepeatedWarning(options.logger, 'the last use of API keys could not be recorded');
  }

  /** Forgets the keys that were changed or revoked elsewhere, again and again. */
  async watch(signal: AbortSignal): Promise<void> {
    const { world, logger } = this.#options;
    while (!signal.aborted) {
      await this.#forgetChanged().catch((error: unknown) => {
        logger.debug('changed keys cannot be looked for', { code: codeOf(error) });
      });
      try {
        await world.sleep(limits.apiKeyWatchMs, signal, { background: true });
      } catch {
        return;
      }
    }
  }

  /** Allows the look-up of a key that this program did not make. */
  admitForeign(key: string): void {
    this.#foreignHash = hashApiKey(key);
  }

  /**
   * Identifies the sender of an `Authorization` header; synchronously when the key is cached.
   *
   * @throws {GrantryError} `unauthorized`, `storage_unavailable` for a key that cannot be looked up
   */
  authenticate(header: string | undefined): Principal | Promise<Principal> {
    if (header === undefined) throw unauthorized('The request has no API key.');
    const key = /^Bearer +(\S+)$/i.exec(header)?.[1];
    if (key === undefined) throw unauthorized('The Authorization header must have the form "Bearer gry_…".');
    return this.authenticateKey(key);
  }

  authenticateKey(key: string): Principal | Promise<Principal> {
    if (key.length > limits.apiKeyCharsMax) throw unauthorized('The API key is not valid.');
    const hash = hashApiKey(key);
    const known = this.#known.get(hash) ?? this.#strangers.get(hash);
    if (known === undefined && !isWellFormedKey(key) && hash !== this.#foreignHash) {
      throw unauthorized('The API key is not valid.');
    }
    if (known === undefined) return this.#askNew(hash).then((fresh) => this.#use(fresh));
    return this.#ageMs(known) < limits.apiKeyTrustedMs ? this.#use(known) : this.#askAgain(hash, known);
  }

  /** The time since the entry was known to be right. The watch keeps live keys right, and finds no new ones. */
  #ageMs({ principal, checkedAt }: Known): number {
    const rightAt = principal !== null && this.#isWatched ? Math.max(checkedAt, this.#watchedAt) : checkedAt;
    return rightAt > this.#distrustedUntil ? this.#options.world.monotonic() - rightAt : Number.POSITIVE_INFINITY;
  }

  async #askAgain(hash: string, known: Known): Promise<Principal> {
    if (this.#ageMs(known) >= this.#options.offlineMs()) return this.#use(await this.#ask(hash));
    try {
      return this.#use(await this.#reach.ask(() => this.#ask(hash), limits.storagePatienceMs));
    } catch (error) {
      if (isGrantryError(error, 'storage_unavailable')) return this.#use(known);
      throw error;
    }
  }

  async #forgetChanged(): Promise<void> {
    const lookedAt = this.#options.world.monotonic();
    // Their number, not their times: a commit may come late, and clocks jump.
    const changes = await this.#options.findChanged(this.#changes);
    if (changes !== null) this.#forgetAll(changes, lookedAt);
    this.#watchedAt = lookedAt;
    this.#isWatched = true;
  }

  /** A revoked key is refused from now on, also while the database is away. A changed one is looked up again. */
  #forgetAll({ count, keys }: KeyChanges, lookedAt: number): void {
    const changed = new Map(keys.map((key) => [key.id, key]));
    this.#changes = count;
    this.#changed = changed;
    for (const [hash, { principal, root, stamp }] of Array.from(this.#known.entries())) {
      const change = root === null ? undefined : changed.get(root);
      // A writer of the database may have set back the count of a row, or made a child's row claim another parent.
      const isRevoked = change?.isRevoked === true || changed.get(principal?.id ?? '')?.isRevoked === true;
      if (!isRevoked && (change === undefined || change.stamp <= stamp)) continue;
      this.#known.delete(hash);
      if (isRevoked) this.#keep(hash, nobody(lookedAt));
    }
  }

  /** Records when keys were last used; called periodically and at the end. */
  async flush(): Promise<void> {
    if (this.#uses.size === 0) return;
    const uses = [...this.#uses].map(([id, at]) => ({ id, at }));
    this.#uses = new Map();
    try {
      await this.#options.noteUses(uses);
      this.#unnoted.worked();
    } catch (error) {
      this.#unnoted.failed(codeOf(error));
      for (const { id, at } of uses) if (!this.#uses.has(id)) this.#uses.set(id, at);
    }
  }

  /** Empties the cache, after a key was changed or revoked here. */
  forget(): void {
    // A look-up that is running may still return the old state: its result is not trusted, and no new caller joins it.
    this.#distrustedUntil = this.#options.world.monotonic();
    this.#asking = new Map();
  }

  /** Limits look-ups of keys never seen before, so that invented keys cannot overload the database. */
  async #askNew(hash: string): Promise<Known> {
    const asking = this.#asking.get(hash);
    if (asking !== undefined) return asking;
    if (this.#newOnes >= limits.apiKeyLookUpsAtOnce) {
      const retryAfterMs = 1_000;
      throw withStatus(
        new GrantryError('rate_limited', 'Too many new API keys are being looked up.', { retryAfterMs }),
        503,
      );
    }
    this.#newOnes += 1;
    try {
      return await this.#ask(hash);
    } finally {
      this.#newOnes -= 1;
    }
  }

  #ask(hash: string): Promise<Known> {
    const asking = this.#asking.get(hash);
    if (asking !== undefined) return asking;
    const { find, world } = this.#options;
    const checkedAt = world.monotonic();
    const round = this.#asking;
    const asked = (async () => {
      let found = await find(hash);
      // The look for changed keys may have been later than what this look-up read.
      if (this.#isOutdated(found)) found = await find(hash);
      const known = found === null || this.#isOutdated(found) ? nobody(checkedAt) : knownOf(found, checkedAt);
      this.#keep(hash, known);
      return known;
    })().finally(() => round.delete(hash));
    round.set(hash, asked);
    return asked;
  }

  #isOutdated(found: FoundApiKey | null): boolean {
    return found !== null && found.stamp < (this.#changed.get(found.root)?.stamp ?? 0);
  }

  #keep(hash: string, known: Known): void {
    if (known.checkedAt <= this.#distrustedUntil) return;
    const kept = this.#known.get(hash) ?? this.#strangers.get(hash);
    if (kept !== undefined && kept.checkedAt > known.checkedAt) return;
    this.#known.delete(hash);
    this.#strangers.delete(hash);
    (known.principal === null ? this.#strangers : this.#known).set(hash, known);
  }

  #use({ principal }: Known): Principal {
    const now = this.#options.world.now();
    if (principal === null) throw unauthorized('The API key is not valid, or was revoked.');
    if (principal.expiresAtMs <= now) throw unauthorized('The API key has expired.');
    this.#uses.set(principal.id, now);
    return principal;
  }
}

function knownOf({ apiKey, root, stamp }: FoundApiKey, checkedAt: number): Known {
  return { principal: principalOf(apiKey), root, stamp, checkedAt };
}

function nobody(checkedAt: number): Known {
  return { principal: null, root: null, stamp: 0, checkedAt };
}

function unauthorized(message: string): GrantryError {
  return new GrantryError('unauthorized', message);
}
