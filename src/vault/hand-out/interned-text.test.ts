import { expect, it } from 'vitest';
import { interned, internedList } from './interned-text.ts';

it('returns the same frozen list for the same text', () => {
  expect(internedList('a,b')).toEqual(['a', 'b']);
  expect(internedList('a,b')).toBe(internedList('a,b'));
  expect(internedList('')).toEqual([]);
  expect(Object.isFrozen(internedList('a,b'))).toBe(true);
});

it('returns correct texts and lists beyond the size of a pool', () => {
  const many = Array.from({ length: 2_500 }, (_, index) => `text-${index}`);
  expect(many.map(interned)).toEqual(many);
  expect(many.map(internedList)).toEqual(many.map((text) => [text]));
});
