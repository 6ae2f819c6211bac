import type { ValidityRules } from '../grant/validity.ts';

/** Pools of values that many rows share: token types, scopes, API domains, and the rules of providers. */
const texts = new Map<string, string>();
const lists = new Map<string, readonly string[]>();
const rules = new Map<string, ValidityRules>();

/** Size at which a pool is emptied, in case the strings are not shared after all. */
const poolMax = 1_000;

/** Returns the pooled copy of a text. */
export function interned(text: string): string {
  return intern(texts, text, () => text);
}

/** Returns the comma-separated parts of a text as a pooled, frozen list. */
export function internedList(text: string): readonly string[] {
  return intern(lists, text, () => Object.freeze(text === '' ? [] : text.split(',')));
}

/** Returns the pooled copy of a provider's rules. */
export function internedRules(made: ValidityRules): ValidityRules {
  return intern(rules, `${made.earlyRefreshMs} ${made.justRefreshedMs}`, () => made);
}

function intern<T>(pool: Map<string, T>, text: string, make: () => T): T {
  const known = pool.get(text);
  if (known !== undefined) return known;
  if (pool.size === poolMax) pool.clear();
  const value = make();
  pool.set(text, value);
  return value;
}
