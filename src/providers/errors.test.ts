import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { builtInProvider, builtInProviderIds } from './catalogue.ts';
import { errorClasses, type ProviderDefinition } from './definition.ts';
import { classify, type EndpointAnswer } from './errors.ts';
import { parseProviderDefinition } from './parse.ts';

function known(id: string): ProviderDefinition {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
}

const plain = parseProviderDefinition({
  id: 'plain',
  endpoints: { token: 'https://as.example.com/token' },
  api: { hosts: ['https://api.example.com'] },
});
const refresh = (status: number, error: string | null, description?: string): EndpointAnswer => ({
  on: 'refresh',
  status,
  error,
  description,
});

describe('Zoho', () => {
  test.each([
    [refresh(200, 'invalid_code'), 'grant_refused'],
    [refresh(400, 'invalid_code'), 'grant_refused'],
    [refresh(503, 'invalid_code'), 'unavailable'],
    [refresh(429, 'invalid_code'), 'throttled'],
    [refresh(200, 'Access Denied', 'You have made too many requests continuously. Please try again.'), 'throttled'],
    [refresh(400, 'Access Denied'), 'throttled'],
    [refresh(401, 'access denied'), 'throttled'],
    [refresh(200, 'whatever', 'Token creation throttle limit reached. Please reuse the valid tokens.'), 'throttled'],
    [refresh(200, 'invalid_code', 'You have made too many requests continuously.'), 'throttled'],
    [{ ...refresh(200, 'access_denied'), on: 'exchange' as const }, 'throttled'],
    [{ ...refresh(200, 'invalid_code'), on: 'exchange' as const }, 'grant_refused'],
    [{ ...refresh(400, 'invalid_token'), on: 'revoke' as const }, 'grant_refused'],
    [refresh(400, 'invalid_token'), 'not_understood'],
    [refresh(200, 'invalid_client'), 'client_refused'],
    [refresh(200, 'invalid_client_secret'), 'client_refused'],
    [refresh(200, 'invalid_redirect_uri'), 'client_refused'],
    [refresh(200, 'missing_org_info'), 'client_refused'],
    [refresh(200, 'unsupported_grant_type'), 'client_refused'],
    [refresh(200, 'invalid_scopes'), 'scope_refused'],
    [refresh(200, 'general_error'), 'unavailable'],
    [refresh(400, null), 'not_understood'],
    [refresh(200, 'something_new'), 'not_understood'],
    [{ ...refresh(200, null), readable: false }, 'unavailable'],
  ])('%j means %s', (answer, expected) => {
    expect(classify(known('zoho_crm'), answer)).toBe(expected);
  });
});

describe('by RFC 6749 without rules', () => {
  test.each([
    [refresh(400, 'invalid_grant'), 'grant_refused'],
    [refresh(500, 'invalid_grant'), 'unavailable'],
    [{ ...refresh(400, 'invalid_grant'), readable: false }, 'unavailable'],
    [refresh(401, 'invalid_client'), 'client_refused'],
    [refresh(400, 'unauthorized_client'), 'client_refused'],
    [refresh(400, 'unsupported_grant_type'), 'client_refused'],
    [refresh(400, 'redirect_uri_mismatch'), 'client_refused'],
    [refresh(400, 'invalid_scope'), 'scope_refused'],
    [refresh(400, 'temporarily_unavailable'), 'unavailable'],
    [refresh(429, null), 'throttled'],
    [refresh(502, null), 'unavailable'],
    [refresh(403, null), 'not_understood'],
    [refresh(400, 'invalid_grant_but_not_really'), 'not_understood'],
  ])('%j means %s', (answer, expected) => {
    expect(classify(plain, answer)).toBe(expected);
  });
});

test.each([
  ['microsoft', refresh(400, 'invalid_grant', 'AADSTS50196: The server terminated an operation'), 'throttled'],
  ['microsoft', refresh(400, 'invalid_grant', 'AADSTS700082: The refresh token has expired'), 'grant_refused'],
  ['microsoft', refresh(401, 'invalid_client', 'AADSTS7000222: expired client secret keys'), 'client_refused'],
  ['github', refresh(200, 'bad_refresh_token'), 'grant_refused'],
  ['github', refresh(200, 'incorrect_client_credentials'), 'client_refused'],
  ['salesforce', refresh(400, 'invalid_grant', 'ip restricted'), 'client_refused'],
  ['google', refresh(400, 'invalid_grant', 'Token has been expired or revoked.'), 'grant_refused'],
] as const)('%s: %j means %s', (id, answer, expected) => {
  expect(classify(known(id), answer)).toBe(expected);
});

test('an unknown error never ends a grant, at any provider', () => {
  const condemning = new Set(['invalid_grant']);
  for (const id of builtInProviderIds) {
    for (const rule of known(id).errors)
      if (rule.class === 'grant_refused') condemning.add((rule.error ?? '').toLowerCase());
  }
  expect(condemning.has('')).toBe(false);
  fc.assert(
    fc.property(
      fc.constantFrom(...builtInProviderIds),
      fc.record({
        on: fc.constantFrom('exchange' as const, 'refresh' as const, 'revoke' as const),
        status: fc.integer({ min: 100, max: 599 }),
        error: fc.option(fc.string()),
        description: fc.option(fc.string()),
        readable: fc.boolean(),
      }),
      (id, answer) => {
        const found = classify(known(id), answer);
        expect(errorClasses).toContain(found);
        if (!condemning.has((answer.error ?? '').trim().toLowerCase())) expect(found).not.toBe('grant_refused');
      },
    ),
  );
});
