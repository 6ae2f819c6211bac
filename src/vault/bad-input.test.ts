/** Library calls with wrong, missing and hostile arguments: a typed error of the contract, never a TypeError. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GrantryError } from '../base/errors.ts';
import { isObject } from './checks.ts';
import { openVault } from './open.ts';
import type { Vault } from './types.ts';

const home = mkdtempSync(join(tmpdir(), 'grantry-input-'));
const key = { tenant: 'acme', provider: 'zoho_crm' };
const app = { provider: 'zoho_crm', clientId: 'c' };
const circle: Record<string, unknown> = {};
circle['circle'] = circle;

let vault: Vault;
beforeAll(async () => {
  vault = await openVault({ home });
  await vault.apps.put('one', { ...app, clientSecret: 'a-client-secret' });
  await vault.storeTokens(key, { refreshToken: 'r', accessToken: 'a', expiresIn: 3_600 });
  await vault.getAccessToken(key);
});
afterAll(async () => {
  expect(await vault.apps.get('one')).toMatchObject({ secrets: ['*'] });
  expect((await vault.grants.get(key))?.generation).toBe(1);
  await vault.close();
  rmSync(home, { recursive: true });
});

/** Values that no call takes. */
const wrong: readonly unknown[] = [null, 1, Number.NaN, true, Symbol('x'), () => 1, [], new Date(Number.NaN), circle];

/** Programs in JavaScript call with anything; the types are looked at by the vault itself. */
const call = async (object: object, method: string, ...given: readonly unknown[]): Promise<unknown> => {
  const found: unknown = Reflect.get(object, method);
  if (typeof found !== 'function') throw new Error(`no ${method}`);
  return Reflect.apply(found, object, given);
};

const calls: Record<string, (value: unknown) => Promise<unknown>> = {
  // Any other object is one without options, which opens this user's own vault.
  openVault: (value) => call({ openVault }, 'openVault', isObject(value) ? 1 : value),
  getAccessToken: (value) => call(vault, 'getAccessToken', value),
  'getAccessToken tenant': (value) => call(vault, 'getAccessToken', { ...key, tenant: value }),
  'getAccessToken provider': (value) => call(vault, 'getAccessToken', { ...key, provider: value }),
  'getAccessToken minValidity': (value) =>
    call(vault, 'getAccessToken', key, { minValidity: value === 1 ? -1 : (value ?? 'x') }),
  rejectAccessToken: (value) => call(vault, 'rejectAccessToken', key, value === 1 ? 0 : value),
  'fetch path': (value) => call(vault, 'fetch', key, value),
  'apps.put': (value) => call(vault.apps, 'put', 'two', value),
  'apps.put dc': (value) => call(vault.apps, 'put', 'one', { ...app, dc: value }),
  'apps.put tenants': (value) => call(vault.apps, 'put', 'one', { ...app, tenants: value ?? 0 }),
  'apps.put returnTo': (value) =>
    call(vault.apps, 'put', 'one', { ...app, returnTo: Array.isArray(value) ? 0 : (value ?? 0) }),
  'apps.put clientSecrets': (value) => call(vault.apps, 'put', 'one', { ...app, clientSecrets: value }),
  'apps.put clientSecret': (value) => call(vault.apps, 'put', 'one', { ...app, clientSecret: value }),
  'apps.get': (value) => call(vault.apps, 'get', value),
  'grants.get': (value) => call(vault.grants, 'get', value),
  'grants.list': (value) => call(vault.grants, 'list', typeof value === 'object' && value !== null ? 1 : value),
  'grants.list limit': (value) => call(vault.grants, 'list', { limit: value === 1 ? 0 : (value ?? 0) }),
  'providers.put': (value) => call(vault.providers, 'put', value),
  'providers.get': (value) => call(vault.providers, 'get', value),
  'providers.remove': (value) => call(vault.providers, 'remove', value),
  authorize: (value) => call(vault, 'authorize', value),
  completeAuthorization: (value) => call(vault, 'completeAuthorization', value),
  redeemCode: (value) => call(vault, 'redeemCode', key, value),
  storeTokens: (value) => call(vault, 'storeTokens', key, value),
  'storeTokens metadata': (value) =>
    call(vault, 'storeTokens', { ...key, account: 'two' }, { refreshToken: 'r', metadata: value }),
  disconnect: (value) => call(vault, 'disconnect', value),
  health: (value) => call(vault, 'health', value),
  recover: (value) => call(vault, 'recover', value),
  adopt: (value) => call(vault, 'adopt', value),
};

describe.each(Object.keys(calls))('%s', (name) => {
  test.each(wrong.map((value) => [Object.prototype.toString.call(value), value]))('%s', async (_, value) => {
    // Nothing that is wrong is quietly taken for something else.
    const thrown: unknown = await calls[name]?.(value).then(
      (answer) => new Error(`it was taken: ${JSON.stringify(answer)}`),
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(GrantryError);
    expect(thrown).toMatchObject({ code: expect.stringMatching(/^(invalid_request|not_found|grant_not_found)$/) });
  });
});
