import { expect, test } from 'vitest';
import { childEnvironment } from './child-environment.ts';

const usual = { rootKey: 'file:/k', passed: [] };

test.each([
  'GRANTRY_API_KEY',
  'GRANTRY_ROOT_KEY',
  'GRANTRY_ADMIN_KEY_FILE',
  'PGPASSWORD',
  'PGPASSFILE',
  'ZOHO_REFRESH_TOKEN',
  'ZOHO_CRM_REFRESH_TOKEN',
  'ZOHO_CLIENT_SECRET',
  'google_client_secret',
])('%s is withheld, unless it is asked for', (name) => {
  const environment = { [name]: 'x', PATH: '/bin' };
  expect(childEnvironment(environment, {}, usual)).toEqual({ PATH: '/bin' });
  expect(childEnvironment(environment, {}, { ...usual, passed: [name] })).toEqual(environment);
});

test.each([
  ['GRANTRY_DATABASE', 'postgres://u:secret@db/x', 'postgres://u@db/x'],
  ['GRANTRY_DATABASE', 'postgres://db/x?user=u&password=secret', 'sqlite:/data/grantry.db'],
  ['DATABASE_URL', 'postgres://:secret@db', 'postgres://db:5432/x'],
  ['GRANTRY_EGRESS_PROXY', 'http://u:secret@proxy:3128', 'http://proxy:3128'],
  ['GRANTRY_EGRESS_PROXY', 'u:secret@proxy:3128', 'proxy:3128'],
])('%s is withheld if it has a password', (name, secret, plain) => {
  expect(childEnvironment({ [name]: secret }, {}, usual)).toEqual({});
  expect(childEnvironment({ [name]: plain }, {}, usual)).toEqual({ [name]: plain });
});

test('the variable of the root key is withheld', () => {
  expect(childEnvironment({ KEY: 'x' }, {}, { ...usual, rootKey: 'env:KEY' })).toEqual({});
});

test('the tokens win over variables of the same name', () => {
  const tokens = { ZOHO_CRM_ACCESS_TOKEN: 'new' };
  expect(childEnvironment({ ZOHO_CRM_ACCESS_TOKEN: 'old', LANG: 'C' }, tokens, usual)).toEqual({
    ZOHO_CRM_ACCESS_TOKEN: 'new',
    LANG: 'C',
  });
});
