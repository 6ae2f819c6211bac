import { expect, test } from 'vitest';
import { builtInProvider } from './catalogue.ts';
import type { ProviderDefinition } from './definition.ts';
import { compareScopes, hasScope, joinScopes, splitScopes } from './scopes.ts';

function known(id: string): ProviderDefinition {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
}

const crm = known('zoho_crm');
const google = known('google');

test('scopes are split by the separator and by spaces, and joined as the provider wants', () => {
  const scopes = splitScopes(crm, ['ZohoCRM.modules.ALL,ZohoCRM.org.READ', ' zohocrm.MODULES.all ']);
  expect(scopes).toEqual(['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ']);
  expect(joinScopes(crm, scopes)).toBe('ZohoCRM.modules.ALL,ZohoCRM.org.READ');
  expect(joinScopes(google, splitScopes(google, 'openid  email\nopenid'))).toBe('openid email');
  expect(splitScopes(google, 'a,b A,b')).toEqual(['a,b', 'A,b']);
  expect(splitScopes(crm, '')).toEqual([]);
});

test.each(['a"b', 'a\\b', 'ä', 'a\u0000', 'x'.repeat(513), Array.from({ length: 300 }, (_, i) => `s${i}`).join(' ')])(
  'what no scope can be is refused (%#)',
  (text) => {
    expect(() => splitScopes(google, text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  },
);

test.each([
  ['ZohoCRM.modules.ALL', 'ZohoCRM.modules.READ', true],
  ['ZohoCRM.modules.all', 'zohocrm.Modules.leads.CREATE', true],
  ['ZohoCRM.modules.READ', 'ZohoCRM.modules.leads.READ', true],
  ['ZohoCRM.modules.READ', 'ZohoCRM.modules.leads.CREATE', false],
  ['ZohoCRM.modules.WRITE', 'ZohoCRM.modules.leads.CREATE', true],
  ['ZohoCRM.modules.WRITE', 'ZohoCRM.modules.READ', false],
  ['ZohoCRM.modules.leads.ALL', 'ZohoCRM.modules.READ', false],
  ['ZohoCRM.org.ALL', 'ZohoCRM.users.READ', false],
  ['ZohoBooks.fullaccess.all', 'ZohoBooks.settings.READ', true],
  ['ZohoBooks.fullaccess.all', 'ZohoCRM.settings.READ', false],
  ['ALL', 'ZohoCRM.org.READ', false],
])('%s covers %s: %s', (held, wanted, expected) => {
  expect(hasScope(crm, [held], wanted)).toBe(expected);
});

test('elsewhere a scope only covers itself, and case counts', () => {
  expect(hasScope(google, ['a.ALL'], 'a.READ')).toBe(false);
  expect(hasScope(google, ['openid'], 'OpenID')).toBe(false);
});

test('missing and extra scopes are reported', () => {
  expect(compareScopes(google, ['a', 'b'], ['b', 'c'])).toEqual({ missing: ['a'], extra: ['c'] });
  expect(compareScopes(crm, ['ZohoCRM.org.READ'], ['ZohoCRM.org.ALL'])).toEqual({
    missing: [],
    extra: ['ZohoCRM.org.ALL'],
  });
});
