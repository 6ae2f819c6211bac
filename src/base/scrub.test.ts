import { expect, test } from 'vitest';
import { invalidRequest } from './errors.ts';
import { scrub } from './scrub.ts';

const hex = '0123456789abcdef'.repeat(2);

test.each([
  ['a header', 'Authorization: Bearer abc.DEF-123', 'Authorization: [scrubbed]'],
  ['a Zoho header', 'Zoho-oauthtoken x1y2', '[scrubbed]'],
  ['a Zoho token', `took 1000.${hex}.${hex} from it`, 'took [scrubbed] from it'],
  ['an API key', `key gry_${'a1'.repeat(12)} was used`, 'key [scrubbed] was used'],
  ['a form', 'grant_type=x&client_secret=s3cr&refresh_token=r3fr', 'grant_type=x&[scrubbed]&[scrubbed]'],
  ['a callback', '/oauth/callback/a?code=abc&state=def', '/oauth/callback/a?[scrubbed]&[scrubbed]'],
  ['an answer', '{"access_token":"abc","expires_in":3600}', '{[scrubbed]","expires_in":3600}'],
  ['an answer inside JSON', '{"m":"{\\"refresh_token\\": \\"abc\\"}"}', '{"m":"{[scrubbed]\\"}"}'],
  ['a JSON Web Token', 'eyJhbGciOiJI.eyJzdWIiOiIx.c2ln', '[scrubbed]'],
  ['a GitHub token', `gho_${'a1'.repeat(12)}`, '[scrubbed]'],
  ['a Google refresh token', `1//0${'a1'.repeat(12)}`, '[scrubbed]'],
  ['a database URL', 'postgres://grantry:pa:ss@db/grantry', 'postgres[scrubbed]db/grantry'],
])('%s does not get through', (_, line, expected) => {
  const scrubbed = scrub(line);
  expect(scrubbed.line).toBe(expected);
  expect(scrubbed.hits).toBeGreaterThan(0);
});

test('ordinary lines are left as they are', () => {
  const lines = [
    '{"time":"1970-01-01T00:00:00.000Z","level":"warn","message":"a refresh failed","code":"storage_unavailable"}',
    '{"message":"answered","method":"GET","route":"/oauth/callback/{context}","status":200,"key":"5f0c"}',
    'grantry: note: listening (url http://127.0.0.1:8484, state active)',
  ];
  for (const line of lines) expect(scrub(line)).toEqual({ line, hits: 0 });
});

test.each(['://a:', 'eyJabcdefgh-', 'Bearer ', '"access_token" ', 'code='])(
  'a line of 100,000 characters made of %j is read in a moment',
  (piece) => {
    const line = piece.repeat(100_000 / piece.length);
    const before = performance.now();
    scrub(line);
    expect(performance.now() - before).toBeLessThan(5_000);
  },
);

/** A part of a token that is long enough, in letters and digits. */
const random = 'a1B2c3D4e5F6g7H8i9J0'.repeat(2);

const tokens = [
  `1000.${hex}.${hex}`,
  `gry_${'a1'.repeat(12)}`,
  'eyJhbGciOiJI.eyJzdWIiOiIx.c2ln',
  // An encrypted one, as QuickBooks issues them, has no key in it.
  `eyJlbmMiOiJB..${random}.${random}.c2ln`,
  'xoxb-1234567890-abcdefghij',
  'xoxp-1234567890-abcdefghij',
  'xapp-1-A0123456789-1234567890-abcdef',
  'xoxe-1-abcdefghij',
  'xoxe.xoxp-1-abcdefghij',
  ...'gho_ ghp_ github_pat_ glpat- ya29. 1//0 GOCSPX- sk_live_ rk_test_ shpat_ npm_ ntn_ lin_api_ dop_v1_ pat-na1- ATATT sk- SG.'
    .split(' ')
    .map((prefix) => `${prefix}${random}`),
  `AIza${random.slice(0, 35)}`,
  'AKIAIOSFODNN7EXAMPLE',
  `00D5g000004Abcd!${random}`,
  `EAA${random}`,
];

test.each(tokens)('an error does not repeat %s, which was sent as a name', (token) => {
  const error = invalidRequest(`There is no app ${token}.`, { action: `Connect it: grantry connect ${token} zoho` });
  expect(error).toMatchObject({
    message: expect.stringMatching(/^There is no app \[not shown\]\.?$/),
    action: 'Connect it: grantry connect [not shown] zoho',
  });
  expect(scrub(`took ${token} from it`).line).toBe('took [scrubbed] from it');
});

test.each([
  'xoxo',
  'task-force-of-the-whole-installation',
  'sk-1',
  'acme.eyJ',
  'npm_client',
  'EAArth',
  'customer-1000.eu',
])('the name %s is repeated', (name) => {
  expect(invalidRequest(`There is no app ${name}.`).message).toBe(`There is no app ${name}.`);
});
