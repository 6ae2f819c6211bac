import { describe, expect, test } from 'vitest';
import { builtInProvider } from './catalogue.ts';
import { checkOrigins, differsInOriginsOnly } from './check-origins.ts';
import { parseProviderDefinition } from './parse.ts';

const token = 'https://as.example.com/token';
const hosts = ['https://api.example.com'];

function definition(parts: { endpoints?: object; api?: object; dataCenters?: object; issuer?: string }) {
  return parseProviderDefinition({
    id: 'example',
    ...parts,
    endpoints: { token, ...parts.endpoints },
    api: { hosts, ...parts.api },
  });
}

test('an honest definition passes', () => {
  expect(() => checkOrigins(definition({}))).not.toThrow();
  expect(() =>
    checkOrigins(
      definition({
        dataCenters: { a: { accounts: 'https://as.example.com', api: 'https://api.example.com' } },
        endpoints: { authorization: '{dc.accounts}/auth?fixed=1', token: '{dc.accounts}/token' },
        api: { hosts: ['https://*.example.com', 'https://api.example.com/'], base: '{dc.api}/v1', basePath: '/x' },
      }),
    ),
  ).not.toThrow();
});

describe.each([
  'http://api.example.com',
  'https://localhost',
  'https://a.localhost',
  'https://printer.local',
  'https://metadata.google.internal',
  'https://intranet',
  'https://127.0.0.1',
  'https://2130706433',
  'https://0x7f.1',
  'https://10.1.2.3',
  'https://172.31.0.1',
  'https://192.168.1.1',
  'https://169.254.169.254',
  'https://100.64.0.1',
  'https://0.0.0.0',
  'https://[::1]',
  'https://[::]',
  'https://[::ffff:127.0.0.1]',
  'https://[::ffff:10.0.0.1]',
  'https://[64:ff9b::7f00:1]',
  'https://[fe80::1]',
  'https://[fd00::1]',
  'http://127.0.0.1:9000',
  'https://api.example.com:8443',
])('%s', (origin) => {
  test('is refused as a host, as an endpoint and in a data centre, unless loopback is allowed', () => {
    const cases = [
      definition({ api: { hosts: [origin] } }),
      definition({ endpoints: { token: `${origin}/token` } }),
      definition({ dataCenters: { a: { accounts: origin } } }),
      definition({ api: { base: origin } }),
      definition({ issuer: origin }),
    ];
    for (const one of cases) {
      expect(() => checkOrigins(one)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
      expect(() => checkOrigins(one, { allowLoopback: true })).not.toThrow();
    }
  });
});

test.each([
  [{ api: { hosts: ['https://*.com'] } }, 'api.hosts.0'],
  [{ api: { hosts: ['https://*'] } }, 'api.hosts.0'],
  [{ api: { hosts: ['https://a.*.example.com'] } }, 'api.hosts.0'],
  [{ api: { hosts: ['http://*.example.com'] } }, 'api.hosts.0'],
  [{ api: { hosts: ['https://api.example.com/v1'] } }, 'api.hosts.0'],
  [{ api: { hosts: ['https://u:p@api.example.com'] } }, 'api.hosts.0'],
  [{ api: { hosts: ['api.example.com'] } }, 'api.hosts.0'],
  [{ api: { basePath: '/a/../b' } }, 'api.basePath'],
  [{ api: { basePath: 'a' } }, 'api.basePath'],
  [{ api: { basePath: '//evil.example' } }, 'api.basePath'],
  [{ api: { base: '{metadata.x}.evil.example' } }, 'api.base'],
  [{ endpoints: { token: 'https://{metadata.shop}.example.com/t' } }, 'endpoints.token'],
  [{ endpoints: { token: '{dc.accounts}/t' } }, 'endpoints.token'],
  [
    { endpoints: { token: '{dc.accounts}.evil.example' }, dataCenters: { a: { accounts: 'https://a.example.com' } } },
    'endpoints.token',
  ],
  [
    { endpoints: { token: '{dc.accounts}@evil.example' }, dataCenters: { a: { accounts: 'https://a.example.com' } } },
    'endpoints.token',
  ],
  [
    {
      endpoints: { token: '{dc.accounts}/t' },
      dataCenters: { a: { accounts: 'https://a.example.com' }, b: { api: 'https://b.example.com' } },
    },
    'endpoints.token',
  ],
  [{ endpoints: { revocation: 'https://as.example.com/r#x' } }, 'endpoints.revocation'],
])('%j is refused at %s', (parts, place) => {
  expect(() => checkOrigins(definition(parts), { allowLoopback: true })).toThrow(
    expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining(place) }),
  );
});

test('a simulator may stand in for a built-in with other origins and nothing else', () => {
  const original = builtInProvider('zoho_crm');
  if (original === null) throw new Error('no zoho_crm');
  const text = JSON.stringify(original).replace(
    /https:\/\/[^/"]*(zoho|zohoapis|zohocloud)\.[a-z.]+(?=["/])/g,
    'http://127.0.0.1:9000',
  );
  const moved = parseProviderDefinition(text);
  expect(moved.api.hosts[0]).toBe('http://127.0.0.1:9000');
  expect(differsInOriginsOnly(original, moved)).toBe(true);
  const fewer = { ...moved, dataCenters: { eu: moved.dataCenters?.['eu'] ?? {} } };
  expect(differsInOriginsOnly(original, fewer)).toBe(true);
  expect(differsInOriginsOnly(original, { ...moved, pkce: 'off' })).toBe(false);
  expect(differsInOriginsOnly(original, { ...moved, errors: [] })).toBe(false);
  expect(differsInOriginsOnly(original, { ...moved, dataCenters: { zz: {} } })).toBe(false);
  const endpoints = { ...moved.endpoints, token: '{dc.api}/oauth/v2/token' };
  expect(differsInOriginsOnly(original, { ...moved, endpoints })).toBe(false);
});
