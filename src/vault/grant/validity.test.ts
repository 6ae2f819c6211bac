import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { timesOf } from '../../base/limits.ts';
import { systemWorld } from '../../base/system-world.ts';
import { builtInProvider } from '../../providers/catalogue.ts';
import { earlyMs, requiredMs, validityRules } from './validity.ts';

const hour = 3_600_000;
const rules = { earlyRefreshMs: 300_000, justRefreshedMs: 60_000 };

it.each([
  ['the default', 60_000, hour, 60_000],
  ['none', 0, hour, 0],
  ['almost the whole life', hour - 30_000, hour, hour - 60_000],
  ['a day', 86_400_000, hour, hour - 60_000],
  ['a minute of a token that lives for one', 60_000, 60_000, 30_000],
])('a wish for %s', (_, wishMs, lifetimeMs, asked) => {
  expect(requiredMs(wishMs, lifetimeMs, rules)).toBe(asked);
});

it.each([
  [hour, 300_000],
  [600_000, 200_000],
  [30_000, 10_000],
])('a token that lives for %d ms is replaced %d ms early', (lifetimeMs, early) => {
  expect(earlyMs(lifetimeMs, rules)).toBe(early);
});

it('no wish asks for more than a fresh token has, nor for a refresh of one that was just made', () => {
  fc.assert(
    fc.property(fc.nat(1e9), fc.integer({ min: 1, max: 1e9 }), (wishMs, lifetimeMs) => {
      const asked = requiredMs(wishMs, lifetimeMs, rules);
      expect(asked).toBeLessThanOrEqual(wishMs);
      expect(asked).toBeLessThanOrEqual(Math.max(lifetimeMs / 2, lifetimeMs - rules.justRefreshedMs));
    }),
  );
});

it('the highest wish uses up half of Zoho’s ten tokens in ten minutes', () => {
  const zoho = builtInProvider('zoho_crm') ?? expect.unreachable();
  const zohoRules = validityRules(zoho, timesOf(systemWorld()));
  // A token is refreshed for such a caller when it is this old.
  const ageMs = hour - requiredMs(86_400_000, hour, zohoRules);
  expect(600_000 / ageMs).toBeLessThanOrEqual(5);
});
