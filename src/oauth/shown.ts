import { limits } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';

/** The secrets of the request that a text of a provider answers. */
export type Sent = readonly Secret[];

/**
 * Words of a provider that may be shown. An error that echoes its input could contain a token, so a word with the
 * randomness of a token never passes: letters are of one case or begin a word, and numbers are short.
 */
const harmless = [
  // Words, and names such as `invalid_grant`, `BadRequest` or `accounts.zoho.eu`.
  /^(?:(?:[A-Z]?[a-z]{1,18}|[A-Z]{1,18}|[A-Za-z]?[a-z]+(?:[A-Z][a-z]+){1,3})(?:[_./:’'-]+(?=[A-Za-z])|$)){1,6}$/,
  // Numbers, and the numbers of errors such as AADSTS70008.
  /^[A-Z]{0,8}\d{1,6}$/,
];
const wordCharsMax = 40;
const partCharsMin = 8;
const hidden = '…';

/**
 * Returns what may be shown of a text from a provider: its harmless words, with `…` for each other one.
 *
 * @param sent The secrets of the request. A secret that a person chose may look harmless, so they are compared.
 */
export function shownText(text: string | null | undefined, sent: Sent = []): string | null {
  if (typeof text !== 'string') return null;
  const words = withoutPhrases(text, sent)
    .slice(0, limits.shownCharsMax * 4)
    .split(/[^\p{L}\p{N}\p{P}\p{S}]+/u)
    .filter((word) => word !== '')
    .map((word) => shownWord(word, sent));
  const shown = words.filter((word, at) => word !== hidden || words[at - 1] !== hidden).join(' ');
  if (!/[A-Za-z]/.test(shown)) return null;
  return shown.length <= limits.shownCharsMax
    ? shown
    : `${shown.slice(0, limits.shownCharsMax - 1).trimEnd()}${hidden}`;
}

function shownWord(word: string, sent: Sent): string {
  const bare = word.replace(/^["'([{<]+|["')\]}>.,:;!?]+$/g, '');
  if (bare === '') return /^[.,:;!?-]{1,3}$/.test(word) ? word : hidden;
  if (bare.length > wordCharsMax || !harmless.some((form) => form.test(bare))) return hidden;
  return repeatsSecret(bare, sent) ? hidden : word;
}

/** True if a text holds one of the secrets that were sent, or a long part of one. Short secrets count as whole words. */
export function repeatsSecret(text: string, sent: Sent): boolean {
  const word = text.toLowerCase();
  return sent.some((secret) => {
    const value = secret.reveal().toLowerCase();
    if (value === word) return true;
    return (
      (value.length >= partCharsMin && word.includes(value)) || (word.length >= partCharsMin && value.includes(word))
    );
  });
}

/** Takes out secrets that consist of several words. */
function withoutPhrases(text: string, sent: Sent): string {
  const phrases = sent.map((secret) => secret.reveal()).filter((value) => /\s/.test(value));
  return phrases.reduce((rest, phrase) => rest.replaceAll(phrase, hidden), text);
}

/** Members in which providers that do not keep to RFC 6749 put the cause of a refusal. */
const causeMembers = ['status', 'code', 'error_code', 'errorCode', 'type', 'category', 'title', 'reason'];
const textMembers = ['error_description', 'message', 'error_message', 'errorMessage', 'description', 'detail', 'msg'];

/**
 * Returns what may be shown of the cause that an error answer tells outside `error`: in other members, in an object
 * `error`, or in the first of `errors`.
 */
export function shownCause(members: ReadonlyMap<string, unknown>, sent: Sent = []): string | null {
  const first: unknown = Array.isArray(members.get('errors'))
    ? Reflect.get(Object(members.get('errors')), 0)
    : undefined;
  for (const value of [members.get('error'), first]) {
    const inner = causeIn(mapOf(value), sent) ?? (value === first ? shownText(textOf(value), sent) : null);
    if (inner !== null) return inner;
  }
  return causeIn(members, sent);
}

function causeIn(members: ReadonlyMap<string, unknown> | null, sent: Sent): string | null {
  if (members === null) return null;
  const texts = [causeMembers, textMembers].map((names) =>
    names.map((name) => shownText(textOf(members.get(name)), sent)).find((text) => text !== null),
  );
  const told = texts.filter((text) => text !== undefined);
  return told.length === 0 ? null : told.join(': ');
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function mapOf(value: unknown): ReadonlyMap<string, unknown> | null {
  if (value instanceof Map) return value;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  return new Map(Object.entries(value));
}
