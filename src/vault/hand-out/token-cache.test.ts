import { expect, it } from 'vitest';
import { checkKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { type HeldToken, Memory, memoryKey, tokenOf } from './token-cache.ts';

const key = checkKey({ tenant: 'acme', provider: 'zoho' });

function held(generation: number, accessToken = 'a'): HeldToken {
  return {
    accessToken,
    tokenType: 'Bearer',
    scopes: [],
    apiDomain: undefined,
    dc: undefined,
    generation,
    changedAtMs: 7,
    expiresAtMs: 1,
    freshUntilMs: 1,
    lifetimeMs: 1,
    usedAtMs: 0,
    notedAtMs: 0,
    quietUntilMs: undefined,
  };
}

it('names with the same letters in other places are other keys', () => {
  const one = memoryKey({ tenant: 'a', provider: 'bc' });
  expect(one).not.toBe(memoryKey({ tenant: 'ab', provider: 'c' }));
  expect(one).toBe(memoryKey({ tenant: 'a', provider: 'bc', account: 'default' }));
});

it('forgets older generations alone', () => {
  const memory = new Memory(10);
  memory.hold(key, held(3));
  memory.forgetOlder(key, 3);
  expect(memory.get(memoryKey(key))?.generation).toBe(3);
  memory.forgetOlder(key, 4);
  expect(memory.get(memoryKey(key))).toBeUndefined();
});

it('forgets what was read before the last change', () => {
  const memory = new Memory(10);
  memory.hold(key, held(3));
  memory.forgetOlder(key, 3, 7);
  expect(memory.get(memoryKey(key))).toBeDefined();
  memory.forgetOlder(key, 3, 8);
  expect(memory.get(memoryKey(key))).toBeUndefined();
});

it.each([
  ['forget', (memory: Memory) => memory.forget(key)],
  ['forgetOlder', (memory: Memory) => memory.forgetOlder(key, 1)],
  ['forgetAll', (memory: Memory) => memory.forgetAll()],
])('%s tells whoever is reading a row that it may be stale', (_, forget) => {
  const memory = new Memory(10);
  const before = memory.looks;
  forget(memory);
  expect(memory.looks).toBeGreaterThan(before);
});

it('holds so many and no more', () => {
  const memory = new Memory(2);
  for (const tenant of ['a', 'b', 'c']) memory.hold(checkKey({ tenant, provider: 'zoho' }), held(1));
  expect(memory.get(memoryKey({ tenant: 'a', provider: 'zoho' }))).toBeUndefined();
  expect(memory.get(memoryKey({ tenant: 'c', provider: 'zoho' }))).toBeDefined();
});

it('holds fewer where tokens are long', () => {
  const memory = new Memory();
  const long = 'x'.repeat(limits.cacheBytesMax / 4);
  const tenants = ['a', 'b', 'c', 'd', 'e'];
  for (const tenant of tenants) memory.hold(checkKey({ tenant, provider: 'zoho' }), held(1, long));
  const kept = tenants.filter((tenant) => memory.get(memoryKey({ tenant, provider: 'zoho' })) !== undefined);
  expect(kept).toEqual(['c', 'd', 'e']);
});

it('names what is in use, once', () => {
  const memory = new Memory(10);
  memory.hold(checkKey({ tenant: 'a', provider: 'zoho', account: 'x' }), { ...held(1), usedAtMs: 50 });
  memory.hold(key, { ...held(1), usedAtMs: 5 });
  expect(memory.takeUsed(10, 10)).toEqual([{ tenant: 'a', provider: 'zoho', account: 'x' }]);
  expect(memory.takeUsed(10, 10)).toEqual([]);
});

it('gives each caller a token that is his own', () => {
  const mine = tokenOf(held(1));
  mine.expiresAt.setTime(0);
  expect(tokenOf(held(1))).toEqual({
    accessToken: 'a',
    tokenType: 'Bearer',
    expiresAt: new Date(1),
    scopes: [],
    generation: 1,
  });
});
