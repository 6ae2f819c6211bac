import { expect, it } from 'vitest';
import { fuzzAnswers } from './answers.ts';

const seed = (Math.random() * 2 ** 31) | 0;

it(`300 broken answers, seed ${seed}: no whole token is lost, and no foreign one taken`, () => {
  const { whole, fates, findings } = fuzzAnswers({ count: 300, seed });
  expect(findings).toEqual([]);
  // The breakages leave tokens to find, and break enough of the answers.
  expect(whole).toBeGreaterThan(100);
  for (const fate of ['saved', 'candidates', 'nothing']) expect(fates.get(fate) ?? 0).toBeGreaterThan(0);
});
