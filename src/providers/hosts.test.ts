import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { builtInProvider } from './catalogue.ts';
import type { ProviderDefinition } from './definition.ts';
import { apiHeaders, expand, organizationOf } from './expand.ts';
import { apiBase, apiOrigin, hostOrigin, isProviderHost, resolveApiUrl } from './hosts.ts';
import { parseProviderDefinition } from './parse.ts';

function known(id: string): ProviderDefinition {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
}

function instance(url: string) {
  return { dc: null, metadata: { instance_url: url } };
}

const crm = known('zoho_crm');
const salesforce = known('salesforce');
const eu = { dc: 'eu', metadata: {} };

describe('a wildcard host', () => {
  test.each([
    ['https://acme.my.salesforce.com', true],
    ['https://acme--dev.sandbox.my.salesforce.com', true],
    ['https://acme.my.salesforce.com:443/x', true],
    ['https://my.salesforce.com', false],
    ['https://.my.salesforce.com', false],
    ['https://acme..my.salesforce.com', false],
    ['https://evilmy.salesforce.com', false],
    ['https://acme.my.salesforce.com.', false],
    ['https://acme.my.salesforce.com.evil.example', false],
    ['http://acme.my.salesforce.com', false],
    ['https://acme.my.salesforce.com:8443', false],
    ['https://user@acme.my.salesforce.com', false],
    ['https://evil.example/.my.salesforce.com', false],
    ['https://evil.example#.my.salesforce.com', false],
    ['https://a_b.my.salesforce.com', false],
    ['https://-a.my.salesforce.com', false],
    ['ftp://acme.my.salesforce.com', false],
    ['not a url', false],
  ])('%s: %s', (url, expected) => {
    expect(isProviderHost(salesforce, url)).toBe(expected);
  });
});

test('a base outside the hosts of the provider is an error, not a guess', () => {
  expect(() => apiBase(salesforce, { dc: 'production', metadata: {} })).toThrow(
    expect.objectContaining({ code: 'provider_misconfigured' }),
  );
  const metadata = { api_domain: 'https://acme.my.salesforce.com/' };
  expect(apiBase(salesforce, { dc: 'production', metadata })).toBe('https://acme.my.salesforce.com');
  const foreign = { api_domain: 'https://evil.example' };
  expect(apiBase(crm, { dc: 'eu', metadata: foreign })).toBe('https://www.zohoapis.eu');
});

test('a base from captured metadata must be one of the hosts', () => {
  const definition = parseProviderDefinition({
    id: 'example',
    endpoints: { token: 'https://as.example.com/token' },
    capture: { token: { instance_url: 'instance_url' } },
    api: { hosts: ['https://*.example.com'], base: '{metadata.instance_url}', basePath: '/v2' },
  });
  expect(resolveApiUrl(definition, '/leads', instance('https://a.example.com'))).toBe('https://a.example.com/v2/leads');
  expect(() => apiBase(definition, instance('https://a.example.org'))).toThrow(/No API host/);
});

test.each([
  ['https://www.zohoapis.eu/', 'https://www.zohoapis.eu'],
  ['https://www.zohoapis.eu', 'https://www.zohoapis.eu'],
  ['https://www.zohoapis.eu/crm', null],
  ['https://www.zohoapis.eu.evil.example', null],
  ['https://u:p@www.zohoapis.eu', null],
  [undefined, null],
])('of an answer with the API domain %j, %j is kept', (value, kept) => {
  expect(apiOrigin(crm, value)).toBe(kept);
});

test('a host is picked by its name, and only one of the provider', () => {
  const zoho = known('zoho');
  expect(hostOrigin(zoho, 'desk.zohocloud.ca')).toBe('https://desk.zohocloud.ca');
  for (const name of ['desk.zoho.ca', 'evil.example', 'desk.zoho.eu/x', 'a@desk.zoho.eu', 'desk.zoho.eu\r\n', '']) {
    expect(() => hostOrigin(zoho, name)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  }
  expect(resolveApiUrl(zoho, '/api/v1/tickets', { ...eu, host: 'desk.zoho.eu' })).toBe(
    'https://desk.zoho.eu/api/v1/tickets',
  );
});

describe('an API URL', () => {
  test.each([
    ['/crm/v8/Leads?fields=Last_Name', 'https://www.zohoapis.eu/crm/v8/Leads?fields=Last_Name'],
    ['/crm/v8/Leads?q=a/../b', 'https://www.zohoapis.eu/crm/v8/Leads?q=a/../b'],
    ['/crm#x', 'https://www.zohoapis.eu/crm'],
    ['https://www.zohoapis.in/crm/v8/org', 'https://www.zohoapis.in/crm/v8/org'],
    ['HTTPS://WWW.zohoapis.in/x', 'https://www.zohoapis.in/x'],
    ['/@evil.example/x', 'https://www.zohoapis.eu/@evil.example/x'],
    ['/http://evil.example', 'https://www.zohoapis.eu/http://evil.example'],
  ])('%s becomes %s', (given, url) => {
    expect(resolveApiUrl(crm, given, eu)).toBe(url);
  });

  test.each([
    '',
    'crm/v8',
    '//evil.example/x',
    '/\\evil.example',
    '\\\\evil.example',
    'https:\\\\www.zohoapis.eu\\x',
    'https:/evil.example',
    'https:///evil.example',
    'https://evil.example/',
    'https://www.zohoapis.eu.evil.example/',
    'https://www.zohoapis.eu@evil.example/',
    'https://user:pw@www.zohoapis.eu/x',
    'https://www.zohoapis.eu:8443/x',
    'https://www.zohoapis.eu./x',
    'http://www.zohoapis.eu/x',
    'javascript:alert(1)',
    'file:///etc/passwd',
    '/x\r\nHost: evil.example',
    '/x\tY',
    '/x y',
    '/\u0000',
    '/../x',
    '/a/..',
    '/a/%2e%2E/x',
    '/a/.%2e/x',
    '/./books/v3/contacts',
    '/%2e/books/v3/contacts',
    '/%2E/books/v3/contacts',
    '/books/.',
    '/a%2f.%2fx',
    '//books/v3/contacts',
    'https://www.zohoapis.eu/./books',
    '/a%2f..%2fx',
    '/a%5c..%5cx',
    `/${'x'.repeat(20_000)}`,
  ])('%j is refused', (given) => {
    expect(() => resolveApiUrl(crm, given, eu)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  test('needs the switch for http, even on a host that the definition names', () => {
    const local = parseProviderDefinition({
      id: 'local',
      endpoints: { token: 'http://127.0.0.1:9000/token' },
      api: { hosts: ['http://127.0.0.1:9000'] },
    });
    const place = { dc: null, metadata: {} };
    expect(() => resolveApiUrl(local, '/x', place)).toThrow(/must be https/);
    expect(resolveApiUrl(local, '/x', { ...place, allowLoopback: true })).toBe('http://127.0.0.1:9000/x');
    expect(hostOrigin(local, '127.0.0.1:9000')).toBe('http://127.0.0.1:9000');
  });

  test('of any text is refused or on a host of the provider', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '/',
        '//',
        '\\',
        '..',
        '%2e',
        '@',
        ':',
        '?',
        '#',
        'https://',
        'www.zohoapis.eu',
        'evil.example',
        '\t',
      ),
      fc.string({ maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        let url: string;
        try {
          url = resolveApiUrl(crm, pieces.join(''), eu);
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_request' });
          return;
        }
        expect(crm.api.hosts).toContain(new URL(url).origin);
        expect(new URL(url).username).toBe('');
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('references', () => {
  const quickbooks = known('quickbooks');
  const health = quickbooks.api.health?.path ?? '';

  test('stay the one segment that they stand for', () => {
    const at = (realm_id: unknown) => expand(quickbooks, health, { dc: 'sandbox', metadata: { realm_id } });
    expect(at(4620)).toBe('/v3/company/4620/companyinfo/4620');
    expect(at('../../x?y#z')).toBe('/v3/company/..%2F..%2Fx%3Fy%23z/companyinfo/..%2F..%2Fx%3Fy%23z');
    expect(() => at('')).toThrow(/needs realm_id/);
    expect(() => expand(quickbooks, '{metadata.constructor}', { dc: null, metadata: {} })).toThrow(/needs constructor/);
    expect(apiBase(quickbooks, { dc: 'sandbox', metadata: {} })).toBe('https://sandbox-quickbooks.api.intuit.com');
  });

  test('in headers are left out when unknown and refused when they would break the header', () => {
    const xero = known('xero');
    const at = (metadata: Record<string, unknown>) => apiHeaders(xero, xero.api.headers, { dc: null, metadata });
    expect(at({})).toEqual({});
    expect(at({ xero_tenant_id: 'abc' })).toEqual({ 'Xero-Tenant-Id': 'abc' });
    expect(() => at({ xero_tenant_id: 'a\r\nX: y' })).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  test('give the organisation its place', () => {
    const place = (id: string) => organizationOf(known(id), { org_id: 60001 });
    expect(place('zoho_desk')).toEqual({ in: 'header', name: 'orgId', value: '60001' });
    expect(place('zoho_books')).toMatchObject({ in: 'query', name: 'organization_id', value: '60001' });
    expect(place('zoho_crm')).toBeNull();
    expect(organizationOf(known('zoho_desk'), {})).toBeNull();
  });
});
