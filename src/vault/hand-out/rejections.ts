import { LRUCache } from 'lru-cache';
import { GrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import { shownCause, shownText } from '../../oauth/shown.ts';
import type { ApiAnswer } from '../../providers/invalid-token.ts';
import type { VaultContext } from '../context.ts';
import { cacheKey, type HeldToken } from './token-cache.ts';

/** The answer of the grant's own API to a token. A refusal is there as a whole. */
export type TokenVerdict = 'accepted' | 'unclear' | ApiAnswer;

/** Asks the grant's own API whether it accepts a token. */
export type AskOwnApi = (key: CheckedKey, token: HeldToken) => Promise<TokenVerdict>;

/** Refreshes for reports that a grant is worth within `uselessRefreshMs`, while its own API refuses each new token. */
const replacementsMax = 5;

/**
 * Decides which reports of a rejected token a refresh may help. An API that rejects every token would otherwise use up the
 * provider's limit of refreshes.
 *
 * What is remembered is of this process. Another one may refresh once more, and then remembers that too.
 */
export class Rejections {
  readonly #context: VaultContext;
  readonly #ask: AskOwnApi;
  /** The newest generation that took the place of a rejected one, and the times of such refreshes by `World.monotonic`. */
  readonly #replacements = new LRUCache<string, { readonly generation: number; readonly times: readonly number[] }>({
    max: limits.cacheEntriesOneShot,
  });

  constructor(context: VaultContext, ask: AskOwnApi) {
    this.#context = context;
    this.#ask = ask;
  }

  noteReplaced(key: CheckedKey, generation: number): void {
    const times = this.#replacements.get(cacheKey(key))?.times ?? [];
    const now = this.#context.world.monotonic();
    this.#replacements.set(cacheKey(key), { generation, times: [...times, now].slice(-replacementsMax) });
  }

  /**
   * Judges the report of a token that was refreshed lately. Returns the token if the grant's own API accepts it: one sent to
   * the wrong data centre only looks expired. Returns the error for a caller whom no refresh would help, and undefined if one may.
   */
  async judge(key: CheckedKey, token: HeldToken): Promise<HeldToken | GrantryError | undefined> {
    const verdict = await this.#ask(key, token);
    // An API that cannot be asked proves nothing, and the caller may be right.
    if (verdict === 'unclear') return undefined;
    if (verdict !== 'accepted') {
      const waitMs = this.#untilNextMs(key, token.generation);
      return waitMs > 0 ? tokenRejected(verdict, token.accessToken, waitMs) : undefined;
    }
    const { tenant, provider } = key;
    const { dc = null, apiDomain = null } = token;
    // Not an error: the token is good. The caller may have called another data centre, or lacks a permission.
    const text = "a token was reported as rejected, and the grant's own API accepts it";
    this.#context.logger.warn(text, { tenant, provider, dc, api_domain: apiDomain, reason: 'token_accepted' });
    return token;
  }

  /** The time until a refresh for this grant may help again. A token may die twice in a minute, and never so often. */
  #untilNextMs(key: CheckedKey, generation: number): number {
    const { world, times } = this.#context;
    const last = this.#replacements.get(cacheKey(key));
    // Also a later generation counts: another process may have made it for the same API.
    if (last === undefined || last.generation > generation || last.times.length < replacementsMax) return 0;
    return (last.times[0] ?? 0) + times.uselessRefreshMs - world.monotonic();
  }
}

/** The error for a token that an API rejects soon after its refresh, with the words of the API if they are known. */
export function tokenRejected(verdict: TokenVerdict, accessToken: string, retryAfterMs?: number): GrantryError {
  const told = typeof verdict === 'string' ? '' : ` (${wordsOf(verdict, accessToken)})`;
  return new GrantryError('provider_error', `The API rejects a token that was just refreshed${told}.`, {
    action: 'Check the data centre of this grant, and that the account may use the API.',
    reason: 'token_rejected',
    retryAfterMs,
  });
}

/** The words of an API's answer, and its status. What could be a token is left out. */
function wordsOf({ status, body, wwwAuthenticate }: ApiAnswer, accessToken: string): string {
  const sent = [new Secret(accessToken)];
  const members = new Map<string, unknown>(typeof body === 'object' && body !== null ? Object.entries(body) : []);
  const error = members.get('error');
  const [, challenge] = /\berror(?:_description)?\s*=\s*"([^"]{1,200})"\s*$/i.exec(wwwAuthenticate ?? '') ?? [];
  const named = shownText(typeof error === 'string' ? error : null, sent);
  const texts = [named, shownCause(members, sent)].filter((text) => text !== null);
  const words = texts.length > 0 ? texts.join(': ') : shownText(challenge, sent);
  return words === null ? `status ${status}` : `${words}, status ${status}`;
}
