import { GrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { VaultContext } from '../context.ts';
import { withTimeout } from '../deadline.ts';
import { type LeaseWait, stillUncertain } from '../refresh/lease-wait.ts';
import type { Flight, FlightOptions } from './flight.ts';
import { cacheKey, type TokenCache } from './token-cache.ts';

/** The running refreshes, one per grant and client; later callers join them. */
export class Flights {
  readonly #context: VaultContext;
  readonly #cache: TokenCache;
  readonly #running = new Map<string, Flight>();
  readonly #underWay = new Set<Flight['done']>();

  constructor(context: VaultContext, cache: TokenCache) {
    this.#context = context;
    this.#cache = cache;
  }

  isUnderWay(key: CheckedKey): boolean {
    return this.#running.has(cacheKey(key));
  }

  /** Refreshes a generation of a grant, or joins a refresh of it that is already running. */
  refresh(key: CheckedKey, generation: number, options: FlightOptions = {}): Flight {
    const { candidateClient } = options;
    // Candidate clients do not share flights: each caller must get the outcome of its own credentials. They share a lease.
    const name = candidateClient === undefined ? cacheKey(key) : `${cacheKey(key)}\0${candidateClient.name}`;
    const running = this.#running.get(name);
    // A refresh of an older generation would return tokens that are being rejected now.
    if (running !== undefined && running.generation >= generation) return running;
    const wait: LeaseWait = {};
    const done = this.#fly(key, generation, options, wait).finally(() => {
      this.#underWay.delete(done);
      if (this.#running.get(name)?.done === done) this.#running.delete(name);
    });
    const flight = { generation, done, wait };
    this.#running.set(name, flight);
    this.#underWay.add(done);
    return flight;
  }

  async #fly(
    key: CheckedKey,
    generation: number,
    { candidateClient, before }: FlightOptions,
    wait: LeaseWait,
  ): Flight['done'] {
    const judged = await before?.();
    if (judged !== undefined) return judged;
    // Loaded on demand: a program that only reads stored tokens does not pay for it.
    const { refreshGrant } = await import('../refresh/refresh.ts');
    await refreshGrant(this.#context, key, generation, { candidateClient, wait });
    // A failed refresh leaves the cached token: it may be the only one available while the database is down.
    this.#cache.forget(key);
    return undefined;
  }

  /**
   * Refreshes for a caller that waits until a deadline; the refresh goes on after it.
   *
   * @param deadline By `World.monotonic`.
   * @returns what `Flight.done` gives
   * @throws {GrantryError} `provider_unavailable` or `refresh_uncertain` at the deadline, and every error of the refresh
   */
  async refreshUntil(key: CheckedKey, generation: number, deadline: number, options: FlightOptions): Flight['done'] {
    const { world, callerWaitMs, times } = this.#context;
    const leftMs = Math.max(0, deadline - world.monotonic());
    const { done, wait } = this.refresh(key, generation, options);
    return withTimeout(world, done, leftMs, () => {
      if (wait.retryAfterMs !== undefined) return stillUncertain(wait.retryAfterMs);
      const seconds = Math.round(callerWaitMs / 1_000);
      return new GrantryError(
        'provider_unavailable',
        `${key.provider} has not answered within ${seconds} s; the refresh continues in the background.`,
        { retryAfterMs: times.retryBackOffMs },
      );
    });
  }

  /** Waits for running refreshes: past the point of no return a refresh must not be cancelled. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }
}
