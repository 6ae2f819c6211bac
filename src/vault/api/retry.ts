import { LRUCache } from 'lru-cache';
import { type ApiResponse, GrantryError } from '../../base/errors.ts';
import { validityRules } from '../grant/validity.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import { cacheKey, type HeldToken } from '../hand-out/token-cache.ts';
import { type CallAddress, type PlacedCall, placeCall, placeFirstCall } from './target.ts';

/** The last answer to an API's rejection of a grant's token, and its time by `World.monotonic`. */
interface Replacement {
  readonly at: number;
  /** True if the token was kept, because the grant's own API accepts it. */
  readonly isAccepted: boolean;
}

const replacements = new WeakMap<HandOut, LRUCache<string, Replacement>>();
const replacementsMax = 10_000;

/** The steps of one API call. */
export interface Attempt<Answer> {
  send(call: PlacedCall): Promise<Answer>;
  /** Tells whether the API rejects the token, and returns the answer unconsumed. */
  inspect(answer: Answer): Promise<{ isRefused: boolean; answer: Answer }>;
  /** Tells whether the same request can be sent again. */
  canRepeat(): boolean;
  /** Releases an answer that the caller will not get. */
  drop(answer: Answer): Promise<void>;
}

/** The answer that the caller gets. */
export interface CallOutcome<Answer> {
  readonly answer: Answer;
  readonly generation: number;
  /** The reason why a rejected token was not replaced; the answer is then the API's rejection. */
  readonly keptBecause?: GrantryError;
  /** True if the grant's own API accepts the token that this answer rejects: the answer is about the call. */
  readonly isTokenGood?: boolean;
}

/** The error for a caller whose token was rejected and could not be replaced: the cause, and what the API answered. */
export function rejectedBecause(cause: GrantryError, response: ApiResponse): GrantryError {
  const { code, message, action, reason, retryAfterMs } = cause;
  const text = `The API rejected the token (status ${response.status}), and it was not replaced. ${message}`;
  const retryable = cause.retryable ? undefined : false;
  return new GrantryError(code, text, { action, reason, retryable, retryAfterMs, cause, response });
}

/**
 * Makes a call, and repeats it once with a new token if the API rejected the first one. A repeat is safe for every method,
 * because the API did nothing with a rejected call. It goes where the new token's row says.
 *
 * @throws {GrantryError} every error of `placeFirstCall` and of `attempt`; `reauthorization_required`
 */
export async function callWithTokenRetry<Answer>(
  address: CallAddress,
  attempt: Attempt<Answer>,
): Promise<CallOutcome<Answer>> {
  const call = await placeFirstCall(address);
  const { generation } = call.token;
  const first = await attempt.inspect(await attempt.send(call));
  if (!first.isRefused) return { answer: first.answer, generation };
  let again: PlacedCall | undefined;
  try {
    const fresh = await replaced(address, call.token);
    if (fresh instanceof GrantryError) return { answer: first.answer, generation, keptBecause: fresh };
    if (fresh === 'accepted') return { answer: first.answer, generation, isTokenGood: true };
    // A caller that gets the rejection may repeat the call itself: the token is fresh by then.
    if (fresh === undefined || !attempt.canRepeat()) return { answer: first.answer, generation };
    again = await placeCall(address, fresh);
  } catch (error) {
    await attempt.drop(first.answer);
    throw error;
  }
  await attempt.drop(first.answer);
  return { answer: await attempt.send(again), generation: again.token.generation };
}

/**
 * Replaces a rejected token. Returns the reason if no new token is to be had. Returns `accepted` if the grant's own API
 * accepts the token, and undefined if the rejected one was made a moment ago: the caller then gets the API's own answer.
 *
 * Rejections trigger at most one refresh per grant and `justRefreshedMs`. Otherwise an API that rejects every token would
 * use up the provider's refresh limit.
 */
async function replaced(
  { context, handOut, key, definition }: CallAddress,
  refused: HeldToken,
): Promise<HeldToken | GrantryError | 'accepted' | undefined> {
  const done = replacements.get(handOut) ?? new LRUCache<string, Replacement>({ max: replacementsMax });
  replacements.set(handOut, done);
  const name = cacheKey(key);
  const { justRefreshedMs } = validityRules(definition, context.times);
  const now = context.world.monotonic();
  const last = done.get(name);
  try {
    if (last !== undefined && now - last.at < justRefreshedMs) {
      // A concurrent call may already have replaced the token.
      const current = await handOut.hold(key);
      if (current.generation !== refused.generation) return current;
      return last.isAccepted ? 'accepted' : undefined;
    }
    const fresh = await handOut.replace(key, refused.generation);
    const isAccepted = fresh.generation === refused.generation;
    done.set(name, { at: now, isAccepted });
    return isAccepted ? 'accepted' : fresh;
  } catch (error) {
    if (!(error instanceof GrantryError)) throw error;
    // The caller gets the API's own words for the token that no refresh would better.
    if (error.reason === 'token_rejected') {
      done.set(name, { at: now, isAccepted: false });
      return undefined;
    }
    // The grant has ended, which matters more to the caller than one rejected call.
    if (error.code === 'reauthorization_required') throw error;
    const { code, message: detail, reason = null } = error;
    const { tenant, provider } = key;
    context.logger.warn('a refused token could not be replaced', { tenant, provider, code, reason, detail });
    return error;
  }
}
