import { expect, test } from 'vitest';
import { builtInProvider, builtInProviderIds } from './catalogue.ts';
import { providerDefinition } from './definition.ts';
import { scopesOf } from './scope-table.ts';

const definitionOf = (id: string) => {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
};

const products = builtInProviderIds.filter((id) => id.startsWith('zoho_'));

test.each(products)('the table of %s names each scope once, and fits the schema', async (id) => {
  const definition = definitionOf(id);
  const scopes = await scopesOf(definition);
  expect(scopes.length).toBeGreaterThan(1);
  expect(new Set(scopes.map(({ name }) => name.toLowerCase())).size).toBe(scopes.length);
  const prefixes = [definition.scopePrefix, 'AaaServer', ...(id === 'zoho_workdrive' ? ['ZohoFiles'] : [])];
  expect(scopes.filter(({ name }) => !prefixes.includes(name.split('.')[0]))).toEqual([]);
  expect(providerDefinition.parse({ ...definition, scopes }).scopes).toEqual(scopes);
  const health = definition.api.health?.scope;
  if (health !== undefined) expect(scopes.map(({ name }) => name)).toContain(health);
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
