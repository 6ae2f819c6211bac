import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { expect, test } from 'vitest';

const pages = [
  ...globSync('*.md'),
  ...globSync('docs/**/*.md'),
  ...globSync('bench/*.md'),
  ...globSync('{test,lab}/**/*.md'),
];

test.each(pages)('every file that %s names is there', (page) => {
  expect(missingFrom(page, readFileSync(page, 'utf8'))).toEqual([]);
});

test('a file that is not there is found', () => {
  const text = 'see `src/vault/nothing.ts`, [this](nowhere.md), [that](https://example.com) and `src/base/errors.ts`';
  expect(missingFrom('docs/x.md', text)).toEqual(['src/vault/nothing.ts', 'docs/nowhere.md']);
});

function missingFrom(page: string, text: string): string[] {
  const named = [...text.matchAll(/`((?:src|test|docs|scripts|lab|bench|bin|\.ci)\/[\w./-]*)`/g)].map(
    (match) => match[1] ?? '',
  );
  const linked = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)].map((match) =>
    path.posix.join(path.posix.dirname(page), match[1] ?? ''),
  );
  return [...new Set([...named, ...linked])].filter((file) => !existsSync(file));
}
