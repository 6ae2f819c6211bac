import { describe, expect, test } from 'vitest';
import { builtInProvider } from './catalogue.ts';
import { checkOrigins } from './check-origins.ts';
import { organizationOf } from './expand.ts';
import { apiBase } from './hosts.ts';
import { isInvalidToken, isScopeMissing } from './invalid-token.ts';
import { parseProviderDefinition } from './parse.ts';
import { assertInEnvironment, forCall } from './products.ts';

function zoho() {
  const definition = builtInProvider('zoho');
  if (definition === null) throw new Error('no zoho');
  return definition;
}

const eu = { dc: 'eu', metadata: { api_domain: 'https://www.zohoapis.eu', org_id: '600' } };

/** The place to which a call goes, and where it carries the organisation. */
function placed(pathOrUrl: string, host?: string) {
  const definition = forCall(zoho(), pathOrUrl, host);
  const organization = organizationOf(definition, eu.metadata);
  return { base: apiBase(definition, eu), organization: organization === null ? null : organization.name };
}

describe('a path goes to the host of its product, with its organisation', () => {
  test.each([
    ['/crm/v8/Leads', 'https://www.zohoapis.eu', null],
    ['/books/v3/contacts?page=2', 'https://www.zohoapis.eu', 'organization_id'],
    ['/billing/v1/plans', 'https://www.zohoapis.eu', 'X-com-zoho-subscriptions-organizationid'],
    ['/api/v1/tickets', 'https://desk.zoho.eu', 'orgId'],
    ['/api/v1/calendars', 'https://calendar.zoho.eu', null],
    ['/api/accounts', 'https://mail.zoho.eu', null],
    ['/api/v3/portals', 'https://projects.zoho.eu', null],
    ['/workdrive/api/v1/users/me', 'https://www.zohoapis.eu', null],
    ['/api/v1/users/me', 'https://workdrive.zoho.eu', null],
    ['/people/api/forms', 'https://people.zoho.eu', null],
    ['/restapi/v2/orgs', 'https://analyticsapi.zoho.eu', 'ZANALYTICS-ORGID'],
    ['/baas/v1/project', 'https://api.catalyst.zoho.eu', 'CATALYST-ORG'],
    ['/nothing/known', 'https://www.zohoapis.eu', null],
    ['/booksellers', 'https://www.zohoapis.eu', null],
  ])('%s', (path, base, organization) => {
    expect(placed(path)).toEqual({ base, organization });
  });
});

test.each(['/api/v1/unheard-of', '/api/v1/accounts', '/api/v2/user'])('%s is refused with the names', (path) => {
  expect(() => placed(path)).toThrow(
    expect.objectContaining({
      code: 'invalid_request',
      reason: 'ambiguous_product',
      message: expect.stringMatching(/zoho_\w+, zoho_/),
    }),
  );
});

test('a host names the product that a path does not', () => {
  const organization = (url: string, host?: string) => placed(url, host).organization;
  expect(organization('https://desk.zoho.eu/api/v1/unheard-of')).toBe('orgId');
  expect(organization('https://sign.zoho.eu/api/v1/accounts')).toBeNull();
  expect(organization('/api/v1/accounts', 'desk.zoho.eu')).toBe('orgId');
  expect(organization('https://www.zohoapis.eu/books/v3/contacts')).toBe('organization_id');
  expect(organization('https://www.zohoapis.eu/unheard-of')).toBeNull();
  expect(organization('https://elsewhere.example/books/v3/contacts')).toBeNull();
});

test("the product's own answers count, and no other's", () => {
  const books = forCall(zoho(), '/books/v3/contacts');
  const crm = forCall(zoho(), '/crm/v8/Leads');
  const answer = { status: 200, body: { code: 57, message: 'You are not authorized' } };
  expect(isInvalidToken(books, answer)).toBe(true);
  expect(isInvalidToken(crm, answer)).toBe(false);
  const mismatch = { status: 401, body: { code: 'OAUTH_SCOPE_MISMATCH' } };
  expect(isScopeMissing(crm, mismatch)).toBe(true);
  expect(isScopeMissing(books, mismatch)).toBe(false);
  expect(forCall(zoho(), '/crm/v8/Deals')).toBe(crm);
});

test('every product is found by each of its own paths and hosts', () => {
  const definition = zoho();
  for (const product of definition.products ?? []) {
    const first = product.paths.find((path) => !/^\/api\/v[\d.]+$/.test(path));
    const host = product.hosts[0]?.replace(
      /^\{dc\.(\w+)\}$/,
      (_, name: string) => definition.dataCenters?.['us']?.[name] ?? '',
    );
    const applied = forCall(definition, `${host}${first ?? '/x'}`);
    expect(applied.api.base, product.id).toBe(product.hosts[0]);
    expect(applied.api.organization, product.id).toEqual(product.organization);
  }
});

describe('a grant of an environment', () => {
  const sandbox = 'https://sandbox.zohoapis.eu';
  const inSandbox = { dc: null, metadata: { environment: 'sandbox', dc: 'eu', api_domain: sandbox } };
  const baseOf = (path: string, metadata: Record<string, unknown>) =>
    apiBase(forCall(zoho(), path), { ...inSandbox, dc: 'eu', metadata });

  test.each([
    ['/crm/v8/Leads', sandbox],
    ['/books/v3/contacts', 'https://www.zohoapis.eu'],
    ['/api/v1/tickets', 'https://desk.zoho.eu'],
    ['/nothing/known', sandbox],
  ])('sends %s to the environment only if the product has environments', (path, base) => {
    expect(baseOf(path, inSandbox.metadata)).toBe(base);
    expect(baseOf(path, { environment: 'sandbox', dc: 'eu' })).toBe(base);
  });

  test.each([
    ['its name', { environment: 'sandbox' }, true],
    ['its host, as an earlier version left it', { api_domain: sandbox }, true],
    ['its name, which is production', { environment: 'production', api_domain: sandbox }, false],
    ['the host of production', { api_domain: 'https://www.zohoapis.eu' }, false],
  ])('that is known by %s may call products of production only by their URL', (_, metadata, isRefused) => {
    const outcome = (path: string) => () => assertInEnvironment(forCall(zoho(), path), path, metadata);
    if (isRefused) expect(outcome('/books/v3/contacts?page=2')).toThrow(/^\/books\/v3\/contacts is only in production/);
    else expect(outcome('/books/v3/contacts?page=2')).not.toThrow();
    expect(outcome('/crm/v8/Leads')).not.toThrow();
    expect(outcome('/nothing/known')).not.toThrow();
  });

  test('that the provider does not have is refused for every product', () => {
    for (const path of ['/crm/v8/Leads', '/books/v3/contacts', '/api/v1/tickets'])
      expect(() => baseOf(path, { environment: 'staging' })).toThrow(/no environment "staging"/);
  });
});

test('a definition without products stays the same object', () => {
  const crm = builtInProvider('zoho_crm');
  if (crm === null) throw new Error('no zoho_crm');
  expect(forCall(crm, '/books/v3/contacts')).toBe(crm);
});

test("a product's host that may get no token is refused", () => {
  const mine = {
    id: 'mine',
    endpoints: { token: 'https://as.example.com/token' },
    api: { hosts: ['https://api.example.com'] },
  };
  const withHost = (host: string) =>
    parseProviderDefinition({ ...mine, products: [{ id: 'one', hosts: [host], paths: ['/one'] }] });
  expect(() => checkOrigins(withHost('https://api.example.com'))).not.toThrow();
  expect(() => checkOrigins(withHost('https://evil.example.net'))).toThrow(
    /products\.0\.hosts\.0 must be one of api\.hosts/,
  );
  expect(() => checkOrigins(withHost('{dc.api}'))).toThrow(/products\.0\.hosts\.0/);
});
