import { LRUCache } from 'lru-cache';
import { GrantryError } from '../../base/errors.ts';
import type { World } from '../../base/world.ts';
import { withStatus } from '../problem.ts';
import { measureLoop } from './loop-delay.ts';
import type { ServerLimits } from './server-limits.ts';

/** Tenants whose use is remembered; who was forgotten starts with a full bucket. */
const tenantsHeld = 50_000;

/** How often the load is looked at, in milliseconds; a tenant's fair share is counted for as long. */
const lookMs = 500;

interface Bucket {
  tokens: number;
  filledAt: number;
}

/**
 * Keeps one caller's haste from becoming everybody's wait.
 *
 * Requests are counted by tenant: a bucket that refills over time, and a number of calls at once. Reads of tokens pass
 * freely while the process is well. When its event loop falls behind, tenants above their fair share are told to wait; when
 * that is not enough, everybody is.
 */
export class Traffic {
  readonly #world: World;
  readonly #limits: ServerLimits;
  readonly #buckets = new LRUCache<string, Bucket>({ max: tenantsHeld });
  readonly #underWay = new Map<string, number>();
  #counts = new Map<string, number>();
  #share = Number.POSITIVE_INFINITY;
  #delayMs = 0;
  /** Whether reads of tokens are counted at all. */
  isPressed = false;

  constructor(world: World, limits: ServerLimits) {
    this.#world = world;
    this.#limits = limits;
  }

  /** Looks at the event loop now and then until the signal says that it is enough. */
  async watch(signal: AbortSignal): Promise<void> {
    using loop = measureLoop();
    while (!signal.aborted) {
      try {
        await this.#world.sleep(lookMs, signal, { background: true });
      } catch {
        return;
      }
      this.look(loop.read());
    }
  }

  /** Takes note of how far the event loop is behind, in milliseconds. */
  look(delayMs: number): void {
    this.#delayMs = delayMs;
    this.isPressed = delayMs >= this.#limits.overloadedMs;
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    // One tenant alone has nobody to be fair to.
    this.#share = this.#counts.size > 1 ? Math.max(1, total / this.#counts.size) : Number.POSITIVE_INFINITY;
    this.#counts = new Map();
  }

  /** Asked for a read of a token, while {@link isPressed}. @throws {GrantryError} `rate_limited` */
  assertFair(tenant: string): void {
    if (this.#delayMs >= this.#limits.sheddingMs) {
      throw withStatus(wait('The server has more to do than it can.', lookMs), 503);
    }
    const count = (this.#counts.get(tenant) ?? 0) + 1;
    this.#counts.set(tenant, count);
    if (count > this.#share) throw wait('The server is busy, and this tenant has had its share.', lookMs);
  }

  /**
   * Lets one request of a tenant in; what it hands back is called when the request is over.
   *
   * @throws {GrantryError} `rate_limited`
   */
  enter(tenant: string): () => void {
    if (this.isPressed) this.assertFair(tenant);
    const underWay = this.#underWay.get(tenant) ?? 0;
    if (underWay >= this.#limits.tenantCallsAtOnce) {
      throw wait('Too many requests of this tenant are under way.', 1_000);
    }
    this.#takeToken(tenant);
    return this.#count(tenant);
  }

  /** Lets one proxied call to a provider through. @throws {GrantryError} `provider_unavailable` */
  enterProvider(provider: string): () => void {
    const name = `provider ${provider}`;
    if ((this.#underWay.get(name) ?? 0) >= this.#limits.providerCallsAtOnce) {
      throw new GrantryError('provider_unavailable', 'Too many calls wait for this provider.', { retryAfterMs: 1_000 });
    }
    return this.#count(name);
  }

  #count(name: string): () => void {
    this.#underWay.set(name, (this.#underWay.get(name) ?? 0) + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const now = (this.#underWay.get(name) ?? 1) - 1;
      if (now === 0) this.#underWay.delete(name);
      else this.#underWay.set(name, now);
    };
  }

  #takeToken(tenant: string): void {
    const { tenantRequestsPerSecond: rate, tenantBurst: burst } = this.#limits;
    const now = this.#world.monotonic();
    const bucket = this.#buckets.get(tenant) ?? { tokens: burst, filledAt: now };
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledAt) / 1_000) * rate);
    bucket.filledAt = now;
    this.#buckets.set(tenant, bucket);
    if (bucket.tokens < 1) {
      throw wait('This tenant sends requests faster than it may.', ((1 - bucket.tokens) / rate) * 1_000);
    }
    bucket.tokens -= 1;
  }
}

function wait(message: string, retryAfterMs: number): GrantryError {
  return new GrantryError('rate_limited', message, { retryAfterMs });
}
