import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { limits } from '../base/limits.ts';
import { silentLogger } from '../base/log.ts';
import { systemWorld } from '../base/system-world.ts';
import { hashApiKey } from '../vault/api-keys.ts';
import type { ApiKey } from '../vault/types.ts';
import { Access, maySee } from './access.ts';

const live: ApiKey = {
  id: '0190a000-0000-7000-8000-000000000001',
  name: 'backend',
  role: 'admin',
  tenants: [],
  providers: null,
  createdAt: new Date(0),
  expiresAt: null,
  lastUsedAt: null,
};

/** Keys from outside need no checksum, so each test may name its own. */
function openAccess(find: (hash: string) => Promise<ApiKey | null>, keys: readonly string[] = []) {
  let monotonicMs = 0;
  const world = { ...systemWorld(), monotonic: () => monotonicMs };
  const access = new Access({ find, noteUses: async () => {}, world, logger: silentLogger });
  for (const key of keys) access.admitForeign(key);
  const elapse = (ms: number): void => {
    monotonicMs += ms;
  };
  return { access, elapse };
}

test('a look-up that began before a revocation does not restore the key', async () => {
  const asked: ((key: ApiKey | null) => void)[] = [];
  const { access, elapse } = openAccess(() => new Promise((resolve) => asked.push(resolve)), ['gry_own']);
  const before = access.authenticateKey('gry_own');
  access.forget();
  elapse(1);
  asked[0]?.(live);
  // It was let in before the key was revoked.
  await expect(before).resolves.toMatchObject({ role: 'admin' });
  const after = access.authenticateKey('gry_own');
  asked[1]?.(null);
  await expect(after).rejects.toThrow('not valid');
});

test('a request after a revocation does not share the look-up of an earlier request', async () => {
  const asked: ((key: ApiKey | null) => void)[] = [];
  const { access, elapse } = openAccess(() => new Promise((resolve) => asked.push(resolve)), ['gry_own']);
  const before = access.authenticateKey('gry_own');
  access.forget();
  elapse(1);
  const after = access.authenticateKey('gry_own');
  asked[1]?.(null);
  asked[0]?.(live);
  await expect(after).rejects.toThrow('not valid');
  await before;
  expect(() => access.authenticateKey('gry_own')).toThrow('not valid');
});

test('invented keys drive no real one out, and are looked up a few at a time', async () => {
  const real = madeKey(0);
  let lookUps = 0;
  const find = async (hash: string): Promise<ApiKey | null> => {
    lookUps += 1;
    return hash === hashApiKey(real) ? live : null;
  };
  const { access } = openAccess(find);
  await access.authenticateKey(real);
  const invented = Array.from({ length: limits.apiKeysHeld + 100 }, (_, index) => madeKey(index + 1));
  for (const key of invented) await expect(access.authenticateKey(key)).rejects.toThrow('not valid');
  lookUps = 0;
  expect(access.authenticateKey(real)).toMatchObject({ role: 'admin' });
  expect(lookUps).toBe(0);
});

test('keys that were seen before are looked up again however many they are', async () => {
  const keys = Array.from({ length: limits.apiKeyLookUpsAtOnce + 10 }, (_, index) => madeKey(index));
  const { access, elapse } = openAccess(async () => live);
  for (const key of keys) await access.authenticateKey(key);
  access.forget();
  elapse(1);
  const again = await Promise.all(keys.map(async (key) => access.authenticateKey(key)));
  expect(again).toHaveLength(keys.length);
});

test('the number of look-ups of unknown keys at once is limited', async () => {
  const { access } = openAccess(() => new Promise(() => {}));
  const keys = Array.from({ length: limits.apiKeyLookUpsAtOnce + 1 }, (_, index) => madeKey(index));
  for (const key of keys.slice(0, -1)) void access.authenticateKey(key);
  const last = access.authenticateKey(keys.at(-1) ?? '');
  await expect(last).rejects.toThrow('being looked up');
});

function madeKey(index: number): string {
  const random = String(index).padStart(43, 'A');
  return `gry_${random}${crc32(random).toString(16).padStart(8, '0')}`;
}

test('a key that is limited to tenants or providers does not learn of other grants', () => {
  const principal = { id: '', role: 'reader', expiresAtMs: 0, tenants: new Set(['acme']), providers: null } as const;
  expect(maySee(principal, { tenant: 'acme', provider: 'zoho' })).toBe(true);
  expect(maySee(principal, { tenant: 'globex', provider: 'zoho' })).toBe(false);
  expect(maySee({ ...principal, providers: new Set(['xero']) }, { tenant: 'acme', provider: 'zoho' })).toBe(false);
});
