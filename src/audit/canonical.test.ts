import { expect, test } from 'vitest';
import { canonicalJson, type Plain } from './canonical.ts';

test('writes the example of RFC 8785 §3.2.3 in the order of UTF-16 code units', () => {
  const value = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew Letter Dalet With Dagesh',
    1: 'One',
    '\ud83d\ude00': 'Emoji: Grinning Face',
    '\u0080': 'Control',
    '\u00f6': 'Latin Small Letter O With Diaeresis',
  };
  expect(canonicalJson(value)).toBe(
    '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis","\u20ac":"Euro Sign","\ud83d\ude00":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
  );
});

test('writes texts and literals as RFC 8785 §3.2.2 does', () => {
  const value = {
    string: '\u20ac$\u000f\nA\'B"\\\\"/\u2028',
    literals: [null, true, false],
    numbers: [0, -0, -7, 2 ** 53 - 1],
  };
  expect(canonicalJson(value)).toBe(
    '{"literals":[null,true,false],"numbers":[0,0,-7,9007199254740991],"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\u2028"}',
  );
  expect(canonicalJson({})).toBe('{}');
  expect(canonicalJson([[], {}, ''])).toBe('[[],{},""]');
});

test('sorts names of digits as texts, and names of the prototype as members', () => {
  expect(canonicalJson({ 9: 1, 10: 2, a: 3 })).toBe('{"10":2,"9":1,"a":3}');
  expect(canonicalJson(JSON.parse('{"constructor":1,"__proto__":2}'))).toBe('{"__proto__":2,"constructor":1}');
  expect(canonicalJson(Object.assign(Object.create(null), { b: 1, a: 2 }))).toBe('{"a":2,"b":1}');
});

test('gives one text to equal data of any order, and reads back as the same data', () => {
  const one = { b: [1, { y: 'ü', x: null }], a: { d: true, c: 'x' } };
  const other = { a: { c: 'x', d: true }, b: [1, { x: null, y: 'ü' }] };
  for (let turn = 0; turn < 3; turn += 1) expect(canonicalJson(one)).toBe(canonicalJson(other));
  expect(JSON.parse(canonicalJson(one))).toEqual(one);
  const pairs = Array.from({ length: 40 }, (_, index) => [`m${99 - index}`, index] as const);
  const sorted = JSON.stringify(Object.fromEntries(pairs.toReversed()));
  expect(canonicalJson(Object.fromEntries(pairs))).toBe(sorted);
});

const cycle: unknown[] = [];
cycle.push(cycle);

test.each<[string, unknown]>([
  ['a high surrogate', 'a\ud800'],
  ['a low surrogate', ['\udc00b']],
  ['a surrogate in a name', { '\ud800': 1 }],
  ['NaN', Number.NaN],
  ['infinity', { a: Number.POSITIVE_INFINITY }],
  ['a fraction', 1.5],
  ['a number beyond 2^53', 2 ** 53],
  ['undefined', { a: undefined }],
  ['a hole', Array.from({ length: 2 })],
  ['a bigint', 1n],
  ['a symbol', Symbol('a')],
  ['a function', { toJSON: () => 1 }],
  ['a date', new Date(0)],
  ['a map', new Map()],
  ['bytes', new Uint8Array(2)],
  ['a cycle', cycle],
])('refuses %s', (_, value) => {
  // The cast hands in data that the type forbids.
  expect(() => canonicalJson(value as Plain)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});
