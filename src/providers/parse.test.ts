import { expect, test } from 'vitest';
import { GrantryError } from '../base/errors.ts';
import { parseProviderDefinition, parseStoredDefinition } from './parse.ts';

const small = {
  id: 'example',
  endpoints: { token: 'https://as.example.com/token' },
  api: { hosts: ['https://api.example.com'] },
};

test('the three required members are enough, and unknown rotation is strict', () => {
  const definition = parseProviderDefinition(JSON.stringify(small));
  expect(definition).toEqual(parseProviderDefinition(small));
  expect(definition.refreshToken.rotation).toBe('strict');
  expect(definition.api.invalidToken).toEqual([{ status: 401 }]);
  const byIssuer = { id: 'example', issuer: 'https://as.example.com', api: small.api };
  expect(parseProviderDefinition(byIssuer).issuer).toBe('https://as.example.com');
});

test.each([
  [null, ''],
  ['{', 'not JSON'],
  ['[]', ''],
  [{ ...small, id: 'Not Good' }, 'id'],
  [{ ...small, api: {} }, 'api.hosts'],
  [{ ...small, api: { hosts: [] } }, 'api.hosts'],
  [{ ...small, endpoints: {} }, 'endpoints.token'],
  [{ ...small, tokenEndpoint: 'x' }, 'tokenEndpoint'],
  [{ ...small, pkce: 'off' }, 'pkceReason'],
  [{ ...small, refreshToken: { rotation: 'sometimes' } }, 'refreshToken.rotation'],
  [{ ...small, accessToken: { scheme: 'Bearer\r\nX: y' } }, 'accessToken.scheme'],
  [{ ...small, errors: [{ error: 'x', class: 'dead' }] }, 'errors.0.class'],
  [{ ...small, dataCenters: { EU: {} } }, 'dataCenters.EU'],
  [{ ...small, name: 'a\0' }, 'NUL'],
  [
    '{"id":"example","name":"Caf\\ud800","endpoints":{"token":"https://as.example.com/token"},"api":{"hosts":["https://api.example.com"]}}',
    'invalid Unicode',
  ],
  [BigInt(1), 'not JSON'],
  [undefined, ''],
])('%# is refused by name and place', (input, place) => {
  expect(() => parseProviderDefinition(input)).toThrow(GrantryError);
  expect(() => parseProviderDefinition(input)).toThrow(
    expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining(place) }),
  );
});

test.each(['access_token', 'refreshToken', 'id_token', 'client_secret', 'code', '/user/refresh_token'])(
  'a capture of %s is refused, and one under this name',
  (name) => {
    const from = { ...small, capture: { token: { [name]: 'note' } } };
    const as = { ...small, capture: { callback: { plan: name } } };
    expect(() => parseProviderDefinition(from)).toThrow(`capture.token.${name}`);
    expect(() => parseProviderDefinition(as)).toThrow('capture.callback.plan');
  },
);

test('a definition has a size', () => {
  const large = { ...small, name: 'x'.repeat(300_000) };
  expect(() => parseProviderDefinition(large)).toThrow(expect.objectContaining({ code: 'payload_too_large' }));
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  expect(() => parseProviderDefinition(circular)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});

test('a stored definition that captures secrets goes on without this capture', () => {
  const capture = { token: { access_token: 'note', org: 'org_id', plan: 'api_key' }, callback: { code: 'x' } };
  const { definition, dropped } = parseStoredDefinition(JSON.stringify({ ...small, capture }));
  expect(definition.capture).toEqual({ token: { org: 'org_id' }, callback: {} });
  expect(dropped).toEqual(['token.access_token', 'token.plan', 'callback.code']);
  for (const json of [JSON.stringify(small), JSON.stringify({ ...small, capture: { token: { org: 'org_id' } } })]) {
    expect(parseStoredDefinition(json)).toEqual({ definition: parseProviderDefinition(json), dropped: [] });
  }
  expect(() => parseStoredDefinition(JSON.stringify({ ...small, capture: [] }))).toThrow(GrantryError);
});
