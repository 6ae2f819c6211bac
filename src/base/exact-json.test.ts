import { expect, it } from 'vitest';
import { parseExactly, parseWithLongNumbers } from './exact-json.ts';

it.each([
  '{"id":170876000005062005,"ids":[170876000005062007],"amount":0.10000000000000000555,"rate":1.0,"n":1e400,"t":"9"}',
  '[1,-0,true,null,"170876000005062005",{"a":{}}]',
  '170876000005062005',
])('writes %s as it was', (text) => expect(JSON.stringify(parseExactly(text))).toBe(text));

it('reads whole numbers beyond 2^53 as the text of their digits, and any other value as it is', () => {
  const text =
    '{"id":170876000005062005,"minus":-170876000005062005,"expires_in":3600,"part":1.5,"huge":1e30,"a":[true]}';
  expect(parseWithLongNumbers(text)).toEqual({
    id: '170876000005062005',
    minus: '-170876000005062005',
    expires_in: 3600,
    part: 1.5,
    huge: 1e30,
    a: [true],
  });
});
