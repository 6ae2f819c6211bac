import { expect, test } from 'vitest';

import { importsOf, violations } from './rules.ts';

const planted: [what: string, file: string, text: string, found: RegExp][] = [
  ['a way up', 'src/storage/x.ts', `import { a } from '../vault/a.ts';\n`, /no door from storage/],
  ['storage that sees keys', 'src/storage/x.ts', `import { a } from '../crypto/a.ts';\n`, /no door from storage/],
  ['oauth that writes rows', 'src/oauth/x.ts', `import type { A } from '../storage/a.ts';\n`, /no door from oauth/],
  ['a way sideways', 'src/storage/x.ts', `export { a } from '../providers/a.ts';\n`, /no door from storage/],
  ['an inner way up', 'src/vault/grant/x.ts', `import { a } from '../hand-out/a.ts';\n`, /a higher floor of vault/],
  ['an inner way sideways', 'src/vault/connect/x.ts', `import type { A } from '../refresh/a.ts';\n`, /a higher floor/],
  ['an inner way through the door', 'src/vault/api/x.ts', `await import('../vault.ts');\n`, /a higher floor of vault/],
  [
    'the ground of a room that looks up',
    'src/vault/x.ts',
    `import { a } from './app/a.ts';\n`,
    /a higher floor of vault/,
  ],
  ['a script that runs a laboratory', 'scripts/x.ts', `import { a } from '../lab/a.ts';\n`, /scripts stands below it/],
  ['test support that knows a test', 'test/support/x.ts', `import { a } from '../cli/a.ts';\n`, /stands below it/],
  [
    'a file beside its subject that needs a test',
    'src/vault/x.test.ts',
    `import { a } from '../../test/cli/a.ts';\n`,
    /outside src/,
  ],
  ['a late way up', 'src/base/x.ts', `await import('../vault/a.ts');\n`, /no door from base/],
  [
    'an adapter that looks inside',
    'src/adapters/x.ts',
    `import { a } from '../storage/a.ts';\n`,
    /no door from adapters/,
  ],
  ['a type by import()', 'src/oauth/x.ts', `let a: import('../storage/a.ts').A;\n`, /no door from oauth/],
  ['product code that needs tests', 'src/vault/x.ts', `import { a } from '../../test/a.ts';\n`, /outside src/],
  ['an import without ending', 'src/vault/x.ts', `import { a } from './a';\n`, /without its ending/],
  ['a write outside storage', 'src/vault/x.ts', `await db.insertInto('oauth_tokens').execute();\n`, /past the door/],
  [
    'a write past the door',
    'src/vault/x.ts',
    `await store.transaction((tx) => noteUse(tx));\n`,
    /only src\/vault\/changing/,
  ],
  ['a query builder outside storage', 'src/vault/x.ts', `import { sql } from 'kysely';\n`, /imports kysely/],
  [
    'a statement that may write without a transaction',
    'src/storage/statements/x.ts',
    `export const a = (db: Kysely<Schema>) => db;\n`,
    /not a whole Kysely/,
  ],
  ['a driver outside storage', 'src/vault/x.ts', `import pg from 'pg';\n`, /imports pg/],
  ['a clock', 'src/vault/x.ts', `const a = Date.now();\n`, /Date\.now\(\) belongs to the world/],
  ['a clock by another name', 'src/vault/x.ts', `const a = new Date();\n`, /new Date\(\)/],
  ['a clock handed on', 'src/vault/x.ts', `const a = { now: performance.now };\n`, /performance\.now/],
  ['dice', 'src/vault/x.ts', `const a = Math.random();\n`, /Math\.random/],
  ['a timer', 'src/vault/x.ts', `setTimeout(() => {}, 5);\n`, /setTimeout/],
  ['the network', 'src/oauth/x.ts', `await fetch('https://a.example');\n`, /fetch\(\)/],
  ['a secret let out', 'src/vault/x.ts', `const a = secret.reveal();\n`, /reveal/],
  ['a bare as', 'src/vault/x.ts', `\nconst b = a as string;\n`, /without its reason/],
  ['a plan left behind', 'docs/x.md', `${'todo'.toUpperCase()}: write this\n`, /left-over/],
  ['a path of one machine', 'docs/x.md', `see /${'HOME'.toLowerCase()}/somebody/file\n`, /outside the project/],
];

test.each(planted)('%s is found', (_, file, text, found) => {
  expect(violations(file, text).join('\n')).toMatch(found);
});

const harmless: [what: string, file: string, text: string][] = [
  ['a way down', 'src/vault/x.ts', `import { a } from '../crypto/a.ts';\n`],
  ['a neighbour in the same room', 'src/vault/x.ts', `import { a } from './a.ts';\n`],
  ['the front door', 'src/index.ts', `export { a } from './vault/a.ts';\n`],
  ['an adapter at the front door', 'src/adapters/x.ts', `import { a } from '../index.ts';\n`],
  ['the door for writes', 'src/vault/changing.ts', `await context.store.transaction(run);\n`],
  ['a write in storage', 'src/storage/statements/x.ts', `await tx.insertInto('oauth_tokens').execute();\n`],
  ['the clock in its place', 'src/base/system-world.ts', `const a = Date.now();\n`],
  ['a time that was handed in', 'src/vault/x.ts', `const a = new Date(world.now());\n`],
  ['the world’s own fetch', 'src/oauth/x.ts', `await world.fetch('https://a.example', init);\n`],
  ['a word in a comment', 'src/vault/x.ts', `// Date.now() is the world's\n`],
  ['as with its reason', 'src/vault/x.ts', `// Checked above.\nconst b = a as string;\n`],
  ['as const', 'src/vault/x.ts', `\n\n\n\n\nconst b = [1] as const;\n`],
  ['a test that waits', 'src/vault/x.test.ts', `setTimeout(() => {}, 5);\n`],
];

test.each(harmless)('%s is let through', (_, file, text) => {
  expect(violations(file, text)).toEqual([]);
});

test('imports of every kind are seen', () => {
  const text = `import a from 'a'; import type b from 'b'; export * from 'c'; await import('d'); type E = import('e').E;`;
  expect(importsOf('x.ts', text)).toEqual([
    { specifier: 'a', typeOnly: false, later: false },
    { specifier: 'b', typeOnly: true, later: false },
    { specifier: 'c', typeOnly: false, later: false },
    { specifier: 'd', typeOnly: false, later: true },
    { specifier: 'e', typeOnly: true, later: false },
  ]);
});
