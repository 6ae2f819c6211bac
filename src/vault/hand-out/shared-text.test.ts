import { expect, it } from 'vitest';
import { shared, sharedList } from './shared-text.ts';

it('gives the same list for the same text, and one that nobody can change', () => {
  expect(sharedList('a,b')).toEqual(['a', 'b']);
  expect(sharedList('a,b')).toBe(sharedList('a,b'));
  expect(sharedList('')).toEqual([]);
  expect(Object.isFrozen(sharedList('a,b'))).toBe(true);
});

it('goes on when there is little in common', () => {
  const many = Array.from({ length: 2_500 }, (_, index) => `text-${index}`);
  expect(many.map(shared)).toEqual(many);
  expect(many.map(sharedList)).toEqual(many.map((text) => [text]));
});
