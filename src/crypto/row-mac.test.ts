import { generateKeySync } from 'node:crypto';
import { expect, test } from 'vitest';
import { createRowMac } from './row-mac.ts';

const key = generateKeySync('aes', { length: 256 });
const other = generateKeySync('aes', { length: 256 });
const vault = createRowMac(new Map([[1, key]]), 1, 'vault');

test('a MAC is of its texts, its vault and its key only', () => {
  const mac = vault.mac(['a', 'bc']);
  expect(mac).toMatch(/^grm1\.1\.[\w-]{43}$/);
  expect(vault.verify(['a', 'bc'], mac)).toBe(true);
  for (const parts of [['ab', 'c'], ['a', 'bc', ''], ['abc'], [], ['a', 'bd']]) {
    expect(vault.verify(parts, mac), String(parts)).toBe(false);
  }
  expect(createRowMac(new Map([[1, key]]), 1, 'vault2').verify(['a', 'bc'], mac)).toBe(false);
  expect(createRowMac(new Map([[1, other]]), 1, 'vault').verify(['a', 'bc'], mac)).toBe(false);
});

test('after a rotation of the key, old MACs hold and new ones name the new key', () => {
  const rotated = createRowMac(
    new Map([
      [1, key],
      [2, other],
    ]),
    2,
    'vault',
  );
  expect(rotated.verify(['a'], vault.mac(['a']))).toBe(true);
  expect(rotated.mac(['a'])).toMatch(/^grm1\.2\./);
  expect(vault.verify(['a'], rotated.mac(['a']))).toBe(false);
  expect(rotated.verify(['a'], vault.mac(['a']).replace('grm1.1', 'grm1.2'))).toBe(false);
});

test('no other spelling of a MAC is accepted', () => {
  const mac = vault.mac(['a']);
  const last = mac.at(-1) ?? '';
  // Two bits of the last character encode nothing.
  const spellings = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
    .filter((letter) => letter !== last)
    .map((letter) => mac.slice(0, -1) + letter);
  for (const text of [
    ...spellings,
    '',
    `${mac}=`,
    ` ${mac}`,
    mac.replace('.1.', '.01.'),
    mac.replace('.1.', '.9.'),
    'grm1.1.',
  ]) {
    expect(vault.verify(['a'], text), text).toBe(false);
  }
});
