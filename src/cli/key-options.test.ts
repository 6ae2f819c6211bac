import { expect, test } from 'vitest';
import { expiryOf } from './key-options.ts';

const now = Date.UTC(2026, 0, 1);

test.each([
  ['10m', '2026-01-01T00:10:00.000Z'],
  ['12h', '2026-01-01T12:00:00.000Z'],
  ['90d', '2026-04-01T00:00:00.000Z'],
  ['2w', '2026-01-15T00:00:00.000Z'],
  ['1y', '2027-01-01T00:00:00.000Z'],
  ['2027-01-31', '2027-01-31T00:00:00.000Z'],
])('the end of a key may be %s', (text, end) => {
  expect(expiryOf(text, now)?.toISOString()).toBe(end);
});

test.each(['', '1', 'y', '1 y', '1Y', '999999d', '2027-13-01', 'tomorrow'])('but not %j', (text) => {
  expect(() => expiryOf(text, now)).toThrow('--expires must be a time');
});
