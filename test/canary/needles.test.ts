import { expect, test } from 'vitest';
import { Needles } from './needles.ts';

const secret = 'rt-0123456789/abcdefgh+ij';

test.each([
  ['raw', secret],
  ['hex', Buffer.from(secret).toString('hex')],
  ['base64', Buffer.from(secret).toString('base64')],
  ['base64 inside something', Buffer.from(`x${secret}y`).toString('base64')],
  ['base64 further inside', Buffer.from(`xx${secret}yy`).toString('base64')],
  ['base64url', Buffer.from(`id:${secret}`).toString('base64url')],
  ['a URL', encodeURIComponent(secret)],
  ['JSON', JSON.stringify({ token: secret })],
])('a secret is found as %s', (_, content) => {
  const needles = new Needles();
  needles.add('refresh token', secret);
  needles.search('here', `before ${content} after`);
  expect(needles.hits).toEqual(['refresh token in here']);
});

test('nothing is found where there is nothing', () => {
  const needles = new Needles();
  needles.add('refresh token', secret);
  needles.search('here', 'rt-0123456789, and more');
  expect(needles.hits).toEqual([]);
});
