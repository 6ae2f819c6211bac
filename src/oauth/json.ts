import { parseWithLongNumbers } from '../base/exact-json.ts';

/** A parsed JSON object: plain data with nothing inherited. */
export type JsonObject = ReadonlyMap<string, unknown>;

const depthMax = 16;

/**
 * Parses a JSON object from a peer that may be broken or hostile; returns `null` for anything else.
 *
 * A repeated key is refused, because two readers would see different values (RFC 8259 section 4). The members are a
 * Map, so `__proto__` is a name like any other.
 */
export function parseJsonObject(text: string): JsonObject | null {
  const cleaned = text.startsWith('\uFEFF') ? text.slice(1) : text;
  if (!isUnambiguous(cleaned)) return null;
  try {
    return toMembers(parseWithLongNumbers(cleaned));
  } catch {
    // The parser's message quotes the text, which may contain a token.
    return null;
  }
}

/** Returns the members of an object inside a parsed one; `null` for any other value. */
export function toMembers(value: unknown): JsonObject | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  if (value instanceof Map) return value;
  return new Map(Object.entries(value));
}

/** Detects repeated keys and deep nesting; the parser checks the rest. */
function isUnambiguous(text: string): boolean {
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : null);
      if (open.length > depthMax) return false;
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      if (end === -1) return false;
      const keys = open.at(-1);
      if (keys && nextVisible(text, end) === ':') {
        const key = readString(text.slice(at, end));
        if (key === null || keys.has(key)) return false;
        keys.add(key);
      }
      at = end - 1;
    }
  }
  return true;
}

/** Returns the index behind the closing quote, or -1 when there is none. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const character = text[at];
    if (character === '\\') at += 1;
    else if (character === '"') return at + 1;
  }
  return -1;
}

/** Returns the index of the first character from `start` on that is not blank. */
export function skipBlank(text: string, start: number): number {
  let at = start;
  while (at < text.length && ' \t\r\n'.includes(text.charAt(at))) at += 1;
  return at;
}

function nextVisible(text: string, start: number): string {
  return text.charAt(skipBlank(text, start));
}

function readString(quoted: string): string | null {
  try {
    const value: unknown = JSON.parse(quoted);
    return typeof value === 'string' ? value : null;
  } catch {
    return null;
  }
}
