import { type LeakRule, leakRules } from './rules.ts';

/** A secret in a text, as a part of it. */
export interface Leak {
  readonly rule: LeakRule;
  readonly start: number;
  readonly end: number;
}

/** Finds the secrets in a text. A secret that several rules find is found once, by the first rule. */
export function findLeaks(text: string): readonly Leak[] {
  const found: Leak[] = [];
  for (const rule of leakRules) {
    for (const leak of leaksOf(rule, text)) {
      if (!found.some((other) => overlaps(leak, other))) found.push(leak);
    }
  }
  return found.toSorted((one, other) => one.start - other.start);
}

/** True when two parts of a text have a character in common. */
export function overlaps(
  one: { readonly start: number; readonly end: number },
  other: { readonly start: number; readonly end: number },
): boolean {
  return one.start < other.end && other.start < one.end;
}

function* leaksOf(rule: LeakRule, text: string): Generator<Leak> {
  // A copy, since the match of a global pattern leaves a mark in it; `d` asks where the group is.
  const pattern = new RegExp(rule.pattern.source, `${rule.pattern.flags}d`);
  for (const match of text.matchAll(pattern)) {
    const [start, end] = match.indices?.[1] ?? match.indices?.[0] ?? [0, 0];
    if (entropyOf(text.slice(start, end)) >= (rule.entropyMin ?? 0)) yield { rule, start, end };
  }
}

/** Shannon's entropy in bits per character, as gitleaks counts it. */
function entropyOf(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}
