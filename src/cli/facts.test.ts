import { expect, it } from 'vitest';
import { builtInProvider, builtInProviderIds } from '../providers/catalogue.ts';
import { factRows } from './facts.ts';

const books = builtInProvider('zoho_books');

it('shows how sure each fact is, with its source and when that was read', () => {
  const rows = books === null ? [] : factRows(books);
  const first = (fact: string) => rows.find((row) => row.fact === fact);
  expect(first('API hosts')).toEqual({
    fact: 'API hosts',
    mark: 'documented',
    source: 'https://www.zoho.com/books/api/v3/oauth/',
    read: expect.stringMatching(/^2026/),
  });
  // Of some sources no day is known.
  expect(first('missing scope')).toMatchObject({ mark: 'reported', read: '2026-08' });
  const invoice = builtInProvider('zoho_invoice');
  const guessed = (invoice === null ? [] : factRows(invoice)).find((row) => row.fact === 'missing scope');
  expect(guessed).toEqual({ fact: 'missing scope', mark: 'guess', source: '-', read: '-' });
  expect([...new Set(rows.map(({ fact }) => fact))]).toHaveLength(7);
});

it('gives the date of a source as it is in the definition, and invents no day', () => {
  for (const id of builtInProviderIds) {
    const definition = builtInProvider(id);
    if (definition === null) continue;
    const dates = new Map((definition.sources ?? []).map(({ url, read }) => [url, read]));
    for (const { source, read } of factRows(definition)) expect(read).toBe(dates.get(source) ?? '-');
  }
});

it('has no rows for a provider without marks', () => {
  const definition = builtInProvider('github');
  expect(definition === null ? null : factRows({ ...definition, facts: {}, sources: [] })).toEqual([]);
});
