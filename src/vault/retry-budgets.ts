import { GrantryError } from '../base/errors.ts';
import { limits, type Times } from '../base/limits.ts';
import type { World } from '../base/world.ts';

interface Budget {
  /** Retries left, and the time, by `World.monotonic`, at which they were last topped up. */
  retries: number;
  allowedAt: number;
}

/**
 * Retry budgets, so that a provider that recovers does not get the retries of all grants at once. A name is a provider and
 * data centre, or one app there whose own mistake made its grants fail.
 */
export class RetryBudgets {
  readonly #world: World;
  readonly #times: Times;
  readonly #budgets = new Map<string, Budget>();

  constructor(world: World, times: Times) {
    this.#world = world;
    this.#times = times;
  }

  /**
   * Counts a call. Retries may be a tenth of the first calls.
   *
   * An empty budget gains one retry per {@link Times}.breakerPauseMs: once every grant has failed there are no first calls,
   * and a retry must probe the provider. From then on each successful call allows the next, see {@link countServed}.
   *
   * @throws {GrantryError} `provider_unavailable` when a retry exceeds the budget
   */
  countTry(name: string, kind: 'first' | 'retry'): void {
    const budget = this.#budget(name);
    const now = this.#world.monotonic();
    allow(budget, (now - budget.allowedAt) / this.#times.breakerPauseMs);
    budget.allowedAt = now;
    if (kind === 'first') {
      allow(budget, limits.retryBudgetShare);
      return;
    }
    if (budget.retries < 1) {
      throw new GrantryError('provider_unavailable', `The retry budget of ${name} is used up.`, {
        retryAfterMs: this.#times.breakerPauseMs,
      });
    }
    budget.retries -= 1;
  }

  /** Counts a call that brought tokens: it allows one more retry. */
  countServed(name: string): void {
    allow(this.#budget(name), 1);
  }

  #budget(name: string): Budget {
    const known = this.#budgets.get(name);
    if (known !== undefined) return known;
    const made: Budget = { retries: limits.retryBudgetMax, allowedAt: this.#world.monotonic() };
    this.#budgets.set(name, made);
    return made;
  }
}

function allow(budget: Budget, retries: number): void {
  budget.retries = Math.min(limits.retryBudgetMax, budget.retries + retries);
}
