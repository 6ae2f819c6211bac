import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { describeRootKeySource, parseRootKeySource } from './root-key-source.ts';

test.each([
  ['file:/etc/grantry/root.key', { kind: 'file', path: '/etc/grantry/root.key' }],
  ['file:C:\\keys\\root.key', { kind: 'file', path: 'C:\\keys\\root.key' }],
  ['env:GRANTRY_KEY', { kind: 'env', name: 'GRANTRY_KEY' }],
  ['fd:0', { kind: 'fd', fd: 0 }],
  ['fd:13', { kind: 'fd', fd: 13 }],
  ['command:age', { kind: 'command', program: 'age', args: [] }],
  ['command:age  -d   k.age ', { kind: 'command', program: 'age', args: ['-d', 'k.age'] }],
  [`command:"my tool" -x='a "b" $c' ''`, { kind: 'command', program: 'my tool', args: ['-x=a "b" $c', ''] }],
])('%s is a source', (text, source) => {
  expect(parseRootKeySource(text)).toEqual(source);
});

const key = randomBytes(32);
const refused = [
  '',
  ':',
  'root.key',
  'file:',
  'FILE:/x',
  'https://example.test/key',
  'env:',
  'env:A B',
  'env:1A',
  'fd:1',
  'fd:2',
  'fd:-1',
  'fd:3x',
  'fd:03',
  'fd:1e2',
  'command:',
  'command:  ',
  "command:'' x",
  'command:age "x',
  'file:/x\0y',
];

test.each(refused.map((text) => [JSON.stringify(text), text]))('%s is none', (_, text) => {
  expect(() => parseRootKeySource(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});

test('a key given in place of its source is refused and not repeated', () => {
  const alphanumeric = 'A'.repeat(42) + 'E';
  for (const text of [key.toString('base64'), key.toString('base64url'), alphanumeric]) {
    for (const prefix of ['', 'env:', 'file:', 'command:', 'base64:']) {
      expect(() => parseRootKeySource(prefix + text)).toThrow(
        expect.objectContaining({ code: 'invalid_request', message: expect.not.stringContaining(text) }),
      );
    }
  }
});

test('a command is named without its arguments', () => {
  expect(describeRootKeySource(parseRootKeySource('command:age --pass FAKE'))).toBe('the command age');
});
