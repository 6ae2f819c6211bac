import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import { type JsonObject, toMembers } from './json.ts';
import { readLoosely } from './loose-json.ts';
import { conflicting, type LooseMember, type LooseObject, type LooseText } from './loose-reader.ts';
import type { RawAnswer } from './types.ts';

/** Tells whether a refresh token is the one that the request spent. An answer that echoes it brings no token. */
export type IsSpent = (token: Secret) => boolean;

/** The tokens in an answer that is no plain JSON object, or that has tokens where none belong. */
export interface Salvaged {
  /** The access token, if there is only one. */
  readonly accessToken: Secret | null;
  /** Every refresh token that may be the grant's, without the spent one; the likeliest comes first. */
  readonly refreshTokens: readonly Secret[];
}

/** An answer as far as it can be read without guessing. */
export interface ClearAnswer extends Salvaged {
  /**
   * The members of the object with the tokens, if each token has one value in the whole answer; else null. Null as well for a
   * refresh token whose place is not certain: a foreign one must not replace the grant's.
   */
  readonly members: JsonObject | null;
  /** True if no member can be missing: the end was seen, and quotes and brackets match up. */
  readonly whole: boolean;
  /** Every object of the answer: an error in any of them counts. */
  readonly objects: readonly JsonObject[];
}

const tokenNames = ['access_token', 'refresh_token'];

/** More different tokens in one answer than this are no answer. */
const tokensMax = 8;

/**
 * Reads an answer that may be broken in any way.
 *
 * A member counts by its place. At the top level, each of several different values may be the grant's token. A member
 * inside another object belongs to something else, unless the top level has no token, or the brackets do not tell what
 * the top level is.
 */
export function readBroken(raw: RawAnswer, isSpent: IsSpent): ClearAnswer {
  const { objects, found, sound, balanced } = looseText(raw);
  const isWhole = sound && objects.length > 0 && objects.every(({ ended }) => ended);
  const isTrusted = sound && (isWhole || raw.incomplete);
  const isNestedForeign = isWhole && found.some(({ name, depth }) => name === 'access_token' && depth <= 1);
  const pick = (name: string, drop: IsSpent) => {
    const named = found
      .filter((each) => each.name === name)
      .map((each) => ({ ...each, token: tokenOf(each.value) }))
      .filter((each) => each.token !== null && !isMasked(each.value) && !drop(each.token));
    const atTop = named.filter(({ depth }) => depth <= 1);
    if (isTrusted && (atTop.length > 0 || isNestedForeign)) return distinct(atTop);
    return distinct(named);
  };
  const accessTokens = pick('access_token', () => false);
  const refreshTokens = pick('refresh_token', isSpent);
  const holders = objects.map((each) => tokenHolder(each.members)).filter((each) => each.has('access_token'));
  const [holder] = holders;
  const isClear =
    holder !== undefined &&
    accessTokens.length === 1 &&
    refreshTokens.length <= (balanced ? 1 : 0) &&
    tokenOf(holder.get('access_token'))?.reveal() === accessTokens[0] &&
    (refreshTokens.length === 0 || tokenOf(holder.get('refresh_token'))?.reveal() === refreshTokens[0]);
  const [accessToken] = accessTokens;
  return {
    members: isClear ? holder : null,
    whole: isWhole,
    objects: objects.map(({ members }) => members),
    accessToken: accessToken === undefined || accessTokens.length > 1 ? null : new Secret(accessToken),
    refreshTokens: refreshTokens.map((token) => new Secret(token)),
  };
}

/** Returns the members of the object that holds the tokens. Slack nests a user's tokens one level down. */
export function tokenHolder(members: JsonObject): JsonObject {
  if (members.has('access_token')) return members;
  const nested = toMembers(members.get('authed_user'));
  return nested?.has('access_token') === true ? nested : members;
}

/** RFC 6749 appendix A: tokens are printable ASCII; the provider chooses their length, up to Grantry's limit. */
export function tokenOf(value: unknown): Secret | null {
  if (typeof value !== 'string' || value.length > limits.tokenCharsMax) return null;
  return /^[\x21-\x7e]+$/.test(value) ? new Secret(value) : null;
}

/**
 * True for a text such as `****f3a1`, with which a provider or a gateway hides a token that it repeats. It is no new token:
 * stored in place of the old one, it would end the grant.
 */
export function isMasked(value: unknown): boolean {
  return typeof value === 'string' && /^[^*•]{0,8}(?:[*•]{3,}|\.{3,}|…)[^*•]{0,8}$/.test(value);
}

/** The values, likeliest first: the top level, then the last of equals, which most JSON parsers keep. */
function distinct(members: readonly LooseMember[]): string[] {
  const sorted = members.toSorted((a, b) => (a.depth || 1) - (b.depth || 1) || b.depth - a.depth || b.at - a.at);
  return [...new Set(sorted.map(({ value }) => value))].slice(0, tokensMax);
}

function looseText(raw: RawAnswer): LooseText {
  const text = raw.body?.reveal().replace(/^\uFEFF/, '') ?? '';
  const json = readLoosely(unwrapped(text), tokenNames);
  const form = readForms(json.outside, raw.incomplete);
  if (form.objects.length === 0) return json;
  return { ...json, objects: [...json.objects, ...form.objects], found: [...json.found, ...form.found] };
}

/** Unwraps an object that was written as one JSON string. */
function unwrapped(text: string): string {
  if (!text.trimStart().startsWith('"')) return text;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : text;
  } catch {
    return text;
  }
}

/** Reads form-encoded parameters, under any content type and between any other text. */
function readForms(text: string, incomplete: boolean): Pick<LooseText, 'objects' | 'found'> {
  const objects: LooseObject[] = [];
  const found: LooseMember[] = [];
  const pieces = text.split(/[\s<>"'{}()[\]]+/);
  for (const [index, piece] of pieces.entries()) {
    // An address, as in a link of a page, is no answer.
    if (!/(?:^|[^\w-])(?:access|refresh)_token=/.test(piece) || /^[^=]*(?:\?|:\/\/)/.test(piece)) continue;
    const isCut = incomplete && index === pieces.length - 1;
    // The last parameter of a cut answer may lack its end.
    const whole = isCut ? piece.slice(0, Math.max(0, piece.lastIndexOf('&'))) : piece;
    const members = new Map<string, unknown>();
    for (const [name, value] of new URLSearchParams(whole.replace(/^\W+/, ''))) {
      members.set(name, members.has(name) && members.get(name) !== value ? conflicting : value);
      if (tokenNames.includes(name)) found.push({ name, value, depth: 1, at: found.length });
    }
    objects.push({ members, ended: !isCut });
  }
  return { objects, found };
}
