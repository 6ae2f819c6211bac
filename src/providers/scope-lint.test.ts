import { describe, expect, test } from 'vitest';
import { builtInProvider } from './catalogue.ts';
import { scopeKnowledge, separatorFinding } from './scope-knowledge.ts';
import { lintScopes, type ScopeReasons, scopesWithoutReason } from './scope-lint.ts';

const definitionOf = (id: string) => {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
};

async function lint(id: string, scopes: readonly string[], reasons: ScopeReasons = {}) {
  return lintScopes(await scopeKnowledge(definitionOf(id)), scopes, reasons);
}

async function kinds(id: string, scopes: readonly string[], reasons: ScopeReasons = {}) {
  const { findings } = await lint(id, scopes, reasons);
  return findings.map(({ kind, level, scope, suggestion }) =>
    [level, kind, scope, suggestion].filter(Boolean).join(' '),
  );
}

describe('a list of scopes', () => {
  test.each([
    ['zoho_crm', 'ZohoCRM.modules.leads.READ', []],
    ['zoho_crm', 'ZohoCRM.modles.ALL', ['warning misspelt ZohoCRM.modles.ALL ZohoCRM.modules.ALL']],
    ['zoho_crm', 'ZohCRM.users.READ', ['warning misspelt ZohCRM.users.READ ZohoCRM.users.READ']],
    [
      'zoho_crm',
      'ZohoCRM.somethingelse.entirely.new.READ',
      ['warning unknown ZohoCRM.somethingelse.entirely.new.READ'],
    ],
    ['zoho_crm', 'Desk.tickets.READ', ['warning other_product Desk.tickets.READ']],
    ['zoho_crm', 'ZohoCRM.modules.Activities.READ', ['warning retired ZohoCRM.modules.Activities.READ']],
    ['zoho_crm', 'ZohoCRM.modules.ALL', ['warning broad ZohoCRM.modules.ALL']],
    [
      'zoho_crm',
      'ZohoCRM.modules.leads.ALL',
      ['hint all_operations ZohoCRM.modules.leads.ALL ZohoCRM.modules.leads.READ'],
    ],
    ['zoho_crm', 'zohocrm.Modules.leads.read', ['hint spelling zohocrm.Modules.leads.read ZohoCRM.modules.leads.READ']],
    ['zoho_crm', 'ZohoCRM..READ', ['error impossible ZohoCRM..READ']],
    ['zoho_crm', 'ZohoCRM.modules.*', ['error impossible ZohoCRM.modules.*']],
    ['zoho_crm', 'ZohoCRM.modules.{module}.READ', ['error impossible ZohoCRM.modules.{module}.READ']],
    // The family is known and the operation is usual, although the table has no such row.
    ['zoho_crm', 'ZohoCRM.org.CREATE', []],
    ['zoho_crm', 'AaaServer.profile.READ', []],
    ['zoho_crm', 'email', []],
    ['zoho_books', 'ZohoBooks.fullaccess.all', ['warning broad ZohoBooks.fullaccess.all']],
    // A provider without a table: nothing is known, and nothing is said.
    ['google', 'https://www.googleapis.com/auth/everythingg', []],
  ])('%s: %s', async (id, scope, expected) => {
    expect(await kinds(id, [scope])).toEqual(expected);
  });

  test('a scope that another one of the list covers adds nothing', async () => {
    const scopes = ['ZohoCRM.modules.leads.READ', 'ZohoCRM.modules.ALL'];
    expect(await kinds('zoho_crm', scopes, { 'zohocrm.modules.all': 'syncs all' })).toEqual([
      'warning covered ZohoCRM.modules.leads.READ',
    ]);
  });

  test('a reason silences the warning of a broad scope, in any capitals', async () => {
    const known = await scopeKnowledge(definitionOf('zoho_crm'));
    const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.settings.ALL'];
    expect(scopesWithoutReason(known, scopes, { 'zohocrm.MODULES.all': 'syncs' })).toEqual(['ZohoCRM.settings.ALL']);
    expect(scopesWithoutReason(known, scopes, {})).toEqual(scopes);
  });

  test('scopes of several products are a hint, and identity scopes are no product', async () => {
    const scopes = ['ZohoCRM.modules.leads.READ', 'AaaServer.profile.READ', 'ZohoBooks.contacts.READ'];
    expect(await kinds('zoho', scopes)).toEqual(['hint several_products ZohoBooks.contacts.READ']);
    expect(await kinds('zoho', scopes.slice(0, 2))).toEqual([]);
  });

  test('comes back as the provider spells it, each scope once', async () => {
    const { scopes } = await lint('zoho_crm', ['zohocrm.org.read', 'ZohoCRM.org.READ', 'ZohoCRM.unheard.of.READ']);
    expect(scopes).toEqual(['ZohoCRM.org.READ', 'ZohoCRM.unheard.of.READ']);
  });

  test('spaces are a hint where the provider wants commas', () => {
    const zoho = definitionOf('zoho_crm');
    expect(separatorFinding(zoho, ['ZohoCRM.org.READ ZohoCRM.users.READ'])?.kind).toBe('separator');
    expect(separatorFinding(zoho, ['ZohoCRM.org.READ,ZohoCRM.users.READ', 'ZohoCRM.org.READ'])).toBeNull();
    expect(separatorFinding(definitionOf('google'), ['openid email'])).toBeNull();
  });
});
