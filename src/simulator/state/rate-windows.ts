import { z } from 'zod';
import { count } from './schema-parts.ts';

export const windowSchema = z.strictObject({
  requests: count,
  windowSeconds: count,
  /** `fixed` (the default): the window opens with the first request. `sliding`: the last `windowSeconds` count. */
  window: z.enum(['fixed', 'sliding']).optional(),
  /** Restarts the window when a request arrives during the block. */
  prolong: z.boolean().optional(),
});

/**
 * A limit of requests per time window.
 *
 * @useDeclaredType
 */
export type WindowRule = Readonly<z.output<typeof windowSchema>>;

/** Counts requests by key. */
export class RateWindows {
  readonly #times = new Map<string, number[]>();

  /** Tells whether one more request is allowed now. */
  allows(key: string, rule: WindowRule, now: number): boolean {
    return this.#current(key, rule, now).length < rule.requests;
  }

  /** Counts one request. */
  count(key: string, rule: WindowRule, now: number): void {
    const times = this.#current(key, rule, now);
    if (times.length >= rule.requests && rule.prolong === true) times.fill(now);
    else times.push(now);
    if (times.length > rule.requests * 2) times.splice(0, times.length - rule.requests * 2);
    this.#times.set(key, times);
    if (this.#times.size > 50_000) this.#forget(now - rule.windowSeconds * 1000);
  }

  clear(): void {
    this.#times.clear();
  }

  #current(key: string, rule: WindowRule, now: number): number[] {
    const times = this.#times.get(key) ?? [];
    const length = rule.windowSeconds * 1000;
    if (rule.window === 'sliding') return times.filter((time) => now - time < length);
    const opened = times[0];
    return opened === undefined || now - opened >= length ? [] : times;
  }

  #forget(before: number): void {
    for (const [key, times] of this.#times) if ((times.at(-1) ?? 0) < before) this.#times.delete(key);
  }
}
