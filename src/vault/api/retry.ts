import { LRUCache } from 'lru-cache';
import { GrantryError } from '../../base/errors.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { VaultContext } from '../context.ts';
import { validityRules } from '../grant/validity.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import { cacheKey } from '../hand-out/token-cache.ts';
import type { CallToken } from './target.ts';

/** When a vault last replaced a grant's token because an API had refused it, by `World.monotonic`. */
const replacements = new WeakMap<HandOut, LRUCache<string, number>>();
const replacementsMax = 10_000;

/** How one call is made, and looked at. */
export interface Attempt<Answer> {
  send(token: CallToken): Promise<Answer>;
  /** Whether the API refuses the token; hands back an answer that is still whole. */
  look(answer: Answer): Promise<{ isRefused: boolean; answer: Answer }>;
  /** Whether the same request can be sent once more. */
  canRepeat(): boolean;
  drop(answer: Answer): Promise<void>;
}

/**
 * Makes a call, and makes it once more with a new token when the API refused the first one. It is the refusal that allows
 * this, whatever the method: nothing was done.
 */
export async function callWithTokenRetry<Answer>(
  { context, handOut, key }: { context: VaultContext; handOut: HandOut; key: GrantKey },
  { token, definition }: { token: CallToken; definition: ProviderDefinition },
  attempt: Attempt<Answer>,
): Promise<{ answer: Answer; generation: number }> {
  const first = await attempt.look(await attempt.send(token));
  if (!first.isRefused) return { answer: first.answer, generation: token.generation };
  let fresh: CallToken | undefined;
  try {
    fresh = await replaced(context, handOut, key, { token, definition });
  } catch (error) {
    await attempt.drop(first.answer);
    throw error;
  }
  // Who gets the refusal may send the call again: the token is fresh by then.
  if (fresh === undefined || !attempt.canRepeat()) return { answer: first.answer, generation: token.generation };
  await attempt.drop(first.answer);
  return { answer: await attempt.send(fresh), generation: fresh.generation };
}

/**
 * A new token, or undefined when none can be had now: then the API's own answer says most. An API that refuses every token
 * must not use up what the provider grants, so a grant's token is replaced for its sake once in a while alone.
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
  const lately = now - (done.get(name) ?? Number.NEGATIVE_INFINITY) < justRefreshedMs;
  try {
    if (lately) {
      // Another call of the same moment may have had it replaced.
      const current = await handOut.get(key);
      return current.generation > refused.token.generation ? current : undefined;
    }
    const fresh = await handOut.reject(key, refused.token.generation);
    done.set(name, now);
    return fresh;
  } catch (error) {
    if (!(error instanceof GrantryError)) throw error;
    // The grant is over: that is what the caller must know, not that one call was refused.
    if (error.code === 'reauthorization_required') throw error;
    context.logger.warn('a refused token could not be replaced', { provider: key.provider, code: error.code });
    return undefined;
  }
}
