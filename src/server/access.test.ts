import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { limits } from '../base/limits.ts';
import { silentLogger } from '../base/log.ts';
import { systemWorld } from '../base/system-world.ts';
import { type FoundApiKey, hashApiKey } from '../vault/api-keys.ts';
import type { ApiKey } from '../vault/types.ts';
import { Access } from './access.ts';
import { maySee } from './principal.ts';

const live: ApiKey = {
  id: '0190a000-0000-7000-8000-000000000001',
  name: 'backend',
  role: 'admin',
  tenants: [],
  providers: null,
  methods: null,
  paths: null,
  origins: null,
  parent: null,
  createdAt: new Date(0),
  expiresAt: null,
  lastUsedAt: null,
};

function found(apiKey: ApiKey = live, stamp = 0): FoundApiKey {
  return { apiKey, root: apiKey.parent ?? apiKey.id, stamp };
}

/** Keys from outside need no checksum, so each test may name its own. */
function openAccess(find: (hash: string) => Promise<FoundApiKey | null>, keys: readonly string[] = []) {
  let monotonicMs = 0;
  const world = { ...systemWorld(), monotonic: () => monotonicMs };
  const access = new Access({
    find,
    findChanged: async () => null,
    offlineMs: () => 300_000,
    noteUses: async () => {},
    world,
    logger: silentLogger,
  });
  for (const key of keys) access.admitForeign(key);
  const elapse = (ms: number): void => {
    monotonicMs += ms;
  };
  return { access, elapse };
}

test('a look-up that began before a revocation does not restore the key', async () => {
  const asked: ((key: FoundApiKey | null) => void)[] = [];
  const { access, elapse } = openAccess(() => new Promise((resolve) => asked.push(resolve)), ['gry_own']);
  const before = access.authenticateKey('gry_own');
  access.forget();
  elapse(1);
  asked[0]?.(found());
  // It was let in before the key was revoked.
  await expect(before).resolves.toMatchObject({ role: 'admin' });
  const after = access.authenticateKey('gry_own');
  asked[1]?.(null);
  await expect(after).rejects.toThrow('not valid');
});

test('a request after a revocation does not share the look-up of an earlier request', async () => {
  const asked: ((key: FoundApiKey | null) => void)[] = [];
  const { access, elapse } = openAccess(() => new Promise((resolve) => asked.push(resolve)), ['gry_own']);
  const before = access.authenticateKey('gry_own');
  access.forget();
  elapse(1);
  const after = access.authenticateKey('gry_own');
  asked[1]?.(null);
  asked[0]?.(found());
  await expect(after).rejects.toThrow('not valid');
  await before;
  expect(() => access.authenticateKey('gry_own')).toThrow('not valid');
});

test('invented keys drive no real one out, and are looked up a few at a time', async () => {
  const real = madeKey(0);
  let lookUps = 0;
  const find = async (hash: string): Promise<FoundApiKey | null> => {
    lookUps += 1;
    return hash === hashApiKey(real) ? found() : null;
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
  const { access, elapse } = openAccess(async () => found());
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

/** Access whose database can be taken away, and which has looked for changed keys once. Each key's id is its hash. */
async function watchedAccess(find?: () => Promise<FoundApiKey | null>) {
  const state: { revoked: string[]; changed: string[]; hangs: boolean; lookUps: number; listed: number } = {
    revoked: [],
    changed: [],
    hangs: false,
    lookUps: 0,
    listed: 0,
  };
  const answer = async <T>(value: T): Promise<T> => (state.hangs ? new Promise<T>(() => {}) : value);
  const stampOf = (id: string): number => 2 * state.changed.filter((each) => each === id).length;
  let monotonicMs = 0;
  const stop = new AbortController();
  const world = { ...systemWorld(), monotonic: () => monotonicMs };
  const paused: (() => void)[] = [];
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    ms === limits.apiKeyWatchMs ? new Promise((resolve) => paused.push(resolve)) : world.sleep(ms, signal);
  const access = new Access({
    find: async (hash) => {
      state.lookUps += 1;
      if (find !== undefined) return find();
      return answer(state.revoked.includes(hash) ? null : found({ ...live, id: hash }, stampOf(hash)));
    },
    findChanged: async (known) => {
      const count = String(state.revoked.length + state.changed.length);
      if (known === count) return answer(null);
      state.listed += 1;
      const keys = [...new Set([...state.revoked, ...state.changed])].map((id) => {
        const isRevoked = state.revoked.includes(id);
        return { id, stamp: stampOf(id) + (isRevoked ? 1 : 0), isRevoked };
      });
      return answer({ count, keys });
    },
    offlineMs: () => 300_000,
    noteUses: async () => {},
    world: { ...world, sleep },
    logger: silentLogger,
  });
  void access.watch(stop.signal);
  const elapse = async (ms: number): Promise<void> => {
    monotonicMs += ms;
    paused.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  await elapse(1);
  return { access, state, elapse };
}

test('a live key is not looked up again while the server hears of revoked ones', async () => {
  const { access, state, elapse } = await watchedAccess();
  await access.authenticateKey(madeKey(1));
  for (let passed = 0; passed < 60; passed += 1) {
    await elapse(2_000);
    expect(access.authenticateKey(madeKey(1))).toMatchObject({ role: 'admin' });
  }
  expect(state.lookUps).toBe(1);
});

test('a key that was revoked elsewhere is refused within five seconds, also in an outage that begins then', async () => {
  const { access, state, elapse } = await watchedAccess();
  await access.authenticateKey(madeKey(1));
  await access.authenticateKey(madeKey(2));
  await elapse(60_000);
  state.revoked = [hashApiKey(madeKey(2))];
  await elapse(4_000);
  state.hangs = true;
  await elapse(10_000);
  await expect(access.authenticateKey(madeKey(1))).resolves.toMatchObject({ role: 'admin' });
  await expect(access.authenticateKey(madeKey(2))).rejects.toThrow('not valid');
});

test('live keys are trusted for as long as memory hands out tokens, and no caller waits', async () => {
  const { access, state, elapse } = await watchedAccess();
  await access.authenticateKey(madeKey(1));
  state.hangs = true;
  await elapse(5_000);
  for (let passed = 5; passed < 290; passed += 10) {
    const startedAt = performance.now();
    expect(await access.authenticateKey(madeKey(1))).toMatchObject({ role: 'admin' });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    await elapse(10_000);
  }
  await elapse(20_000);
  const late = access.authenticateKey(madeKey(1));
  expect(await Promise.race([late, new Promise((resolve) => setTimeout(resolve, 200, 'waits'))])).toBe('waits');
});

test('a key that is limited to tenants or providers does not learn of other grants', () => {
  const rights = { id: '', name: '', role: 'reader', expiresAtMs: 0, calls: null, origins: null } as const;
  const principal = { ...rights, tenants: new Set(['acme']), providers: null };
  expect(maySee(principal, { tenant: 'acme', provider: 'zoho' })).toBe(true);
  expect(maySee(principal, { tenant: 'globex', provider: 'zoho' })).toBe(false);
  expect(maySee({ ...principal, providers: new Set(['xero']) }, { tenant: 'acme', provider: 'zoho' })).toBe(false);
});

test('a key whose revocation is seen late is refused, also when a look-up that began before ends after that', async () => {
  const asked: ((key: FoundApiKey | null) => void)[] = [];
  const { access, state, elapse } = await watchedAccess(() => new Promise((resolve) => asked.push(resolve)));
  const late = access.authenticateKey(madeKey(1));
  state.revoked = [live.id];
  await elapse(2_000);
  asked[0]?.(found());
  await new Promise((resolve) => setImmediate(resolve));
  asked[1]?.(null);
  await expect(late).rejects.toThrow('not valid');
  expect(() => access.authenticateKey(madeKey(1))).toThrow('not valid');
});

test('a key that a look-up still finds in its former state after its change was seen is refused', async () => {
  const { access, state, elapse } = await watchedAccess(async () => found());
  state.changed = [live.id];
  await elapse(2_000);
  await expect(access.authenticateKey(madeKey(1))).rejects.toThrow('not valid');
});

test('a changed key is looked up again, and all others are not', async () => {
  const { access, state, elapse } = await watchedAccess();
  await access.authenticateKey(madeKey(1));
  await access.authenticateKey(madeKey(2));
  state.changed = [hashApiKey(madeKey(1))];
  await elapse(2_000);
  state.lookUps = 0;
  await access.authenticateKey(madeKey(1));
  await access.authenticateKey(madeKey(2));
  expect(state.lookUps).toBe(1);
  state.changed = [...state.changed, hashApiKey(madeKey(1))];
  await elapse(2_000);
  await access.authenticateKey(madeKey(1));
  expect(state.lookUps).toBe(2);
});

test('a child is looked up again when its parent changes, and refused when its parent is revoked, also in an outage', async () => {
  const child = { ...live, id: 'child', parent: live.id };
  const answers = [found(child), found(child, 2)];
  const { access, state, elapse } = await watchedAccess(async () => answers.shift() ?? null);
  await access.authenticateKey(madeKey(1));
  state.changed = [live.id];
  await elapse(2_000);
  await access.authenticateKey(madeKey(1));
  expect(state.lookUps).toBe(2);
  state.revoked = [live.id];
  await elapse(2_000);
  expect(() => access.authenticateKey(madeKey(1))).toThrow('not valid');
  expect(state.lookUps).toBe(2);
});

test('changed keys are listed again only when their number changes', async () => {
  const { access, state, elapse } = await watchedAccess();
  await access.authenticateKey(madeKey(1));
  state.revoked = [hashApiKey(madeKey(2))];
  await elapse(2_000);
  state.listed = 0;
  await elapse(2_000);
  expect(state.listed).toBe(0);
  state.revoked = [...state.revoked, hashApiKey(madeKey(1))];
  await elapse(2_000);
  expect(state.listed).toBe(1);
  expect(() => access.authenticateKey(madeKey(1))).toThrow('not valid');
});
