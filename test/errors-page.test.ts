import { globSync, readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { errorReasons } from '../src/base/error-reasons.ts';
import { errorCodes } from '../src/base/errors.ts';
import { grantReasons } from '../src/schemas/words.ts';
import { reasons } from '../src/vault/reasons.ts';

test('docs/errors.md says of every code what the code says', () => {
  const rows = readFileSync('docs/errors.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const page = rows.map(([, code, status, exit, retry, , action]) => [code, status, exit, retry, action]);
  const code = Object.entries(errorCodes).map(([name, { status, exit, retryable, action }]) => [
    `\`${name}\``,
    String(status),
    String(exit),
    retryable ? 'yes' : 'no',
    action,
  ]);
  expect(page).toEqual(code);
  for (const row of rows) expect(row[5], `the meaning of ${row[1]}`).toMatch(/^[A-Z].+\.$/);
});

test('docs/errors.md lists every reason of an error with its meaning', () => {
  const [, section = ''] = readFileSync('docs/errors.md', 'utf8').split('## Reasons of an error');
  const rows = [...section.matchAll(/^\| (.+) \| `(\w+)` \|$/gm)].map(([, meaning, reason]) => [reason, meaning]);
  expect(rows.slice(0, Object.keys(errorReasons).length)).toEqual(Object.entries(errorReasons));
});

test('docs/errors.md lists every reason of a grant', () => {
  const section = readFileSync('docs/errors.md', 'utf8').split('## Reasons of a grant')[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| ') && line.includes('`'));
  const listed = rows.flatMap((row) =>
    [...(row.split('|')[2] ?? '').matchAll(/`(\w+)`/g)].map((found) => found[1] ?? ''),
  );
  expect(listed.toSorted()).toEqual([...grantReasons].toSorted());
});

test('docs/errors.md lists every reason that the vault writes into the row of a grant', () => {
  // An event tells the first one. The others are of connect sessions.
  const elsewhere: readonly string[] = ['nothing_was_lost', 'wrong_user', 'not_completed'];
  const written = Object.values(reasons).filter((reason) => !elsewhere.includes(reason));
  expect(written.toSorted()).toEqual([...grantReasons].toSorted());
});

test('every reason of an error that a source file names is listed', () => {
  const named = globSync('src/**/*.ts', { exclude: ['**/*.test.ts', 'src/simulator/**'] }).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/new GrantryError\([^;]{0,600}?\breason: '(\w+)'/g)].map(
      (found) => found[1],
    ),
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((reason) => !Object.hasOwn(errorReasons, reason ?? ''))).toEqual([]);
});
