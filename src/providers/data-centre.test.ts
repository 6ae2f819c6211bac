import { describe, expect, test } from 'vitest';
import { builtInProvider, builtInProviderIds } from './catalogue.ts';
import {
  dcNamedIn,
  dcNames,
  dcOfApiDomain,
  dcOfCallback,
  grantDc,
  isStrangerIn,
  placeNamedIn,
  resolveDc,
} from './data-centre.ts';
import type { ProviderDefinition } from './definition.ts';

const crm = known('zoho_crm');
const google = known('google');

function known(id: string): ProviderDefinition {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
}

test.each([
  ['com', 'us'],
  ['com.au', 'au'],
  ['com.cn', 'cn'],
  ['us', 'us'],
  ['EU', 'eu'],
  [' ca ', 'ca'],
  ['eu\n', 'eu'],
])('%j means the data centre %s', (name, dc) => {
  expect(resolveDc(crm, name)).toBe(dc);
});

test.each(['', 'zz', 'com.eu', '__proto__', 'constructor', '\u0435u', 'x'.repeat(5000)])(
  '%j is refused with the valid ones',
  (name) => {
    expect(() => resolveDc(crm, name)).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        message: expect.stringContaining('us, eu, in, au, jp, ca, cn, sa, uk, ae, sg'),
      }),
    );
  },
);

describe('the callback', () => {
  test.each([
    ['location=in&accounts-server=https://accounts.zoho.in', 'in'],
    ['location=in&accounts-server=https%3A%2F%2Faccounts.zoho.in&', 'in'],
    ['location=ca&accounts-server=https://accounts.zohocloud.ca', 'ca'],
    ['accounts-server=https://accounts.zoho.com.cn', 'cn'],
    ['location=uk', 'uk'],
    ['code=x&state=y', null],
  ])('%s names %s', (query, dc) => {
    expect(dcOfCallback(crm, new URLSearchParams(query))).toBe(dc);
  });

  test.each([
    'accounts-server=https://evil.example',
    'accounts-server=https://accounts.zoho.com.evil.example',
    'accounts-server=https://accounts.zoho.com@evil.example',
    'accounts-server=https://user@accounts.zoho.com',
    'accounts-server=http://accounts.zoho.com',
    'accounts-server=https://accounts.zoho.com.',
    'accounts-server=https://ACCOUNTS.zoho.com',
    'accounts-server=HTTPS://accounts.zoho.com',
    'accounts-server=https://accounts.zoh\u043e.com',
    'accounts-server=https://xn--accounts-zoh-8ve.com',
    'accounts-server=https://accounts.zoho.com:443',
    'accounts-server=https://accounts.zoho.com:8443',
    'accounts-server=https://accounts.zoho.com/',
    'accounts-server=https://accounts.zoho.com/oauth',
    'accounts-server=https://accounts%252ezoho.com',
    'accounts-server=https://accounts.zoho.com%23',
    'accounts-server=https://accounts.zoho.com%3Fx',
    'accounts-server=%20https://accounts.zoho.com',
    'accounts-server=https://accounts.zoho.com%0A',
    'accounts-server=accounts.zoho.com',
    'accounts-server=//accounts.zoho.com',
    'accounts-server=https://accounts.zoho.ca',
    'accounts-server=https://www.zohoapis.com',
    'accounts-server=',
    'accounts-server=https://accounts.zoho.com&accounts-server=https://evil.example',
    'accounts-server=https://accounts.zoho.com&accounts-server=https://accounts.zoho.com',
    'location=eu&location=us',
    'location=eu&location=eu',
    'location=eu&accounts-server=https://accounts.zoho.com',
    'location=evil&accounts-server=https://accounts.zoho.com',
    'location=',
    'location=EU',
    'location=__proto__',
    'location=constructor',
    'location=toString',
  ])('%s is refused', (query) => {
    expect(() => dcOfCallback(crm, new URLSearchParams(query))).toThrow(
      expect.objectContaining({ code: 'authorization_failed' }),
    );
  });

  test('is not asked where the provider has no data centres', () => {
    expect(dcOfCallback(google, new URLSearchParams('location=eu&accounts-server=https://evil.example'))).toBeNull();
  });
});

test.each([
  ['https://www.zohoapis.eu', 'eu'],
  ['https://www.zohoapis.ca/', 'ca'],
  ['www.zohoapis.com.au', 'au'],
  ['https://sandbox.zohoapis.in', 'in'],
  ['https://api.zoho.eu', null],
  ['https://www.zohoapis.eu/crm', null],
  ['https://www.zohoapis.eu@evil.example', null],
  ['', null],
  [7, null],
])('the API host %j is in %s', (apiDomain, dc) => {
  expect(dcOfApiDomain(crm, apiDomain)).toBe(dc);
});

describe("a grant's data centre", () => {
  const app = { dc: 'in' };
  test.each([
    [{ dc: 'com.au', api_domain: 'https://www.zohoapis.eu' }, app, 'au'],
    [{ api_domain: 'https://www.zohoapis.eu' }, app, 'eu'],
    [{ api_domain: 'https://evil.example' }, app, 'in'],
    [{ dc: '' }, { dc: null }, 'us'],
    [{}, null, 'us'],
  ])('with %j and %j is %s', (metadata, withApp, dc) => {
    expect(grantDc({ definition: crm, metadata, app: withApp })).toBe(dc);
  });

  test('is none where the provider has none, and an error where it does not exist', () => {
    expect(grantDc({ definition: google, metadata: { dc: 'eu' }, app })).toBeNull();
    expect(() => grantDc({ definition: crm, metadata: { dc: 'zz' }, app })).toThrow(/no data centre "zz"/);
  });
});

describe('a client that a callback leads to another data centre', () => {
  const providers = builtInProviderIds.map((id) => builtInProvider(id) ?? expect.unreachable('it is built in'));
  const strange = (definition: ProviderDefinition, home: string, named: string, secretsOf: string[] = ['*']) =>
    isStrangerIn(definition, { home, named, secretsOf });

  test.each(providers.map((definition) => [definition.id, definition] as const))('at %s', (_id, definition) => {
    const names = dcNames(definition);
    const separate = definition.separateDataCenters ?? [];
    expect(separate.filter((dc) => !names.includes(dc))).toEqual([]);
    // Who can be led somewhere by a browser at all, and where another company keeps the clients.
    expect(separate).toEqual(definition.callback?.dataCenter === undefined ? [] : ['cn']);
    for (const home of names) {
      for (const named of names) {
        const crosses = home !== named && (separate.includes(home) || separate.includes(named));
        expect([home, named, strange(definition, home, named)]).toEqual([home, named, crosses]);
        expect(strange(definition, home, named, ['*', named])).toBe(false);
      }
    }
  });

  test('is no stranger where a definition names no such data centres', () => {
    const { separateDataCenters: _, ...rest } = crm;
    expect(strange(rest, 'eu', 'cn')).toBe(false);
    expect(isStrangerIn(crm, { home: null, named: 'cn', secretsOf: [] })).toBe(true);
    expect(isStrangerIn(crm, { home: 'cn', named: null, secretsOf: [] })).toBe(false);
  });
});

test.each([
  [{ dc: 'EU' }, 'eu'],
  [{ dc: 'com.au' }, 'au'],
  [{ dc: 'moon' }, 'moon'],
  [{ dc: 'eu', api_domain: 'https://www.zohoapis.com' }, 'eu'],
  [{ api_domain: 'www.zohoapis.in/' }, 'in'],
  [{ api_domain: 'https://sandbox.zohoapis.jp' }, 'jp'],
  [{ api_domain: 'https://api.example' }, null],
  [{ dc: '', api_domain: 7 }, null],
])('%j names the same data centre as the text that the queue of revocations keeps', (metadata, dc) => {
  expect(dcNamedIn(crm, metadata)).toBe(dc);
  expect(dcNamedIn(crm, { dc: placeNamedIn(metadata) })).toBe(dc);
});
