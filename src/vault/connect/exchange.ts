import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import type { Secret } from '../../base/secret.ts';
import { type AccountFacts, accountFactsOf } from '../../oauth/account.ts';
import { readTokenAnswer } from '../../oauth/answer.ts';
import { AnswerLostError, sendExchange } from '../../oauth/requests.ts';
import type { RawAnswer, TokenOutcome, TokenSet } from '../../oauth/types.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import { clientOf } from '../app/apps.ts';
import type { VaultContext } from '../context.ts';
import { deadlineSignal } from '../deadline.ts';
import { providerFailure, refusalDetail } from '../grant/refusals.ts';

/** The tokens of an answer to a code, and what it says about the account. */
export interface ExchangedTokens {
  readonly tokens: TokenSet;
  readonly account: AccountFacts;
}

/** The cause of an error about a successful answer in which no token was recognised. */
export class UnreadAnswerError extends Error {}

/**
 * Exchanges an authorization code once, and parses the answer. Before that, `keep` gets the answer as it came.
 *
 * @throws {GrantryError} `authorization_failed`, `provider_misconfigured`, `provider_throttled`, `insufficient_scope`,
 * `provider_unavailable` if nothing was sent
 */
export async function exchangeCode(
  context: VaultContext,
  definition: ProviderDefinition,
  app: AppRow,
  dc: string | null,
  request: { code: Secret; redirectUri: string | null; codeVerifier: Secret | null },
  keep: (raw: RawAnswer) => Promise<void>,
): Promise<ExchangedTokens> {
  const client = await clientOf(context, definition, app, dc);
  const raw = await sendCode(context, () => {
    const deadline = deadlineSignal(context, context.times.callerWaitMs);
    const options = { ...request, signal: deadline.signal, beforeSend: () => {} };
    return sendExchange(context.world, client, options).finally(() => deadline.clear());
  });
  await keep(raw);
  return readExchange(context, definition, raw);
}

/**
 * Parses the answer to a code.
 *
 * @throws {GrantryError} as {@link exchangeCode}; with an {@link UnreadAnswerError} as cause if it may hold tokens
 */
export function readExchange(context: VaultContext, definition: ProviderDefinition, raw: RawAnswer): ExchangedTokens {
  const outcome = readTokenAnswer(definition, raw, 'exchange', context.world.now());
  if (outcome.kind === 'tokens') return { tokens: outcome.tokens, account: accountFactsOf(raw) };
  if (outcome.kind === 'unknown') {
    const unread = raw.status >= 200 && raw.status < 300 && raw.body !== null;
    const cause = unread ? new UnreadAnswerError(outcome.reason) : undefined;
    throw failed("The provider's answer to the code was not recognised.", cause);
  }
  throw refusal(outcome, definition.id);
}

/** The error for a refused code. The code is spent, so the flow must start again after the cause is fixed. */
function refusal(outcome: Extract<TokenOutcome, { kind: 'refused' }>, provider: string): GrantryError {
  const { class: kind } = outcome;
  if (kind === 'client_refused' || kind === 'scope_refused') return providerFailure(kind, outcome, provider, undefined);
  if (kind === 'throttled') return providerFailure(kind, outcome, provider, outcome.retryAfterMs ?? undefined);
  return failed(`${provider} refused the code (${refusalDetail(outcome)}).`);
}

async function sendCode(context: VaultContext, send: () => Promise<RawAnswer>): Promise<RawAnswer> {
  try {
    return await send();
  } catch (error) {
    if (isGrantryError(error)) throw error;
    if (error instanceof NotSentError) {
      throw new GrantryError('provider_unavailable', 'The provider cannot be reached: the code was not sent.', {
        cause: error,
        retryAfterMs: context.times.retryBackOffMs,
      });
    }
    // After a second exchange of a code, a server should revoke the tokens of the first (RFC 6749 section 4.1.2).
    const lost = error instanceof AnswerLostError;
    throw failed(lost ? "The provider's answer to the code was lost." : 'The exchange of the code failed.', error);
  }
}

/** The error for a flow that is over and must start again. */
export function failed(message: string, cause?: unknown): GrantryError {
  return new GrantryError('authorization_failed', message, { cause });
}
