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
])('enforces a minimum validity of %s', (_, minValidityMs, lifetimeMs, enforced) => {
  expect(requiredMs(minValidityMs, lifetimeMs, rules)).toBe(enforced);
});

it.each([
  [hour, 300_000],
  [600_000, 200_000],
  [30_000, 10_000],
])('a token with a lifetime of %d ms is refreshed %d ms early', (lifetimeMs, early) => {
  expect(earlyMs(lifetimeMs, rules)).toBe(early);
});

it('no minimum validity demands more than a fresh token has, or a refresh of a new token', () => {
  fc.assert(
    fc.property(fc.nat(1e9), fc.integer({ min: 1, max: 1e9 }), (minValidityMs, lifetimeMs) => {
      const enforced = requiredMs(minValidityMs, lifetimeMs, rules);
      expect(enforced).toBeLessThanOrEqual(minValidityMs);
      expect(enforced).toBeLessThanOrEqual(Math.max(lifetimeMs / 2, lifetimeMs - rules.justRefreshedMs));
    }),
  );
});

it('the highest minimum validity uses at most half of Zoho’s ten tokens in ten minutes', () => {
  const zoho = builtInProvider('zoho_crm') ?? expect.unreachable();
  const zohoRules = validityRules(zoho, timesOf(systemWorld()));
  // The age at which such a caller's token is refreshed.
  const ageMs = hour - requiredMs(86_400_000, hour, zohoRules);
  expect(600_000 / ageMs).toBeLessThanOrEqual(5);
});
