import { expect, it } from 'vitest';
import { assertAllowed, callRulesOf, pathsWithin } from './call-rules.ts';

const rules = callRulesOf({ methods: ['GET', 'POST'], paths: ['/crm/**', 'https://desk.zoho.eu/api/**'] });

function verdict(call: { method?: string; path?: string; host?: string; headers?: readonly string[] }): string {
  if (rules === null) throw new Error('no rules');
  try {
    assertAllowed(rules, { method: 'GET', path: '/crm/v8/Leads', host: undefined, headers: [], ...call });
    return 'allowed';
  } catch (error) {
    return error instanceof Error ? error.message : 'thrown';
  }
}

it('allows what is named, on the host that is named', () => {
  expect(verdict({})).toBe('allowed');
  expect(verdict({ method: 'POST', path: '/crm/v8/Leads?page=1&method=x' })).toBe('allowed');
  expect(verdict({ path: '/crm/v8/Leads?filter[method]=x&payment_method=y&url=z&page%5Bverb%5D=v' })).toBe('allowed');
  expect(verdict({ path: '/api/v1/tickets', host: 'DESK.zoho.eu' })).toBe('allowed');
  expect(verdict({ headers: ['Accept', 'a', 'Access-Control-Request-Method', 'GET'] })).toBe('allowed');
});

it.each(['HEAD', 'DELETE', 'get', 'OPTIONS'])('refuses the method %s, which is not named', (method) => {
  expect(verdict({ method })).toBe(`This API key may not use ${method}.`);
});

it.each([
  ['X-HTTP-Method-Override', 'DELETE'],
  ['x_http_method_override', 'DELETE'],
  ['X-HTTP-Method', 'DELETE'],
  ['X-Method-Override', 'DELETE'],
  ['X-Original-URL', '/admin'],
  ['X-Rewrite-URL', '/admin'],
  ['X-Original-Host', 'evil.example'],
  ['X.HTTP.Method', 'DELETE'],
  ['X-HTTP-Verb', 'DELETE'],
  ['X-Path-Info', '/admin'],
  ['X-Request-Uri', '/admin'],
  ['X-Matched-Path', '/admin'],
  ['X-Script-Name', '/admin'],
  ['X-Host', 'evil.example'],
  ['Dropbox-API-Path-Root', '/admin'],
])('refuses the header %s, with which a server takes another call', (name, value) => {
  expect(verdict({ headers: ['Accept', 'a', name, value] })).toMatch(/^This API key may not send the header /);
});

it.each([
  '_method=DELETE',
  'a=1&_METHOD=DELETE',
  '%5Fmethod=DELETE',
  'X-HTTP-Method-Override=DELETE',
  '$httpMethod=PUT',
  'a=1;_method=DELETE',
  '.method=DELETE',
  '[method=DELETE',
  '+_method=DELETE',
  '__method=DELETE',
  '_method[]=DELETE',
  '_method%00=DELETE',
  'a?_method=DELETE',
  'x.http.method=DELETE',
  'X-HTTP-Verb=DELETE',
])('refuses the query %s, with which a server takes another method', (query) => {
  expect(verdict({ path: `/crm/v8/Leads?${query}` })).toMatch(/query parameter for another method/);
});

it('refuses other paths and hosts, and says which it may call', () => {
  expect(verdict({ path: '/books/v3/contacts' })).toBe('This API key may not call that path.');
  expect(verdict({ path: '/crm/v8/Leads', host: 'desk.zoho.eu' })).toBe('This API key may not call that path.');
  expect(verdict({ path: '/crm/%2e%2e/books' })).toBe('This API key may only call plain paths.');
});

it('takes a list of paths for narrower only when each is within one of the other', () => {
  expect(pathsWithin(['/a/b'], null)).toBe(true);
  expect(pathsWithin(null, ['/a/b'])).toBe(false);
  expect(pathsWithin(['/a/b', '/c'], ['/a/*', '/c'])).toBe(true);
  expect(pathsWithin(['/a/b', '/d'], ['/a/*', '/c'])).toBe(false);
});
