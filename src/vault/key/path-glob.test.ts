import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allowsPath, covers, parsePathGlob, readCallPath } from './path-glob.ts';

function allows(glob: string, path: string, host: string | null = null): boolean {
  const segments = readCallPath(path);
  return segments !== null && allowsPath(parsePathGlob(glob), host, segments);
}

describe('a path pattern', () => {
  it.each([
    ['/crm/v8/Leads', ['/crm/v8/Leads', '/crm/v8/Leads?page=2'], ['/crm/v8/leads', '/crm/v8/Leads/']],
    ['/crm/v8/*', ['/crm/v8/Leads', '/crm/v8/a%20b'], ['/crm/v8', '/crm/v8/', '/crm/v8/Leads/1', '/crm/v8/a%2Fb']],
    ['/crm/v8/Lead*', ['/crm/v8/Lead', '/crm/v8/Leads'], ['/crm/v8/Contacts', '/crm/v8/Leads/1']],
    ['/crm/**', ['/crm/v8', '/crm/', '/crm/v8/Leads/1', '/crm/v8/'], ['/crm', '/crmx', '/CRM/v8', '/books/crm/x']],
    ['/**/export', ['/export', '/a/export', '/a/b/export'], ['/a/export/', '/a/exports']],
    ['/a/**/b/*', ['/a/b/c', '/a/x/b/c', '/a/b/b/c', '/a/b/b/b'], ['/a/b', '/a/c/b', '/a/b/c/d']],
    ['/**', ['/', '/a', '/a/b/'], []],
    ['/', ['/', '/?x=1'], ['/a', '//']],
    ['/a/', ['/a/'], ['/a', '/a/b']],
    ['/v4/*:batchUpdate', ['/v4/1x:batchUpdate', '/v4/1x%3AbatchUpdate'], ['/v4/1x:clear', '/v4/a/b:batchUpdate']],
  ] as const)('%s', (glob, good, bad) => {
    expect(good.filter((path) => !allows(glob, path))).toEqual([]);
    expect(bad.filter((path) => allows(glob, path))).toEqual([]);
  });

  it('holds for the host that it names alone, and for the usual one when it names none', () => {
    const named = 'https://desk.zoho.eu/api/**';
    expect(allows(named, '/api/v1/tickets', 'desk.zoho.eu')).toBe(true);
    expect(allows(named, '/api/v1/tickets', null)).toBe(false);
    expect(allows(named, '/api/v1/tickets', 'mail.zoho.eu')).toBe(false);
    expect(allows('/api/**', '/api/v1/tickets', 'desk.zoho.eu')).toBe(false);
  });

  it.each([
    'crm/v8',
    '',
    '*',
    '/a//b',
    '/a/../b',
    '/a/./b',
    '/a/**b',
    '/a/b**',
    '/a/***',
    '/a?b=1',
    '/a#b',
    '/a%2Fb',
    '/a;b',
    '/a\\b',
    '/a\nb',
    '//evil.example/x',
    'http://desk.zoho.eu/x',
    'https://*/x',
    'https://desk.zoho.eu',
    'https://user@desk.zoho.eu/x',
    `/${'a'.repeat(600)}`,
    7,
    null,
  ])('cannot be %j', (text) => {
    expect(() => parsePathGlob(text)).toThrow();
  });
});

/** Ways out of an allowed path that servers are known to walk. */
const escapes = [
  '/crm/../admin',
  '/crm/..',
  '/crm/%2e%2e/admin',
  '/crm/%2E./admin',
  '/crm/.%2e/admin',
  '/crm/./admin',
  '/crm/%2e/admin',
  '/crm/%252e%252e/admin',
  '/crm/..;/admin',
  '/crm/..;x=1/admin',
  '/crm/%2e%2e%3b/admin',
  '/crm/x;/../admin',
  '/crm/;/admin',
  '/crm//admin',
  '//admin',
  '/crm/..%2fadmin',
  '/crm/..%5cadmin',
  '/crm/%5c..%5cadmin',
  '/crm/..\\admin',
  '/crm/..%c0%afadmin',
  '/crm/%c0%ae%c0%ae/admin',
  '/crm/%u002e%u002e/admin',
  '/crm/.%00./admin',
  '/crm/x%00/admin',
  '/crm/x%0a/admin',
  '/crm/x%3f/../admin',
  '/crm/x%23/admin',
  '/crm/%EF%BC%8E%EF%BC%8E/admin',
  '/crm/..%EF%BC%8Fadmin',
  '/crm/%E2%80%A5/admin',
  '/%63rm/admin',
  '/crm/%41dmin',
  '/crm/.../admin',
  '/crm/..%20/admin',
  '/crm/%20../admin',
  '/crm/\u00e4',
  '/crm/ x',
  '/crm/%',
  '/crm/%zz',
  '/https://evil.example/x',
  'https://evil.example/crm/x',
  'crm/x',
  '/crm/x#/admin',
];

it.each(escapes)('%j is called by no key that is held to paths', (path) => {
  expect(readCallPath(path)).toBeNull();
});

const segment = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'ab', 'A', '') },
  {
    weight: 3,
    arbitrary: fc.constantFrom('..', '.', '%2e%2e', '%2f', '%5c', ';', '%00', '%25', '..;', '%61', 'a%2fb'),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
);
const anyPath = fc.array(segment, { minLength: 1, maxLength: 6 }).map((parts) => `/${parts.join('/')}`);
const anyGlob = fc
  .array(fc.constantFrom('a', 'b', 'ab', '*', '**', 'a*', '*b', 'a*b'), { minLength: 1, maxLength: 5 })
  .map((parts) => `/${parts.join('/')}`);
const plainPath = fc
  .array(fc.constantFrom('a', 'b', 'ab', 'aab', 'abb', 'c'), { minLength: 1, maxLength: 6 })
  .chain((parts) => fc.constantFrom(`/${parts.join('/')}`, `/${parts.join('/')}/`));

/** The pattern as a regular expression, for comparison; the product has none, since these can take very long. */
function asRegExp(glob: string): RegExp {
  const parts = glob.slice(1).split('/');
  const written = parts.map((part, index) => {
    if (part === '**') return index === parts.length - 1 ? '(?:/[^/]+)*/[^/]*' : '(?:/[^/]+)*';
    return part === '*' ? '/[^/]+' : `/${part.replaceAll('*', '[^/]*')}`;
  });
  return new RegExp(`^${written.join('')}$`);
}

it('matches as a plain reading of the pattern does', () => {
  fc.assert(
    fc.property(anyGlob, plainPath, (glob, path) => {
      expect(allows(glob, path)).toBe(asRegExp(glob).test(path));
    }),
    { numRuns: 3_000 },
  );
});

it('never allows a path that a URL parser, decoded once or twice, reads as lying outside', () => {
  fc.assert(
    fc.property(anyPath, (path) => {
      fc.pre(allows('/a/**', path));
      const decoded = decodeURIComponent(path);
      for (const text of [path, decoded, decoded.normalize('NFKC'), decoded.replaceAll(/;[^/]*/g, '')]) {
        const read = new URL(`https://api.example${text}`);
        expect([read.host, read.pathname.startsWith('/a/'), read.search, read.hash]).toEqual([
          'api.example',
          true,
          '',
          '',
        ]);
        expect(read.pathname.split('/').length).toBe(path.split('/').length);
      }
    }),
    { numRuns: 3_000 },
  );
});

it('covers another pattern only when it allows all that the other allows', () => {
  fc.assert(
    fc.property(anyGlob, anyGlob, plainPath, (wide, narrow, path) => {
      fc.pre(covers(parsePathGlob(wide), parsePathGlob(narrow)));
      if (allows(narrow, path)) expect(allows(wide, path)).toBe(true);
    }),
    { numRuns: 3_000 },
  );
  for (const glob of ['/a', '/a/*', '/a/**', '/**/a', '/a*b/**/c']) {
    expect([glob, covers(parsePathGlob(glob), parsePathGlob(glob))]).toEqual([glob, true]);
    expect([glob, covers(parsePathGlob('/**'), parsePathGlob(glob))]).toEqual([glob, true]);
  }
  expect(covers(parsePathGlob('/a/**'), parsePathGlob('/a/b/*'))).toBe(true);
  expect(covers(parsePathGlob('/a/*'), parsePathGlob('/a/**'))).toBe(false);
  expect(covers(parsePathGlob('/a/**'), parsePathGlob('https://desk.zoho.eu/a/b'))).toBe(false);
});

it('takes no long time for a hostile pattern and path', () => {
  const glob = `/${'**/a/'.repeat(99)}b`;
  const stars = `/${'a*'.repeat(250)}b`;
  const started = performance.now();
  expect(allows(glob, `/${'a/'.repeat(2_000)}c`)).toBe(false);
  expect(allows(stars, `/${'a'.repeat(8_000)}c`)).toBe(false);
  expect(covers(parsePathGlob(glob), parsePathGlob(`/${'**/b/'.repeat(99)}c`))).toBe(false);
  expect(performance.now() - started).toBeLessThan(2_000);
});
