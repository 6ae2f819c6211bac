import { type LooseMember, LooseReader, type LooseText, unescaped } from './loose-reader.ts';

/**
 * Reads a text that no JSON parser takes: text around it, repeated members, deep nesting, NaN, trailing commas, raw
 * newlines and quotes in texts, a missing end. Never throws, and takes time in proportion to the length.
 *
 * A quote inside a text must be escaped, so the characters `"name":"value"` are a member in any place. The reader
 * finds such members even if it lost the structure around them. It never finds one inside a proper text.
 */
export function readLoosely(text: string, names: readonly string[]): LooseText {
  const reader = new LooseReader(text, names);
  reader.read();
  const placed = new Map(reader.found.map(({ at, value }) => [at, value]));
  // A value that the reader took to be longer, because of a quote inside it, counts in both lengths.
  const strays = plainMembers(text, names).filter(({ at, value }) => placed.get(at) !== value);
  const { objects, found, outside, sound, balanced } = reader;
  return { objects, found: [...found, ...strays], outside: outside.join('\n'), sound: sound && balanced, balanced };
}

/** Finds every `"name":"value"`, without regard to the text around it. */
function plainMembers(text: string, names: readonly string[]): LooseMember[] {
  const found: LooseMember[] = [];
  for (const match of text.matchAll(new RegExp(`"(${names.join('|')})"\\s*:\\s*"`, 'g'))) {
    let escapesBefore = 0;
    while (text[match.index - 1 - escapesBefore] === '\\') escapesBefore += 1;
    if (escapesBefore % 2 === 1) continue;
    const start = match.index + match[0].length;
    let end = start;
    while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
    // Behind a text that does not end there is no other one.
    if (end >= text.length) break;
    const value = unescaped(text.slice(start, end));
    if (value !== null) found.push({ name: match[1] ?? '', value, depth: 0, at: match.index });
  }
  return found;
}
