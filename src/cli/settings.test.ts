import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Environment, resolveVaultSettings, settings } from '../vault/settings.ts';
import { resolveSettings } from './settings.ts';

describe('precedence', () => {
  test('a flag wins over the environment, that over the default', () => {
    const environment = { GRANTRY_HOME: '/a', GRANTRY_SPOOL: '/s', GRANTRY_TENANT: 'acme' };
    expect(resolveSettings({ home: '/b' }, environment)).toMatchObject({
      home: '/b',
      database: 'sqlite:/b/grantry.db',
      rootKey: 'file:/b/root.key',
      spool: '/s',
      tenant: 'acme',
    });
  });

  test('without anything the home is in the user’s own', () => {
    expect(resolveSettings({}, {}).home).toBe(join(homedir(), '.grantry'));
  });

  test('an empty variable counts as not set', () => {
    expect(resolveSettings({}, { GRANTRY_HOME: '', GRANTRY_INSTALLATION: '' })).toMatchObject({
      home: join(homedir(), '.grantry'),
      installation: null,
    });
  });
});

describe('what is not valid is refused, and never repeated where it may be secret', () => {
  test.each([
    ['database', { database: 'mysql://u:hunter2@h/d' }, {}],
    ['database variable', {}, { GRANTRY_DATABASE: 'hunter2' }],
    ['root key itself', {}, { GRANTRY_ROOT_KEY: 'hunter2hunter2hunter2hunter2hunter2hunter2h=' }],
    ['public URL', { publicUrl: 'http://example.com' }, {}],
    ['public URL with password', { publicUrl: 'https://u:hunter2@example.com' }, {}],
    ['log level', {}, { GRANTRY_LOG_LEVEL: 'loud' }],
    ['migrate', {}, { GRANTRY_MIGRATE: 'maybe' }],
    ['unsafe switch', {}, { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: 'yes' }],
    ['empty flag', { home: '' }, {}],
    ['line end', { home: '/a\nb' }, {}],
    ['too long', { home: `/${'a'.repeat(3000)}` }, {}],
    ['server without TLS', {}, { GRANTRY_URL: 'http://vault.example' }],
    ['server and database', { database: 'sqlite:x' }, { GRANTRY_URL: 'https://vault.example' }],
    ['key of a server', {}, { GRANTRY_URL: 'https://vault.example', GRANTRY_API_KEY: 'gry_a hunter2' }],
  ])('%s', (_, flags, environment) => {
    expect(() => resolveSettings(flags, environment)).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.not.stringContaining('hunter2') }),
    );
  });
});

/** The result of each reading of the same environment. */
const readings = {
  library: (environment: Environment) => resolveVaultSettings({}, environment),
  'command line': (environment: Environment) => resolveSettings({}, environment),
};

describe.each(Object.entries(readings))('the %s', (_, read) => {
  test.each([
    ['GRANTRY_HOME', '   '],
    ['GRANTRY_HOME', '/a\nb'],
    ['GRANTRY_HOME', `/${'a'.repeat(3000)}`],
    ['GRANTRY_SPOOL', ' '],
    ['GRANTRY_DATABASE', 'mysql://u:hunter2@h/d'],
    ['GRANTRY_DATABASE', 'sqlite:'],
    ['GRANTRY_ROOT_KEY', 'hunter2hunter2hunter2hunter2hunter2hunter2h='],
    ['GRANTRY_ROOT_KEY', 'fd:1'],
    ['GRANTRY_INSTALLATION', 'a b'],
    ['GRANTRY_CREATE', 'no'],
    ['GRANTRY_MIGRATE', 'maybe'],
    ['GRANTRY_CONDEMNED_KEPT_DAYS', '0'],
    ['GRANTRY_CONDEMNED_KEPT_DAYS', '1.5'],
    ['GRANTRY_CONDEMNED_KEPT_DAYS', '3651'],
    ['GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS', 'true'],
  ])('refuses %s by name, without its value (%#)', (variable, value) => {
    const error = failureOf(() => read({ [variable]: value }));
    expect(error).toMatchObject({ code: 'invalid_request', message: expect.not.stringContaining('hunter2') });
    expect(String(error)).toContain(variable === 'GRANTRY_INSTALLATION' ? 'installation name' : variable);
  });

  test('takes an empty variable as not set', () => {
    const names = Object.values(settings).map(({ variable }) => [variable, '']);
    expect(read(Object.fromEntries(names))).toEqual(read({}));
    expect(read({}).home).toBe(join(homedir(), '.grantry'));
  });

  test('reads all of it alike', () => {
    const environment = {
      GRANTRY_HOME: '~/vault',
      GRANTRY_ROOT_KEY: 'env:KEY',
      GRANTRY_SPOOL: '/s',
      GRANTRY_INSTALLATION: 'production',
      GRANTRY_CREATE: 'off',
      GRANTRY_MIGRATE: 'off',
      GRANTRY_CONDEMNED_KEPT_DAYS: '7',
      GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1',
    };
    expect(read(environment)).toMatchObject({
      home: join(homedir(), 'vault'),
      database: `sqlite:${join(homedir(), 'vault', 'grantry.db')}`,
      rootKey: 'env:KEY',
      spool: '/s',
      installation: 'production',
      create: false,
      migrate: 'off',
      condemnedKeptDays: 7,
      allowLoopback: true,
    });
  });
});

function failureOf(read: () => unknown): unknown {
  try {
    read();
  } catch (error) {
    return error;
  }
  return null;
}
