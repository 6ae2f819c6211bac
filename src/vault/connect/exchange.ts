import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import type { Secret } from '../../base/secret.ts';
import { type AccountFacts, accountFactsOf } from '../../oauth/account.ts';
import { readTokenAnswer, salvageTokens } from '../../oauth/answer.ts';
import { AnswerLostError, sendExchange } from '../../oauth/requests.ts';
import type { Sent } from '../../oauth/shown.ts';
import type { RawAnswer, TokenOutcome, TokenSet } from '../../oauth/types.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import { clientOf } from '../app/apps.ts';
import type { VaultContext } from '../context.ts';
import { deadlineSignal } from '../deadline.ts';
import { providerFailure, type RefusedClient, refusalDetail } from '../grant/provider-failures.ts';
import { unreached } from '../unreached.ts';
import { makeRoom } from './make-room.ts';

/** Tokens that a code was exchanged for. A broken answer may tell only the refresh token; the first use refreshes then. */
export interface RedeemedTokens extends Omit<TokenSet, 'accessToken' | 'expiresAt'> {
  readonly accessToken: Secret | null;
  readonly expiresAt: number | null;
  /** Further refresh tokens of a broken answer: one of them may be the right one. */
  readonly otherRefreshTokens?: readonly Secret[];
}

/** The tokens of an answer to a code, and what it says about the account. */
export interface ExchangedTokens {
  readonly tokens: RedeemedTokens;
  readonly account: AccountFacts;
}

/** The cause of an error about a successful answer in which no token was recognised. */
export class UnreadAnswerError extends Error {}

/**
 * Exchanges an authorization code once, and parses the answer. Before that, `keep` gets the answer as it came. `wire` is set
 * with the first byte. A refresh
 * token that stands whole in a broken answer is kept: the code is spent, so there is no second try.
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
  { keep, wire }: { keep: (raw: RawAnswer) => Promise<void>; wire: { isSent: boolean } },
): Promise<ExchangedTokens> {
  const client = await clientOf(context, definition, app, dc);
  await makeRoom(context, app);
  const raw = await sendCode(context, () => {
    const deadline = deadlineSignal(context, context.times.callerWaitMs);
    const beforeSend = () => {
      wire.isSent = true;
    };
    const options = { ...request, signal: deadline.signal, beforeSend };
    return sendExchange(context.world, client, options).finally(() => deadline.clear());
  });
  await keep(raw);
  const sent = [request.code, request.codeVerifier, client.clientSecret].filter((secret) => secret !== null);
  return readExchange(context, definition, raw, { app: app.name, dc }, sent);
}

/**
 * Parses the answer to a code.
 *
 * @param sent The secrets of the request: an error does not show them, also if the answer repeats them
 * @throws {GrantryError} as {@link exchangeCode}; with an {@link UnreadAnswerError} as cause if it may hold tokens
 */
export function readExchange(
  context: VaultContext,
  definition: ProviderDefinition,
  raw: RawAnswer,
  client: Omit<RefusedClient, 'provider'>,
  sent: Sent,
): ExchangedTokens {
  return { tokens: readRedeemed(context, definition, raw, client, sent), account: accountFactsOf(raw) };
}

function readRedeemed(
  context: VaultContext,
  definition: ProviderDefinition,
  raw: RawAnswer,
  client: Omit<RefusedClient, 'provider'>,
  sent: Sent,
): RedeemedTokens {
  const provider = definition.id;
  const outcome = readTokenAnswer(definition, raw, 'exchange', { now: context.world.now(), sent });
  if (outcome.kind === 'refused') throw refusal(outcome, { ...client, provider });
  if (outcome.kind === 'tokens') {
    if (outcome.notes.length > 0) {
      context.logger.warn('members of an answer were dropped', { provider, members: outcome.notes.join('; ') });
    }
    return outcome.tokens;
  }
  const [refreshToken, ...otherRefreshTokens] = salvageTokens(raw)?.refreshTokens ?? [];
  context.logger.warn('the answer to a code is broken', { provider, reason: outcome.reason, status: raw.status });
  if (refreshToken !== undefined) {
    const known = { accessToken: null, tokenType: 'Bearer', expiresAt: null, scopes: null, metadata: {} };
    return { ...known, refreshToken, otherRefreshTokens };
  }
  const unread = raw.status >= 200 && raw.status < 300 && raw.body !== null;
  const cause = unread ? new UnreadAnswerError(outcome.reason) : undefined;
  const text = `${provider} answered the code with status ${raw.status}, but ${outcome.reason}.`;
  throw new GrantryError('authorization_failed', text, { cause, reason: 'unusable_answer' });
}

/** The error for a refused code. The code is spent, so the flow must start again after the cause is fixed. */
function refusal(outcome: Extract<TokenOutcome, { kind: 'refused' }>, client: RefusedClient): GrantryError {
  const { class: kind } = outcome;
  if (kind === 'client_refused' || kind === 'scope_refused') return providerFailure(kind, outcome, client, undefined);
  if (kind === 'throttled') return providerFailure(kind, outcome, client, outcome.retryAfterMs ?? undefined);
  const text = `${client.provider} refused the code (${refusalDetail(outcome)}).`;
  return new GrantryError('authorization_failed', text, { reason: 'code_refused' });
}

async function sendCode(context: VaultContext, send: () => Promise<RawAnswer>): Promise<RawAnswer> {
  try {
    return await send();
  } catch (error) {
    if (isGrantryError(error)) throw error;
    if (error instanceof NotSentError) {
      const message = 'The provider cannot be reached: the code was not sent.';
      throw unreached(error, message, context.times.retryBackOffMs);
    }
    // After a second exchange of a code, a server should revoke the tokens of the first (RFC 6749 section 4.1.2).
    const lost = error instanceof AnswerLostError;
    if (!lost) throw failed('The exchange of the code failed.', error);
    const text = "The provider's answer to the code was lost.";
    throw new GrantryError('authorization_failed', text, { cause: error, reason: 'answer_lost' });
  }
}

/** The error for a flow that is over and must start again. */
export function failed(message: string, cause?: unknown): GrantryError {
  return new GrantryError('authorization_failed', message, { cause });
}
