import { limits } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { classify, type EndpointAnswer } from '../providers/errors.ts';
import { capture } from './captured.ts';
import { expiryOf, hasLifetime } from './expiry.ts';
import { type JsonObject, parseJsonObject } from './json.ts';
import { retryAfterMs } from './retry-after.ts';
import {
  type ClearAnswer,
  type IsSpent,
  isMasked,
  readBroken,
  type Salvaged,
  tokenHolder,
  tokenOf,
} from './salvage.ts';
import { repeatsSecret, type Sent, shownCause, shownText } from './shown.ts';
import type { RawAnswer, TokenOutcome, TokenSet } from './types.ts';

/** Kind of request that the token endpoint answered. */
export type TokenRequestKind = 'exchange' | 'refresh';

/** Facts about the request that the answer itself does not tell. */
export interface AnswerFacts {
  /** Start of a relative `Retry-After`; defaults to the time of the request. */
  readonly now?: number;
  /** Recognises the refresh token that the request spent; without it, none is recognised. */
  readonly isSpent?: IsSpent;
  /** The secrets of the request. They are not shown where the answer repeats them. */
  readonly sent?: Sent;
}

/**
 * Interprets a token endpoint's answer (RFC 6749 sections 5.1 and 5.2). Pure: equal answers give equal outcomes.
 *
 * Tokens are never discarded because another part of the answer is odd. If tokens and lifetime can be read without
 * guessing, a broken answer counts like a proper one. `grant_refused` only comes from a proper answer that a rule
 * recognises. Any other answer is `unknown` when the request may have been processed, else `refused` with a class that
 * harms no grant.
 */
export function readTokenAnswer(
  definition: ProviderDefinition,
  raw: RawAnswer,
  on: TokenRequestKind,
  { now = raw.requestedAt, isSpent = () => false, sent = [] }: AnswerFacts = {},
): TokenOutcome {
  const { status } = raw;
  const members = raw.incomplete ? null : membersOf(raw);
  if (members === null) return readUnparsed(definition, raw, on, { now, isSpent, sent });
  const holder = tokenHolder(members);
  const error = errorOf(members);
  const accessToken = tokenOf(holder.get('access_token'));
  const ok = isSuccess(status);
  if (accessToken !== null && error === null && ok) {
    return readTokens(definition, raw, { holder, accessToken, around: [members] }, sent);
  }
  if (accessToken === null && isGiven(holder.get('access_token')) && error === null && ok) {
    return { kind: 'unknown', reason: unusableToken(holder.get('access_token')), status };
  }
  if (isGiven(holder.get('access_token')) || isNewRefreshToken(holder.get('refresh_token'), isSpent)) {
    return { kind: 'unknown', reason: 'the response has tokens beside an error', status };
  }
  if (ok && error === null) return { kind: 'unknown', reason: 'the response has neither a token nor an error', status };
  return refusal(definition, raw, { now, sent }, { on, status, error, description: descriptionOf(members), members });
}

/**
 * Extracts the tokens from an answer that {@link readTokenAnswer} calls `unknown`. With a rotating provider this may be
 * the only copy of the valid refresh token.
 *
 * Only members whose closing quote arrived count. Returns `null` when there are none.
 */
export function salvageTokens(raw: RawAnswer, isSpent: IsSpent = () => false): Salvaged | null {
  const { accessToken, refreshTokens } = readBroken(raw, isSpent);
  return accessToken === null && refreshTokens.length === 0 ? null : { accessToken, refreshTokens };
}

function readTokens(
  definition: ProviderDefinition,
  raw: RawAnswer,
  { holder, accessToken, around }: { holder: JsonObject; accessToken: Secret; around: readonly JsonObject[] },
  sent: Sent,
): TokenOutcome {
  const tokenType = tokenTypeOf(definition, holder.get('token_type'));
  if (tokenType === null) {
    return { kind: 'unknown', reason: unknownType(definition, holder.get('token_type'), sent), status: raw.status };
  }
  const given = isMasked(holder.get('refresh_token')) ? null : holder.get('refresh_token');
  const refreshToken = tokenOf(given);
  if (refreshToken === null && isGiven(given)) {
    return { kind: 'unknown', reason: 'its refresh token is not a text that can be sent', status: raw.status };
  }
  const captured = capture(definition, definition.capture?.token, holder, around);
  const tokens: TokenSet = {
    accessToken,
    refreshToken,
    tokenType,
    expiresAt: expiryOf(definition, holder, raw.requestedAt),
    scopes: scopesOf(holder.get('scope')),
    metadata: captured.metadata,
  };
  return { kind: 'tokens', tokens, notes: captured.notes };
}

/** Handles an answer that is broken, cut, too large, empty, HTML or plain text. */
function readUnparsed(
  definition: ProviderDefinition,
  raw: RawAnswer,
  on: TokenRequestKind,
  { now, isSpent, sent }: Required<AnswerFacts>,
): TokenOutcome {
  const { status } = raw;
  const answer = readBroken(raw, isSpent);
  const { accessToken, refreshTokens, members } = answer;
  const hasTokens = accessToken !== null || refreshTokens.length > 0;
  if (!isSuccess(status) && !hasTokens) {
    return refusal(definition, raw, { now, sent }, { on, status, error: null, readable: false });
  }
  if (isSuccess(status) && members !== null && accessToken !== null && isEnough(definition, answer, on)) {
    return readTokens(definition, raw, { holder: members, accessToken, around: answer.objects }, sent);
  }
  if (raw.incomplete) return { kind: 'unknown', reason: 'the response was cut', status };
  if (!hasTokens) return { kind: 'unknown', reason: 'the response holds no token that can be read', status };
  return { kind: 'unknown', reason: 'the response has tokens and is broken or contradicts itself', status };
}

/**
 * True if a broken answer can be saved like a proper one. A page may hold an `access_token` of its own, so a lifetime or
 * a type must stand beside it. If a member may be missing, lifetime and refresh token must be there: without the new
 * refresh token the spent one would be kept.
 */
function isEnough(definition: ProviderDefinition, answer: ClearAnswer, on: TokenRequestKind): boolean {
  if (answer.objects.some((each) => errorOf(each) !== null)) return false;
  if (answer.whole) return hasLifetime(answer.members) || isGiven(answer.members?.get('token_type'));
  const isKept = on === 'refresh' && definition.refreshToken.rotation === 'none';
  const refreshToken = answer.members?.get('refresh_token');
  return hasLifetime(answer.members) && (isKept || (tokenOf(refreshToken) !== null && !isMasked(refreshToken)));
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** True for a refresh token, or an odd value in its place, unless it only echoes the one that was sent. */
function isNewRefreshToken(value: unknown, isSpent: IsSpent): boolean {
  if (isMasked(value)) return false;
  const token = tokenOf(value);
  return token === null ? isGiven(value) : !isSpent(token);
}

function refusal(
  definition: ProviderDefinition,
  raw: RawAnswer,
  { now, sent }: { now: number; sent: Sent },
  { members = new Map(), ...answer }: EndpointAnswer & { readonly members?: JsonObject },
): TokenOutcome {
  const { status } = raw;
  const redirect = status >= 300 && status < 400;
  return {
    kind: 'refused',
    // A redirect is never followed: the secrets in the request are only for the stored endpoint.
    class: redirect ? 'not_understood' : classify(definition, answer),
    error: answer.error === null ? null : forDisplay(answer.error, sent),
    said: shownText(answer.description, sent) ?? shownCause(members, sent),
    status,
    retryAfterMs: retryAfterMs(raw.retryAfter, now),
  };
}

function membersOf(raw: RawAnswer): JsonObject | null {
  const text = raw.body?.reveal() ?? '';
  const json = parseJsonObject(text);
  if (json !== null) return json;
  const form = /^application\/x-www-form-urlencoded\b|^text\/plain\b/i.test(raw.contentType ?? '');
  // Some older servers answer in the form encoding; under text/plain only the first parameter's name shows it.
  return form && /^[a-z_]{1,32}=[^\s<>{}"']*$/.test(text) ? parseForm(text) : null;
}

function parseForm(text: string): JsonObject | null {
  const members = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (members.has(name)) return null;
    members.set(name, value);
  }
  return members;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function errorOf(members: JsonObject): string | null {
  const error = members.get('error');
  if (typeof error === 'string' && error !== '') return error;
  // A value that is not a text, such as an object or a number, is still an error, but no rule knows it.
  return isGiven(error) && error !== false ? '' : null;
}

function descriptionOf(members: JsonObject): string | null {
  const description = members.get('error_description');
  return typeof description === 'string' ? description : null;
}

/** Token types that mean "send it in the Authorization header": some providers name the kind of token instead. */
const bearerNames: ReadonlySet<string> = new Set(['bearer', 'bearertoken', 'bot', 'user']);

function tokenTypeOf(definition: ProviderDefinition, value: unknown): string | null {
  if (!isGiven(value)) return 'Bearer';
  if (typeof value !== 'string') return null;
  const name = value.trim().toLowerCase();
  if (bearerNames.has(name)) return 'Bearer';
  return name === definition.accessToken.scheme.toLowerCase() ? definition.accessToken.scheme : null;
}

/** Says why a token of another type is of no use, with the provider's own word for the type. */
function unknownType({ id, accessToken }: ProviderDefinition, value: unknown, sent: Sent): string {
  const named = shownText(typeof value === 'string' ? value : null, sent);
  const type = named === null ? '' : ` "${named}"`;
  return `its token type${type} is neither Bearer nor ${id}'s scheme ${accessToken.scheme}`;
}

/** Says why an access token cannot be sent. */
function unusableToken(value: unknown): string {
  if (typeof value !== 'string') return 'its access token is not a text';
  return value.length > limits.tokenCharsMax
    ? `its access token is longer than ${limits.tokenCharsMax} characters`
    : 'its access token has spaces or signs that no header can carry';
}

/**
 * Parses the scopes of an answer, with any separator: no scope contains a space or, as Grantry stores them, a comma.
 */
function scopesOf(value: unknown): readonly string[] | null {
  const parts: unknown[] = typeof value === 'string' ? value.split(/[\s,]+/) : Array.isArray(value) ? value : [];
  const scopes = new Set(
    parts.filter((part) => typeof part === 'string').filter((part) => /^[\x21-\x7e]+$/.test(part)),
  );
  if (scopes.size === 0 || scopes.size > limits.scopesMax) return null;
  for (const scope of scopes) if (scope.length > limits.scopeCharsMax || scope.includes(',')) return null;
  return [...scopes];
}

/**
 * Filters an error code, which is text from the provider. Only words without digits are shown, because an error that
 * echoes its input could contain a token.
 */
function forDisplay(error: string, sent: Sent): string | null {
  if (!/^[A-Za-z][A-Za-z _.-]{0,63}$/.test(error)) return null;
  return [error, ...error.split(' ')].some((text) => repeatsSecret(text, sent)) ? null : error;
}
