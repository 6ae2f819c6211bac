import { expect, test } from 'vitest';
import { builtInProvider } from './catalogue.ts';
import { providerDefinition } from './definition.ts';
import { scopesOf } from './scope-table.ts';

const definitionOf = (id: string) => {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
};

test("a product's table names each scope once, under its prefix, and fits the schema", async () => {
  for (const id of ['zoho_crm', 'zoho_books']) {
    const definition = definitionOf(id);
    const scopes = await scopesOf(definition);
    expect(scopes.length).toBeGreaterThan(20);
    expect(new Set(scopes.map(({ name }) => name.toLowerCase())).size).toBe(scopes.length);
    expect(scopes.filter(({ name }) => !name.startsWith(`${definition.scopePrefix}.`))).toEqual([]);
    expect(providerDefinition.parse({ ...definition, scopes }).scopes).toEqual(scopes);
  }
});

test('the words of a scope say what it allows, and broad ones are marked', async () => {
  const scopes = await scopesOf(definitionOf('zoho'));
  expect(scopes).toContainEqual({ name: 'ZohoCRM.modules.leads.READ', words: 'Read leads' });
  expect(scopes.find(({ name }) => name === 'ZohoBooks.fullaccess.all')?.broad).toBe(true);
});

test('the table of an own definition is the one that it holds', async () => {
  const scopes = [{ name: 'read', words: 'Read things' }];
  expect(await scopesOf({ ...definitionOf('github'), id: 'mine', scopes })).toBe(scopes);
  expect(await scopesOf(definitionOf('github'))).toEqual([]);
});
