/** What many rows have in common is held once: token types, scopes, the domains of APIs. */
const texts = new Map<string, string>();
const lists = new Map<string, readonly string[]>();

/** Where it is not common after all, it is not kept for ever. */
const keptMax = 1_000;

/** The same text, as it was first seen. */
export function interned(text: string): string {
  return seenFirst(texts, text, () => text);
}

/** The parts of a text that separates them by commas; nobody can change the list. */
export function internedList(text: string): readonly string[] {
  return seenFirst(lists, text, () => Object.freeze(text === '' ? [] : text.split(',')));
}

function seenFirst<T>(seen: Map<string, T>, text: string, make: () => T): T {
  const known = seen.get(text);
  if (known !== undefined) return known;
  if (seen.size === keptMax) seen.clear();
  const made = make();
  seen.set(text, made);
  return made;
}
