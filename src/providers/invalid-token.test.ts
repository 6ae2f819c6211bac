import { describe, expect, test } from 'vitest';
import { builtInProvider } from './catalogue.ts';
import type { ProviderDefinition } from './definition.ts';
import { atPointer, bodyMatters, isInvalidToken, isScopeMissing } from './invalid-token.ts';

function known(id: string): ProviderDefinition {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
}

describe('an API answer', () => {
  test.each([
    // provider, status, body, isInvalidToken, isScopeMissing
    ['zoho_crm', 401, { code: 'INVALID_TOKEN' }, true, false],
    ['zoho_crm', 401, { code: 'AUTHENTICATION_FAILURE' }, true, false],
    ['zoho_crm', 401, { code: 'OAUTH_SCOPE_MISMATCH' }, false, true],
    ['zoho_crm', 401, { code: 'INVALID_OAUTHTOKEN' }, true, false],
    ['zoho_crm', 401, { code: 'INVALID_OAUTH_TOKEN' }, true, false],
    ['zoho_bigin', 401, { code: 'INVALID_OAUTHTOKEN' }, true, false],
    ['zoho_recruit', 401, { code: 'INVALID_OAUTHTOKEN' }, true, false],
    ['zoho_recruit', 401, { code: 'OAUTH_SCOPE_MISMATCH' }, false, true],
    ['zoho_crm', 401, undefined, true, false],
    ['zoho_crm', 401, '<html>', true, false],
    ['zoho_crm', 400, { code: 'INVALID_TOKEN' }, true, false],
    ['zoho_crm', 400, { code: 'INVALID_DATA' }, false, false],
    ['zoho_crm', 403, { code: 'NO_PERMISSION' }, false, false],
    ['zoho_crm', 200, { data: [] }, false, false],
    ['zoho_books', 401, { code: 57 }, true, true],
    ['zoho_books', 200, { code: 57 }, true, true],
    ['zoho_books', 200, { code: 0 }, false, false],
    ['zoho_books', 200, { code: '57' }, false, false],
    ['zoho_books', 401, { code: 9999 }, false, false],
    ['zoho_desk', 401, { errorCode: 'INVALID_OAUTH' }, true, false],
    ['zoho_desk', 403, { errorCode: 'SCOPE_MISMATCH' }, false, true],
    ['zoho_desk', 401, { errorCode: 'OAUTH_ORG_MISMATCH' }, false, false],
    ['zoho_mail', 401, { data: { errorCode: 'INVALID_OAUTHTOKEN' }, status: { code: 401 } }, true, false],
    ['zoho_mail', 400, { data: { errorCode: 'INVALID_TICKET' } }, true, false],
    ['zoho_mail', 400, { data: { errorCode: 'OTHER' } }, false, false],
    ['zoho_projects', 401, { error: { title: 'INVALID_OAUTHTOKEN' } }, true, false],
    ['zoho_creator', 401, { code: 1030 }, true, false],
    ['zoho_creator', 401, { code: 2945 }, false, true],
    ['zoho_creator', 200, { code: 4000 }, false, false],
    ['zoho_analytics', 401, { data: { errorCode: 8535 } }, true, true],
    ['zoho_analytics', 401, { data: { errorCode: 8540 } }, false, true],
    ['zoho_bookings', 401, '<html>', true, false],
    ['zoho_bookings', 400, '<html>', false, false],
    ['zoho', 401, { code: 'OAUTH_SCOPE_MISMATCH' }, false, true],
    ['zoho', 401, { code: 57 }, true, true],
    ['zoho', 200, { code: 57 }, true, true],
    ['zoho', 401, { errorCode: 'SCOPE_MISMATCH' }, false, true],
    ['zoho', 401, undefined, true, false],
    ['xero', 401, { Detail: 'TokenExpired' }, true, false],
    ['xero', 401, { Detail: 'AuthorizationUnsuccessful' }, false, true],
    ['google', 403, { error: { details: [{ reason: 'ACCESS_TOKEN_SCOPE_INSUFFICIENT' }] } }, false, true],
    ['google', 401, undefined, true, false],
  ] as const)('%s %i %j: invalid %s, scope %s', (id, status, body, invalid, scope) => {
    expect(isInvalidToken(known(id), { status, body })).toBe(invalid);
    expect(isScopeMissing(known(id), { status, body })).toBe(scope);
  });

  test('may say in a header that a scope is missing (RFC 6750)', () => {
    const answer = { status: 401, wwwAuthenticate: 'Bearer realm="x", error="insufficient_scope", scope="a"' };
    expect(isInvalidToken(known('google'), answer)).toBe(false);
    expect(isScopeMissing(known('google'), answer)).toBe(true);
  });
});

test.each([
  ['zoho_crm', 200, false],
  ['zoho_crm', 400, true],
  ['zoho_crm', 401, true],
  ['zoho_books', 200, true],
  ['zoho_bookings', 401, false],
  ['xero', 401, true],
  ['google', 401, false],
] as const)('the body of %s with status %i matters: %s', (id, status, expected) => {
  expect(bodyMatters(known(id), status)).toBe(expected);
});

/** The examples of RFC 6901 section 5, and pointers to no value. */
const document = { foo: ['bar', 'baz'], '': 0, 'a/b': 1, 'c%d': 2, 'm~n': 8, ' ': 7, nothing: null };
test.each([
  ['', document],
  ['/foo', ['bar', 'baz']],
  ['/foo/0', 'bar'],
  ['/', 0],
  ['/a~1b', 1],
  ['/c%d', 2],
  ['/ ', 7],
  ['/m~0n', 8],
  ['/nothing', null],
  ['/nothing/x', undefined],
  ['/foo/00', undefined],
  ['/foo/-1', undefined],
  ['/foo/2', undefined],
  ['/foo/length', undefined],
  ['/constructor', undefined],
  ['/__proto__', undefined],
  ['foo', undefined],
])('the pointer %j', (pointer, value) => {
  expect(atPointer(document, pointer)).toEqual(value);
});
