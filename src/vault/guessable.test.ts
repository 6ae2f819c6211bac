import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { isGuessable } from './guessable.ts';

test.each([
  'a'.repeat(32),
  'ab'.repeat(20),
  'secret-admin-key'.repeat(2),
  '0123456789abcdefghijklmnopqrstuvwxyz',
  '98765432109876543210987654321098',
  'change-me-'.repeat(4),
])('%s is guessable', (text) => {
  expect(isGuessable(text)).toBe(true);
});

test('random keys are not', () => {
  for (let round = 0; round < 2_000; round += 1) {
    for (const text of [randomBytes(16).toString('hex'), randomBytes(24).toString('base64url')])
      expect(isGuessable(text), text).toBe(false);
  }
});
