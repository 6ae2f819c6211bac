import { LRUCache } from 'lru-cache';
import { codeOf, GrantryError, isGrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Logger, RepeatedWarning } from '../base/log.ts';
import type { World } from '../base/world.ts';
import { hashApiKey, isWellFormedKey } from '../vault/api-keys.ts';
import { MissingGrantError } from '../vault/grant/missing.ts';
import { Reach } from '../vault/reach.ts';
import type { ApiKey } from '../vault/types.ts';
import { withStatus } from './problem.ts';

/** The kind of a route, for which a role is allowed or not. */
export type Action =
  | 'read_token'
  | 'see_grants'
  | 'use_proxy'
  /** Changes and proofs: grants, apps, providers, connect sessions. */
  | 'operate'
  | 'manage_keys'
  | 'adopt'
  | 'see_metrics';

const actionsOf: Readonly<Record<ApiKey['role'], ReadonlySet<Action>>> = {
  admin: new Set(['read_token', 'see_grants', 'use_proxy', 'operate', 'manage_keys', 'adopt', 'see_metrics']),
  operator: new Set(['see_grants', 'operate', 'see_metrics']),
  reader: new Set(['read_token', 'see_grants', 'use_proxy']),
  caller: new Set(['see_grants', 'use_proxy']),
};

/** The caller, as the API key identifies it. */
export interface Principal {
  readonly id: string;
  readonly role: ApiKey['role'];
  /** `null`: all. */
  readonly tenants: ReadonlySet<string> | null;
  readonly providers: ReadonlySet<string> | null;
  readonly expiresAtMs: number;
}

interface Known {
  /** `null`: no live key has this hash. */
  readonly principal: Principal | null;
  readonly checkedAt: number;
}

export interface AccessOptions {
  /** The live key with a hash. @throws {GrantryError} while the vault is not open */
  readonly find: (hash: string) => Promise<ApiKey | null>;
  /** The hashes of all revoked keys; null if there are still as many as that. @throws {GrantryError} as `find` does */
  readonly findRevoked: (known: number) => Promise<readonly string[] | null>;
  /** The time for which keys that were live are trusted while the database is away. */
  readonly offlineMs: () => number;
  /** Records when keys were last used. @throws {GrantryError} as `find` does */
  readonly noteUses: (uses: readonly { readonly id: string; readonly at: number }[]) => Promise<void>;
  readonly world: World;
  readonly logger: Logger;
}

/**
 * Identifies the caller. Keys are looked up by their hash and cached. Every two seconds the server looks for keys that were
 * revoked elsewhere: a read costs no query, and a revoked key is refused everywhere within five seconds.
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
  /** The time (`World.monotonic`) of the last successful look for revoked keys; before the first one, of the start. */
  #watchedAt: number;
  #isWatched = false;
  /** The hashes of all keys that were revoked, as of the last look. */
  #revoked: ReadonlySet<string> = new Set();
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

  /** Forgets the keys that were revoked elsewhere, again and again. */
  async watch(signal: AbortSignal): Promise<void> {
    const { world, logger } = this.#options;
    while (!signal.aborted) {
      await this.#forgetRevoked().catch((error: unknown) => {
        logger.debug('revoked keys cannot be looked for', { code: codeOf(error) });
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

  async #forgetRevoked(): Promise<void> {
    const lookedAt = this.#options.world.monotonic();
    // Their number, not their times: a commit may come late, and clocks jump.
    const revoked = await this.#options.findRevoked(this.#revoked.size);
    if (revoked !== null) this.#revoked = new Set(revoked);
    for (const hash of revoked ?? []) {
      if (this.#known.has(hash)) this.#keep(hash, { principal: null, checkedAt: lookedAt });
    }
    this.#watchedAt = lookedAt;
    this.#isWatched = true;
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

  /** Empties the cache, after a key was revoked here. */
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
      const key = await find(hash);
      // The look for revoked keys may have been later than what this look-up read.
      const known = { principal: key === null || this.#revoked.has(hash) ? null : principalOf(key), checkedAt };
      this.#keep(hash, known);
      return known;
    })().finally(() => round.delete(hash));
    round.set(hash, asked);
    return asked;
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

/** Checks that the caller's role allows an action. @throws {GrantryError} `forbidden` */
export function assertMay(principal: Principal, action: Action): void {
  if (actionsOf[principal.role].has(action)) return;
  throw new GrantryError('forbidden', `A key of the role ${principal.role} may not do this.`);
}

/** Checks that the caller may do something for a tenant at a provider. @throws {GrantryError} `forbidden` */
export function assertMayFor(
  principal: Principal,
  action: Action,
  { tenant, provider }: { tenant: string; provider: string },
): void {
  assertMay(principal, action);
  // The same answer whether or not there is such a tenant: a key must not find out who is a customer.
  if (principal.tenants !== null && !principal.tenants.has(tenant)) {
    throw new GrantryError('forbidden', 'This API key does not act for that tenant.');
  }
  if (principal.providers !== null && !principal.providers.has(provider)) {
    throw new GrantryError('forbidden', 'This API key does not act at that provider.');
  }
}

/** Returns an error as the caller may see it: a key that is limited to providers must not learn of a tenant's others. */
export function seenBy(principal: Principal, error: unknown): unknown {
  return error instanceof MissingGrantError && principal.providers !== null ? error.alone() : error;
}

/** Tells whether the caller may know of a grant: a key that is limited to tenants must not learn of others. */
export function maySee(principal: Principal, { tenant, provider }: { tenant: string; provider: string }): boolean {
  return (principal.tenants?.has(tenant) ?? true) && (principal.providers?.has(provider) ?? true);
}

function principalOf(key: ApiKey): Principal {
  const listed = key.role === 'reader' || key.role === 'caller';
  return {
    id: key.id,
    role: key.role,
    tenants: listed ? new Set(key.tenants) : null,
    providers: listed && key.providers !== null ? new Set(key.providers) : null,
    expiresAtMs: key.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
  };
}

function unauthorized(message: string): GrantryError {
  return new GrantryError('unauthorized', message);
}
