import { expect, it } from 'vitest';
import { checkKey } from '../base/ids.ts';
import { type HeldToken, Memory, memoryKey } from './memory.ts';

const key = checkKey({ tenant: 'acme', provider: 'zoho' });

function held(generation: number): HeldToken {
  const token = { accessToken: 'a', tokenType: 'Bearer', expiresAt: new Date(0), scopes: [], generation };
  return {
    token,
    expiresAtMs: 1,
    freshUntilMs: 1,
    lifetimeMs: 1,
    tenant: 'acme',
    grantId: 'g',
    quietUntilMs: 0,
    usedAtMs: 0,
    notedAtMs: 0,
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
  expect(memory.get(memoryKey(key))?.token.generation).toBe(3);
  memory.forgetOlder(key, 4);
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
