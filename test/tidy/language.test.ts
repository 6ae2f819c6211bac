import { expect, test } from 'vitest';

import { languageViolations } from './language.ts';

const planted: [what: string, file: string, text: string, found: RegExp][] = [
  ['"whoever" in a comment', 'src/vault/x.ts', `// Whoever asks waits.\n`, /line 1: "Whoever"/],
  [
    '"nobody" in an error',
    'src/vault/x.ts',
    `\nthrow new Error('The body is not valid: nobody knows it.');\n`,
    /line 2: "nobody"/,
  ],
  ['"somebody" in a template', 'src/vault/x.ts', 'const a = `${b} waits for somebody else`;\n', /"somebody"/],
  ['"whatever" on a page', 'docs/x.md', `It goes on, whatever happens.\n`, /"whatever"/],
  ['"wherever" in a test title', 'test/x.test.ts', `test('is found wherever it is', () => {});\n`, /"wherever"/],
  ['"he" for a process', 'lab/x.ts', `/** A holder loses what he holds. */\n`, /"he" \(it, its\)/],
  ['"alone" for "only"', 'src/vault/x.ts', `// Sends the id alone.\n`, /"alone"/],
  ['"alone" on a page', 'docs/x.md', `It reads its own row alone.\n`, /"alone"/],
  ['a fused opening', 'src/vault/x.ts', `/** What is held is shared. */\nexport const a = 1;\n`, /begins with "What"/],
  [
    'a question as an opening',
    'src/vault/x.ts',
    `/**\n * Whether it is held.\n */\nexport const a = 1;\n`,
    /begins with "Whether"/,
  ],
  [
    'a long sentence',
    'src/vault/x.ts',
    `/** Reads ${'one thing and '.repeat(10)}another. */\n`,
    /a sentence of 32 words/,
  ],
  [
    'a long sentence over lines',
    'src/vault/x.ts',
    `/**\n * Reads ${'one\n * '.repeat(30)}more.\n */\n`,
    /a sentence of 32 words/,
  ],
  ['a comment of a script', 'test/cli/scripts/x.txt', `grantry init\n# Whoever asks waits.\n`, /line 2: "Whoever"/],
  ['"alone" in a title', 'test/x.test.ts', `test('sends its own row alone', () => {});\n`, /"alone"/],
  ['a fused opening in a test', 'lab/x.ts', `/** What a spent token brings. */\n`, /begins with "What"/],
  ['a bad sentence beside a quoted one', 'docs/language.md', '| somebody | somebody asks |\n', /"somebody"/],
  [
    'an error that begins like a log line',
    'src/vault/x.ts',
    `throw new GrantryError('internal', 'the row is gone.');\n`,
    /message begins with a lower-case word/,
  ],
  [
    'an error without a full stop',
    'src/vault/x.ts',
    "throw new GrantryError('internal', a ? `The row ${b}.` : 'The row is gone');\n",
    /message has no full stop: The row is gone/,
  ],
  [
    'an action without a full stop',
    'src/vault/x.ts',
    `fail({ action: 'Set GRANTRY_HOME' });\n`,
    /action has no full stop/,
  ],
  ['an advice without its reason', 'src/vault/x.ts', `fail({ action: 'Try again later.' });\n`, /say after what/],
];

test.each(planted)('%s is found', (_, file, text, found) => {
  expect(languageViolations(file, text).join('\n')).toMatch(found);
});

const plain: [what: string, file: string, text: string][] = [
  ['a plain docstring', 'src/vault/x.ts', `/** Returns the stored token while the provider is down. */\n`],
  ['two short sentences', 'src/vault/x.ts', `/** Reads ${'a '.repeat(20)}row. Writes ${'a '.repeat(20)}row. */\n`],
  ['a word in code', 'docs/x.md', 'The user `nobody` runs it.\n\n    su nobody\n\n```\nsu nobody\n```\n'],
  ['a word that is a name', 'src/vault/x.ts', `const nobody = 1;\nconst b = 'nobody';\n`],
  ['a comment in a string', 'src/vault/x.ts', `const a = 'https://a.example/alone';\n`],
  ['a comment in an expression', 'src/vault/x.ts', 'const a = /\\/\\/ alone/;\nconst b = `// alone`;\n'],
  ['what stands alone', 'docs/x.md', `Each file stands alone.\n`],
  ['a quoted word of the rules', 'docs/language.md', '| Whoever asks waits. | The caller waits. |\nNo "whoever".\n'],
  ['an action that ends with a command', 'src/vault/x.ts', 'fail({ action: `Connect it: grantry connect ${a}` });\n'],
  ['an error about an option', 'src/vault/x.ts', `throw new GrantryError('internal', 'expiresIn is missing.');\n`],
  ['a list', 'src/vault/x.ts', `/**\n * Steps:\n * 1. ${'a '.repeat(20)}\n * 2. ${'a '.repeat(20)}\n */\n`],
];

test.each(plain)('%s is let through', (_, file, text) => {
  expect(languageViolations(file, text)).toEqual([]);
});
