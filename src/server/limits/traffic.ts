import { monitorEventLoopDelay } from 'node:perf_hooks';
import { LRUCache } from 'lru-cache';
import { GrantryError } from '../../base/errors.ts';
import type { World } from '../../base/world.ts';
import { withStatus } from '../problem.ts';
import type { ServerLimits } from './server-limits.ts';

/** Tenants whose use is remembered; a tenant that was evicted starts with a full bucket. */
const tenantsHeld = 50_000;

/** The interval of load measurements, in milliseconds; a tenant's fair share is counted per interval. */
const lookMs = 500;

/** The interval of the timer that measures the event loop. */
const resolutionMs = 20;

interface Bucket {
  tokens: number;
  filledAt: number;
}

/**
 * Limits requests so that one tenant does not slow all others down.
 *
 * Each tenant has a token bucket and a number of concurrent calls. Reads of tokens are not limited unless the process is
 * overloaded. When the event loop falls behind, tenants above their fair share are refused; when it falls further behind, all
 * are.
 */
export class Traffic {
  readonly #world: World;
  readonly #limits: ServerLimits;
  readonly #buckets = new LRUCache<string, Bucket>({ max: tenantsHeld });
  readonly #underWay = new Map<string, number>();
  #counts = new Map<string, number>();
  #share = Number.POSITIVE_INFINITY;
  #delayMs = 0;
  /** True while the server is overloaded, and reads of tokens count. */
  isPressed = false;

  constructor(world: World, limits: ServerLimits) {
    this.#world = world;
    this.#limits = limits;
  }

  /** Measures the event loop periodically until the signal aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    const loop = monitorEventLoopDelay({ resolution: resolutionMs });
    loop.enable();
    try {
      for (;;) {
        await this.#world.sleep(lookMs, signal, { background: true });
        const meanMs = loop.mean / 1e6 - resolutionMs;
        loop.reset();
        // Without a measurement the mean is NaN.
        this.look(Number.isFinite(meanMs) ? Math.max(0, meanMs) : 0);
      }
    } catch {
      // The server stops.
    } finally {
      loop.disable();
    }
  }

  /** Records the delay of the event loop, in milliseconds. */
  look(delayMs: number): void {
    this.#delayMs = delayMs;
    this.isPressed = delayMs >= this.#limits.overloadedMs;
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    // A single tenant takes nothing from others.
    this.#share = this.#counts.size > 1 ? Math.max(1, total / this.#counts.size) : Number.POSITIVE_INFINITY;
    this.#counts = new Map();
  }

  /** Checks a read of a token while {@link isPressed}. @throws {GrantryError} `rate_limited` */
  assertFair(tenant: string): void {
    if (this.#delayMs >= this.#limits.sheddingMs) {
      throw withStatus(wait('The server is overloaded.', lookMs), 503);
    }
    const count = (this.#counts.get(tenant) ?? 0) + 1;
    this.#counts.set(tenant, count);
    if (count > this.#share) throw wait('The server is overloaded, and this tenant has used its share.', lookMs);
  }

  /**
   * Admits one request of a tenant. The returned function must be called when the request ends.
   *
   * @throws {GrantryError} `rate_limited`
   */
  enter(tenant: string): () => void {
    if (this.isPressed) this.assertFair(tenant);
    const underWay = this.#underWay.get(tenant) ?? 0;
    if (underWay >= this.#limits.tenantCallsAtOnce) {
      throw wait('This tenant has too many concurrent requests.', 1_000);
    }
    this.#takeToken(tenant);
    return countIn(this.#underWay, tenant);
  }

  /** Admits one proxied call to a provider. @throws {GrantryError} `provider_unavailable` */
  enterProvider(provider: string): () => void {
    const name = `provider ${provider}`;
    if ((this.#underWay.get(name) ?? 0) >= this.#limits.providerCallsAtOnce) {
      throw new GrantryError('provider_unavailable', 'There are too many concurrent calls to this provider.', {
        retryAfterMs: 1_000,
      });
    }
    return countIn(this.#underWay, name);
  }

  #takeToken(tenant: string): void {
    const { tenantRequestsPerSecond: rate, tenantBurst: burst } = this.#limits;
    const now = this.#world.monotonic();
    const bucket = this.#buckets.get(tenant) ?? { tokens: burst, filledAt: now };
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledAt) / 1_000) * rate);
    bucket.filledAt = now;
    this.#buckets.set(tenant, bucket);
    if (bucket.tokens < 1) {
      throw wait('This tenant exceeds its request rate.', ((1 - bucket.tokens) / rate) * 1_000);
    }
    bucket.tokens -= 1;
  }
}

/** Counts one more under a name until the returned function is called. */
export function countIn(counts: Map<string, number>, name: string): () => void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
  let left = false;
  return () => {
    if (left) return;
    left = true;
    const now = (counts.get(name) ?? 1) - 1;
    if (now === 0) counts.delete(name);
    else counts.set(name, now);
  };
}

function wait(message: string, retryAfterMs: number): GrantryError {
  return new GrantryError('rate_limited', message, { retryAfterMs });
}
