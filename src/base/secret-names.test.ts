import { describe, expect, it } from 'vitest';
import { findSecretName, holdsSecret, isSecretInAnswer, isSecretName, secretTexts } from './secret-names.ts';

describe('a name of a secret', () => {
  it.each([
    'refresh_token',
    'refreshToken',
    'REFRESH-TOKEN',
    'token',
    'tokens',
    'id_token',
    'x.access.token',
    'client_secret',
    'apiKey',
    'api_key',
    'X-API-Key',
    'private_key',
    'Authorization',
    'authorisation',
    'password',
    'passwd',
    'db_credentials',
    'Set-Cookie',
    'client_assertion',
    'bearer',
    'jwt',
  ])('is recognised: %s', (name) => {
    expect(isSecretName(name)).toBe(true);
    expect(isSecretInAnswer(name)).toBe(true);
  });

  it.each([
    'token_type',
    'issued_token_type',
    'tokenType',
    'refresh_token_expires_in',
    'x_refresh_token_expires_in',
    'token_expiry',
    'token_endpoint',
    'tokens_count',
    'authorization_url',
    'api_domain',
    'instance_url',
    'realmId',
    'org_id',
    'country_code',
    'key_account',
    'monkey',
    'authorized_at',
  ])('is not seen in %s', (name) => {
    expect(isSecretName(name)).toBe(false);
    expect(isSecretInAnswer(name)).toBe(false);
  });

  it.each(['code', 'code_verifier', 'auth_code', 'device_code', '/authed_user/access_token', 'a.code'])(
    'in an answer is also %s',
    (name) => expect(isSecretInAnswer(name)).toBe(true),
  );

  it('is found at any depth', () => {
    expect(findSecretName({ a: [{ b: { refresh_token: 1 } }] })).toBe('a.0.b.refresh_token');
    expect(findSecretName({ a: [{ b: { token_type: 1 } }], c: null })).toBeNull();
  });
});

it('the secrets of an answer are listed, with those inside a secret member', () => {
  const answer = new Map<string, unknown>([
    ['access_token', 'one'],
    ['user', { name: 'x', refresh_token: 'two' }],
    ['credentials', ['three', { any: 'four' }]],
    ['expires_in', 3600],
  ]);
  expect(secretTexts(answer)).toEqual(['one', 'two', 'three', 'four']);
});

it('a secret is found in a text around it, also percent-encoded', () => {
  const secrets = ['1//abc+def', 'at'];
  expect(['1//abc+def', 'x=1//abc+def;', 'x=1%2F%2Fabc%2Bdef', 'at'].map((text) => holdsSecret(text, secrets))).toEqual(
    [true, true, true, true],
  );
  expect(['1//abc', 'a party at home', ''].map((text) => holdsSecret(text, secrets))).toEqual([false, false, false]);
});
