import { invalidRequest } from './errors.ts';

declare global {
  interface JSON {
    /** Makes a value that `JSON.stringify` writes as this text (ECMAScript 2026). */
    rawJSON(text: string): unknown;
  }
}

/** Facts about the text of a value (ECMAScript 2026). */
interface Source {
  /** The text of a number, text or literal. */
  readonly source?: string;
}

/**
 * Parses JSON whose numbers are only written again: each keeps its digits. Ids of 18 digits and amounts would lose some as a
 * JavaScript number.
 *
 * @throws {SyntaxError} for text that is not JSON
 */
export function parseExactly(text: string): unknown {
  return JSON.parse(text, (_, value: unknown, { source }: Source = {}) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? JSON.rawJSON(source) : value,
  );
}

/**
 * Parses JSON whose values are read. A whole number beyond 2^53 becomes the text of its digits.
 *
 * @throws {SyntaxError} for text that is not JSON
 */
export function parseWithLongNumbers(text: string): unknown {
  return JSON.parse(text, (_, value: unknown, { source = '' }: Source = {}) => longNumber(value, source));
}

/** Parses JSON whose sender promised none. Returns undefined for other text: the parser's own error quotes it. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the text of a whole number that has too many digits for a JavaScript number; any other value as it is. */
export function longNumber<T>(value: T, source: string): T | string {
  return typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d{16,64}$/.test(source) ? source : value;
}

/**
 * Refuses a whole number beyond 2^53, as JSON is parsed or written: a caller's program has rounded it already, or would.
 *
 * @throws {GrantryError} `invalid_request`
 */
export function refuseRounded<T>(_name: string, value: T): T {
  if (typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  throw invalidRequest('A whole number beyond 2^53 loses digits in JavaScript.', {
    action: 'Give the number as text.',
  });
}
