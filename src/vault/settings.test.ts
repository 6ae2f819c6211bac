import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../test/support/postgres.ts';
import { startSimulator } from '../simulator/index.ts';
import { openVault } from './open.ts';
import type { VaultOptions } from './options.ts';

let home = '';
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'grantry-settings-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe('openVault', () => {
  test('says how a definition of a simulator is allowed', async () => {
    await using simulator = await startSimulator({ profiles: ['zoho'], dataCenters: ['eu'] });
    const folder = join(home, 'of-a-simulator');
    const options = { home: folder, providers: [simulator.definition('zoho_crm')] };
    await expect(openVault(options)).rejects.toMatchObject({
      code: 'invalid_request',
      action: expect.stringContaining('If it is of a simulator, set GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS=1'),
    });
  });

  test.each(['home', 'spool'] as const)('a %s that others can write is refused', async (place) => {
    const folder = join(home, `writable-${place}`);
    mkdirSync(join(folder, 'spool'), { recursive: true, mode: 0o700 });
    const path = place === 'home' ? folder : join(folder, 'spool');
    chmodSync(path, 0o777);
    const rootKey = `file:${join(folder, 'root.key')}`;
    await expect(openVault({ home: folder, database: 'sqlite::memory:', rootKey })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(`The ${place} ${path} is not safe`),
    });
  });

  test.each<[string, VaultOptions, string]>([
    ['an empty home', { home: ' ' }, 'The option home is empty.'],
    [
      'a database of another kind',
      { database: 'mysql://u:hunter2@h/d' },
      'The option database does not name a database.',
    ],
    [
      'days that are no whole number',
      { condemnedKeptDays: 1.5 },
      'The option condemnedKeptDays must be a whole number',
    ],
    ['an empty reason', { unsafeAllowLoopbackProviders: '' }, 'The option unsafeAllowLoopbackProviders is empty.'],
    [
      'a switch in place of a reason',
      Object.fromEntries([['unsafeAllowLoopbackProviders', true]]),
      "The option unsafeAllowLoopbackProviders must be a text: the reason, such as 'tests'.",
    ],
  ])('refuses %s', async (_, options, message) => {
    await expect(openVault(options)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(message),
    });
  });

  test.each<[string, unknown, string]>([
    ['poolMax', 'a', 'a whole number from 1 to 1000'],
    ['poolMax', 0, 'a whole number'],
    ['callerWaitMs', -1, 'a whole number from 1 to 3600000'],
    ['callerWaitMs', Number.NaN, 'a whole number'],
    ['staleHandOutMs', '5', 'a whole number from 0 to 86400000'],
    ['takeOver', 'yes', 'true or false'],
    ['backgroundRefresh', 0, 'true or false'],
    ['create', 'yes', 'on or off'],
    ['migrate', true, 'a text'],
    ['onEvent', {}, 'a function'],
    ['providers', {}, 'a list'],
    ['logger', { info: () => {} }, 'an object with the methods debug, info, warn, error'],
    ['world', 7, 'an object with the methods now,'],
    ['meter', 'm', 'an object'],
  ])('refuses the option %s with the value %j', async (name, value, kind) => {
    const place = join(home, 'unknown');
    const options: VaultOptions = Object.assign({ home: place }, { [name]: value });
    const message = expect.stringMatching(new RegExp(`^The option ${name} must be ${kind}`));
    await expect(openVault(options)).rejects.toMatchObject({ code: 'invalid_request', message });
    expect(existsSync(place)).toBe(false);
  });

  test.each([
    ['databse', 'Did you mean database?'],
    ['rootkey', 'Did you mean rootKey?'],
    ['colour', expect.stringContaining('Use one of create, database,')],
  ])('refuses the unknown member %s', async (name, action) => {
    const options = Object.assign({ home: join(home, 'unknown') }, { [name]: 'sqlite:x' });
    await expect(openVault(options)).rejects.toMatchObject({
      code: 'invalid_request',
      message: `openVault has no option ${name}.`,
      action,
    });
    expect(existsSync(join(home, 'unknown'))).toBe(false);
  });
});

describe.each(['sqlite', 'postgres'] as const)('a new vault on %s', (kind) => {
  let place: Awaited<ReturnType<typeof scratchDatabase>>;
  beforeAll(async () => {
    place = kind === 'postgres' ? await scratchDatabase() : scratchSqlite();
  });
  afterAll(() => place.drop());
  const options = (): VaultOptions => ({
    home: join(home, kind),
    database: place.database,
    rootKey: `file:${join(home, kind, 'root.key')}`,
  });

  test('is refused with create: false, and nothing is made', async () => {
    await expect(openVault({ ...options(), create: false })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringMatching(/^There is no vault yet: (sqlite|postgres):.* (does not exist|holds no vault)\.$/),
      action: expect.stringContaining('grantry init, or create: true in a program'),
    });
    expect(existsSync(join(home, kind))).toBe(false);
    expect(existsSync(place.database.slice('sqlite:'.length))).toBe(false);
  });

  test('is refused with GRANTRY_CREATE=off', async () => {
    vi.stubEnv('GRANTRY_CREATE', 'off');
    try {
      await expect(openVault(options())).rejects.toMatchObject({
        code: 'not_found',
        action: expect.stringContaining('GRANTRY_CREATE=on grantry init'),
      });
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test('is announced once, by a process warning without a logger and by the logger otherwise', async () => {
    const warned: unknown[] = [];
    const emitted = vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warned.push(warning));
    try {
      await (await openVault(options())).close();
      await (await openVault({ ...options(), create: false })).close();
    } finally {
      emitted.mockRestore();
    }
    expect(warned).toEqual([expect.stringMatching(/^Grantry made a new vault in .*; its root key is in the file /)]);
    expect(String(warned)).not.toMatch(/:[^/@]+@/);
  });
});

test('a new vault is announced by the logger where there is one', async () => {
  const lines: unknown[] = [];
  const ignore = () => {};
  const logger = { debug: ignore, info: ignore, warn: (message: string) => void lines.push(message), error: ignore };
  const place = join(home, 'logged');
  await using _ = await openVault({
    home: place,
    database: `sqlite:${place}.db`,
    rootKey: `file:${place}.key`,
    logger,
  });
  expect(lines).toEqual(['made a new vault']);
});
