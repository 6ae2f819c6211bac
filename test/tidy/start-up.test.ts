/** Bounds the code that `grantry token` loads before it does anything: scripts call it often, and each module costs every call. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { importsOf } from './rules.ts';

/** In characters, without comments. What only an error, a change or a server needs belongs behind `await import()`. */
const budget = 345_000;

const { modules, others } = loadedBy('src/cli/main.ts');

test('the start of `grantry token` stays small', () => {
  const total = [...modules.values()].reduce((sum, size) => sum + size, 0);
  const largest = [...modules].toSorted(([, one], [, other]) => other - one).slice(0, 20);
  expect(total, `the largest of ${modules.size}: ${JSON.stringify(Object.fromEntries(largest))}`).toBeLessThan(budget);
});

test('the start of `grantry token` loads few packages, and no part of Node.js that is slow to load', () => {
  expect([...others].filter((name) => !name.startsWith('node:')).toSorted()).toEqual(['kysely', 'lru-cache']);
  expect([...others].filter((name) => name.startsWith('node:')).toSorted()).toEqual([
    'node:async_hooks',
    'node:buffer',
    'node:crypto',
    'node:fs',
    'node:os',
    'node:path',
    'node:sqlite',
    'node:stream',
    'node:util',
  ]);
});

/** Follows static imports of values. */
function loadedBy(entry: string): { modules: ReadonlyMap<string, number>; others: ReadonlySet<string> } {
  const found = new Map<string, number>();
  const outside = new Set<string>();
  const follow = (file: string): void => {
    if (found.has(file)) return;
    const text = readFileSync(file, 'utf8');
    found.set(file, text.replaceAll(/^\s*(?:\/\/.*|\/\*[\s\S]*?\*\/)\n/gm, '').length);
    for (const { specifier, typeOnly, later } of importsOf(file, text)) {
      if (typeOnly || later) continue;
      if (specifier.startsWith('.')) follow(path.posix.join(path.posix.dirname(file), specifier));
      else outside.add(specifier);
    }
  };
  follow(entry);
  return { modules: found, others: outside };
}
