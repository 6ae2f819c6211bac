import { LRUCache } from 'lru-cache';
import { GrantryError } from '../../base/errors.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { VaultContext } from '../context.ts';
import { validityRules } from '../grant/validity.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import { cacheKey } from '../hand-out/token-cache.ts';
import type { CallToken } from './target.ts';

/** Times, by `World.monotonic`, at which a vault last replaced a grant's token after a rejection by an API. */
const replacements = new WeakMap<HandOut, LRUCache<string, number>>();
const replacementsMax = 10_000;

/** The steps of one API call. */
export interface Attempt<Answer> {
  send(token: CallToken): Promise<Answer>;
  /** Tells whether the API rejects the token, and returns the answer unconsumed. */
  inspect(answer: Answer): Promise<{ isRefused: boolean; answer: Answer }>;
  /** Tells whether the same request can be sent again. */
  canRepeat(): boolean;
  /** Releases an answer that the caller will not get. */
  drop(answer: Answer): Promise<void>;
}

/**
 * Makes a call, and repeats it once with a new token if the API rejected the first one. A repeat is safe for every method,
 * because the API did nothing with a rejected call.
 */
export async function callWithTokenRetry<Answer>(
  { context, handOut, key }: { context: VaultContext; handOut: HandOut; key: GrantKey },
  { token, definition }: { token: CallToken; definition: ProviderDefinition },
  attempt: Attempt<Answer>,
): Promise<{ answer: Answer; generation: number }> {
  const first = await attempt.inspect(await attempt.send(token));
  if (!first.isRefused) return { answer: first.answer, generation: token.generation };
  let fresh: CallToken | undefined;
  try {
    fresh = await replaced(context, handOut, key, { token, definition });
  } catch (error) {
    await attempt.drop(first.answer);
    throw error;
  }
  // A caller that gets the rejection may repeat the call itself: the token is fresh by then.
  if (fresh === undefined || !attempt.canRepeat()) return { answer: first.answer, generation: token.generation };
  await attempt.drop(first.answer);
  return { answer: await attempt.send(fresh), generation: fresh.generation };
}

/**
 * Replaces a rejected token. Returns undefined if no new token is available; the caller then gets the API's own answer.
 *
 * Rejections trigger at most one refresh per grant and `justRefreshedMs`. Otherwise an API that rejects every token would
 * use up the provider's refresh limit.
 */
async function replaced(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  refused: { token: CallToken; definition: ProviderDefinition },
): Promise<CallToken | undefined> {
  const done = replacements.get(handOut) ?? new LRUCache<string, number>({ max: replacementsMax });
  replacements.set(handOut, done);
  const name = cacheKey(key);
  const { justRefreshedMs } = validityRules(refused.definition, context.times);
  const now = context.world.monotonic();
  const isRecent = now - (done.get(name) ?? Number.NEGATIVE_INFINITY) < justRefreshedMs;
  try {
    if (isRecent) {
      // A concurrent call may already have replaced the token.
      const current = await handOut.get(key);
      return current.generation > refused.token.generation ? current : undefined;
    }
    const fresh = await handOut.reject(key, refused.token.generation);
    done.set(name, now);
    return fresh;
  } catch (error) {
    if (!(error instanceof GrantryError)) throw error;
    // The grant has ended, which matters more to the caller than one rejected call.
    if (error.code === 'reauthorization_required') throw error;
    context.logger.warn('a refused token could not be replaced', { provider: key.provider, code: error.code });
    return undefined;
  }
}
