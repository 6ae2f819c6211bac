import { expect, it } from 'vitest';
import { checkKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { accessTokenOf, cacheKey, type HeldToken, TokenCache } from './token-cache.ts';

const key = checkKey({ tenant: 'acme', provider: 'zoho' });

function held(generation: number, accessToken = 'a'): HeldToken {
  return {
    accessToken,
    tokenType: 'Bearer',
    scopes: [],
    apiDomain: undefined,
    dc: undefined,
    app: undefined,
    metadata: '{}',
    rules: undefined,
    generation,
    changedAtMs: 7,
    expiresAtMs: 1,
    freshUntilMs: 1,
    lifetimeMs: 1,
    usedAtMs: 0,
    notedAtMs: 0,
    quietUntilMs: undefined,
    era: undefined,
    counted: undefined,
  };
}

it('gives different grants different keys, even where the joined letters are the same', () => {
  const one = cacheKey({ tenant: 'a', provider: 'bc' });
  expect(one).not.toBe(cacheKey({ tenant: 'ab', provider: 'c' }));
  expect(one).toBe(cacheKey({ tenant: 'a', provider: 'bc', account: 'default' }));
});

it('forgets only older generations', () => {
  const cache = new TokenCache(10);
  cache.hold(key, held(3));
  cache.forgetOlder(key, 3);
  expect(cache.get(cacheKey(key))?.generation).toBe(3);
  cache.forgetOlder(key, 4);
  expect(cache.get(cacheKey(key))).toBeUndefined();
});

it('forgets a token read before the last change of its row', () => {
  const cache = new TokenCache(10);
  cache.hold(key, held(3));
  cache.forgetOlder(key, 3, 7);
  expect(cache.get(cacheKey(key))).toBeDefined();
  cache.forgetOlder(key, 3, 8);
  expect(cache.get(cacheKey(key))).toBeUndefined();
});

it.each([
  ['forget', (cache: TokenCache) => cache.forget(key)],
  ['forgetOlder', (cache: TokenCache) => cache.forgetOlder(key, 1)],
  ['forgetAll', (cache: TokenCache) => cache.forgetAll()],
])('%s advances the epoch, so that rows being read are not cached', (_, forget) => {
  const cache = new TokenCache(10);
  const before = cache.epoch;
  forget(cache);
  expect(cache.epoch).toBeGreaterThan(before);
});

it('holds at most the given number of tokens', () => {
  const cache = new TokenCache(2);
  for (const tenant of ['a', 'b', 'c']) cache.hold(checkKey({ tenant, provider: 'zoho' }), held(1));
  expect(cache.get(cacheKey({ tenant: 'a', provider: 'zoho' }))).toBeUndefined();
  expect(cache.get(cacheKey({ tenant: 'c', provider: 'zoho' }))).toBeDefined();
});

it('holds fewer tokens when they are long', () => {
  const cache = new TokenCache();
  const long = 'x'.repeat(limits.cacheBytesMax / 4);
  const tenants = ['a', 'b', 'c', 'd', 'e'];
  for (const tenant of tenants) cache.hold(checkKey({ tenant, provider: 'zoho' }), held(1, long));
  const kept = tenants.filter((tenant) => cache.get(cacheKey({ tenant, provider: 'zoho' })) !== undefined);
  expect(kept).toEqual(['c', 'd', 'e']);
});

it('lists each grant in use once', () => {
  const cache = new TokenCache(10);
  cache.hold(checkKey({ tenant: 'a', provider: 'zoho', account: 'x' }), { ...held(1), usedAtMs: 50 });
  cache.hold(key, { ...held(1), usedAtMs: 5 });
  expect([...cache.takeUsed(10, 10)]).toEqual([[{ tenant: 'a', provider: 'zoho', account: 'x' }]]);
  expect([...cache.takeUsed(10, 10)]).toEqual([]);
});

it('lists the grants in use whose tokens were removed together', () => {
  const cache = new TokenCache(10);
  cache.hold(key, { ...held(1), usedAtMs: 50 });
  cache.forgetAll();
  cache.hold(key, { ...held(1), usedAtMs: 5 });
  expect([...cache.takeUsed(10, 10)]).toEqual([[key]]);
  expect([...cache.takeUsed(10, 10)]).toEqual([]);
});

it('yields often, so that others can run, and lists each of many grants once', () => {
  const cache = new TokenCache(10_000);
  const used = (index: number) => (index % 2 === 0 ? 50 : 0);
  for (let index = 0; index < 9_000; index += 1) {
    cache.hold(checkKey({ tenant: `t${index}`, provider: 'zoho' }), { ...held(1), usedAtMs: used(index) });
  }
  const lists = [...cache.takeUsed(10, 200)];
  expect(lists.flat()).toHaveLength(4_500);
  expect(new Set(lists.flat().map(({ tenant }) => tenant)).size).toBe(4_500);
  expect(Math.max(...lists.map((list) => list.length))).toBe(200);
});

it('gives each caller its own copy of the token', () => {
  const mine = accessTokenOf(held(1));
  mine.expiresAt.setTime(0);
  expect(accessTokenOf(held(1))).toEqual({
    accessToken: 'a',
    tokenType: 'Bearer',
    expiresAt: new Date(1),
    scopes: [],
    generation: 1,
  });
});
