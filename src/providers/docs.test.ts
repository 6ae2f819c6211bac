import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { builtInProvider, builtInProviderIds } from './catalogue.ts';
import { checkOrigins } from './check-origins.ts';
import { parseProviderDefinition } from './parse.ts';

const page = readFileSync(new URL('../../docs/providers.md', import.meta.url), 'utf8');

test('the page lists every built-in provider with its rotation', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  for (const id of builtInProviderIds) {
    const row = rows.find((line) => line.split('|')[1]?.includes(`\`${id}\``));
    expect(row, id).toContain(`\`${builtInProvider(id)?.refreshToken.rotation}\``);
  }
});

test('its definitions are valid ones', () => {
  const blocks = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  const definitions = blocks.filter((block) => block.includes('"id"'));
  expect(definitions).toHaveLength(3);
  for (const block of definitions) expect(() => checkOrigins(parseProviderDefinition(block))).not.toThrow();
  const rules = blocks.filter((block) => block.startsWith('['));
  expect(rules).toHaveLength(1);
  for (const block of rules) {
    const errors: unknown = JSON.parse(block);
    const base = { id: 'x', endpoints: { token: 'https://a.example.com' }, api: { hosts: ['https://a.example.com'] } };
    expect(() => parseProviderDefinition({ ...base, errors })).not.toThrow();
  }
});
