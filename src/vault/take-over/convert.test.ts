import { expect, test } from 'vitest';
import { objectOf, scopesOf, timeOf } from './convert.ts';

test.each([
  [null, null],
  ['', null],
  ['1700000000', '2023-11-14T22:13:20.000Z'],
  ['1700000000.5', '2023-11-14T22:13:20.500Z'],
  ['1700000000123', '2023-11-14T22:13:20.123Z'],
  ['2024-05-06 07:08:09', '2024-05-06T07:08:09.000Z'],
  ['2024-05-06T07:08:09.123456', '2024-05-06T07:08:09.123Z'],
  ['2024-05-06 07:08:09+00', '2024-05-06T07:08:09.000Z'],
  ['2024-05-06 07:08:09.5+05:30', '2024-05-06T01:38:09.500Z'],
  ['2024-05-06T07:08:09-0700', '2024-05-06T14:08:09.000Z'],
  ['2024-05-06T07:08:09Z', '2024-05-06T07:08:09.000Z'],
  ['2024-05-06', '2024-05-06T00:00:00.000Z'],
  ['Mon, 06 May 2024 07:08:09 GMT', '2024-05-06T07:08:09.000Z'],
  ['Mon May 06 2024 07:08:09 GMT+0200 (CEST)', '2024-05-06T05:08:09.000Z'],
  ['infinity', undefined],
  ['tomorrow', undefined],
  ['06/05/2024 07:08', undefined],
  ['-1', undefined],
  ['1e400', undefined],
  ['999999999999999999', undefined],
  ['2024-13-45', undefined],
])('reads the time %j as %j', (text, expected) => {
  expect(timeOf(text)).toBe(expected);
});

test.each([
  [null, []],
  ['  ', []],
  ['a.READ,b.ALL', ['a.READ', 'b.ALL']],
  ['a.READ b.ALL  a.READ', ['a.READ', 'b.ALL']],
  ['a.READ, b.ALL', ['a.READ', 'b.ALL']],
  ['["a.READ","b.ALL"]', ['a.READ', 'b.ALL']],
  ['"a.READ b.ALL"', ['a.READ', 'b.ALL']],
  ['{a.READ,"b.ALL"}', ['a.READ', 'b.ALL']],
  ['{}', []],
  ['https://www.googleapis.com/auth/calendar openid', ['https://www.googleapis.com/auth/calendar', 'openid']],
])('reads the scopes %j as %j', (text, expected) => {
  expect(scopesOf(text)).toEqual(expected);
});

test.each([
  [null, {}],
  ['null', {}],
  ['{"dc":"eu"}', { dc: 'eu' }],
  ['"{\\"dc\\":\\"eu\\"}"', { dc: 'eu' }],
  ['[1]', 'unreadable'],
  ["{'dc': 'eu'}", 'unreadable'],
])('reads the metadata %j as %j', (text, expected) => {
  expect(objectOf(text)).toEqual(expected);
});
