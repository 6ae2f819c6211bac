import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
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
      installation: undefined,
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

test('loopback providers are off unless asked for', () => {
  expect(resolveSettings({}, {}).unsafeAllowLoopbackProviders).toBeUndefined();
  expect(
    resolveSettings({}, { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '0' }).unsafeAllowLoopbackProviders,
  ).toBeUndefined();
  expect(
    resolveSettings({}, { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1' }).unsafeAllowLoopbackProviders,
  ).toBeDefined();
});
