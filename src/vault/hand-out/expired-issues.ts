import { GrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { VaultContext } from '../context.ts';
import { cacheKey } from './token-cache.ts';

/** Grants whose provider issued two tokens in a row that had expired when they came. */
export class ExpiredIssues {
  readonly #context: VaultContext;
  readonly #seen = new Map<string, { generation: number; at: number }>();

  constructor(context: VaultContext) {
    this.#context = context;
  }

  add(key: CheckedKey, generation: number): void {
    const oldest = this.#seen.keys().next().value;
    if (oldest !== undefined && this.#seen.size >= limits.cacheEntriesOneShot) this.#seen.delete(oldest);
    this.#seen.set(cacheKey(key), { generation, at: this.#context.world.monotonic() });
  }

  /**
   * Such a provider is asked at its own pace, not at the pace of the callers.
   *
   * @throws {GrantryError} `provider_error` until the pause ends
   */
  assertNone(key: CheckedKey, generation: number): void {
    const seen = this.#seen.get(cacheKey(key));
    if (seen === undefined) return;
    const retryAfterMs = seen.at + this.#context.times.issuedExpiredMs - this.#context.world.monotonic();
    if (seen.generation !== generation || retryAfterMs <= 0) {
      this.#seen.delete(cacheKey(key));
      return;
    }
    const text = `${key.provider} issues tokens that have already expired.`;
    throw new GrantryError('provider_error', text, { retryAfterMs });
  }
}
