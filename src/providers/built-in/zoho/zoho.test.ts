import { describe, expect, test } from 'vitest';
import { builtInProvider } from '../../catalogue.ts';
import { expand } from '../../expand.ts';
import { apiBase, isProviderHost } from '../../hosts.ts';

/** Domains of Zoho's products and of their gateway: written out, not computed. */
const domains = [
  ['us', 'zoho.com', 'zohoapis.com'],
  ['eu', 'zoho.eu', 'zohoapis.eu'],
  ['in', 'zoho.in', 'zohoapis.in'],
  ['au', 'zoho.com.au', 'zohoapis.com.au'],
  ['jp', 'zoho.jp', 'zohoapis.jp'],
  ['ca', 'zohocloud.ca', 'zohoapis.ca'],
  ['cn', 'zoho.com.cn', 'zohoapis.com.cn'],
  ['sa', 'zoho.sa', 'zohoapis.sa'],
  ['uk', 'zoho.uk', 'zohoapis.uk'],
  ['ae', 'zoho.ae', 'zohoapis.ae'],
  ['sg', 'zoho.sg', 'zohoapis.sg'],
] as const;

const onGateway =
  'crm bigin books invoice inventory expense billing creator bookings writer phonebridge dataprep backstage'.split(' ');
const sameName =
  'fsm workerly payroll payments commerce tables meeting voice salesiq assist lens connect social zeptomail bugtracker ' +
  'sheet contracts learn vault marketingautomation shifts directory';
const ownHost: Record<string, string> = {
  ...Object.fromEntries(sameName.split(' ').map((name) => [name, name])),
  sprints: 'sprintsapi',
  analytics: 'analyticsapi',
  calendar: 'calendar',
  campaigns: 'campaigns',
  catalyst: 'api.catalyst',
  cliq: 'cliq',
  desk: 'desk',
  mail: 'mail',
  people: 'people',
  projects: 'projects',
  recruit: 'recruit',
  sign: 'sign',
  workdrive: 'workdrive',
};

function zoho(id: string) {
  const definition = builtInProvider(id);
  if (definition === null) throw new Error(`no ${id}`);
  return definition;
}

test('the data centres are those eleven, the default one first', () => {
  expect(Object.keys(zoho('zoho_crm').dataCenters ?? {})).toEqual(domains.map(([dc]) => dc));
});

describe.each(domains)('in %s', (dc, products, gateway) => {
  test('tokens come from the accounts server', () => {
    for (const id of ['zoho', 'zoho_crm', 'zoho_desk']) {
      const { endpoints } = zoho(id);
      const url = (template = '') => expand(zoho(id), template, { dc, metadata: {} });
      expect(url(endpoints?.authorization)).toBe(`https://accounts.${products}/oauth/v2/auth`);
      expect(url(endpoints?.token)).toBe(`https://accounts.${products}/oauth/v2/token`);
      expect(url(endpoints?.revocation)).toBe(`https://accounts.${products}/oauth/v2/revoke/token`);
      expect(url(endpoints?.revocationLegacy)).toBe(`https://accounts.${products}/oauth/v2/token/revoke`);
    }
  });

  test.each(onGateway)('%s is on the gateway', (product) => {
    expect(apiBase(zoho(`zoho_${product}`), { dc, metadata: {} })).toBe(`https://www.${gateway}`);
  });

  test.each(Object.entries(ownHost))('%s is on its own host %s', (product, host) => {
    const definition = zoho(`zoho_${product}`);
    const expected = `https://${host}.${products}`;
    expect(apiBase(definition, { dc, metadata: {} })).toBe(expected);
    // The token answer names the gateway for every product; this must not redirect a call there.
    expect(apiBase(definition, { dc, metadata: { api_domain: `https://www.${gateway}` } })).toBe(expected);
  });

  test('documented second hosts may be called', () => {
    expect(isProviderHost(zoho('zoho_projects'), `https://projectsapi.${products}/api/v3/portals`)).toBe(true);
    expect(isProviderHost(zoho('zoho_workdrive'), `https://www.${gateway}/workdrive/api/v1/users/me`)).toBe(true);
  });

  test('the grant for several products reaches them all', () => {
    const { hosts } = zoho('zoho').api;
    expect(hosts).toContain(`https://www.${gateway}`);
    expect(hosts).toContain(`https://projectsapi.${products}`);
    for (const host of Object.values(ownHost)) expect(hosts).toContain(`https://${host}.${products}`);
    expect(hosts).not.toContain(`https://accounts.${products}`);
  });
});

test('no host of a Canadian grant is under zoho.ca, which is not Zoho', () => {
  const canada = Object.values(zoho('zoho').dataCenters?.['ca'] ?? {});
  expect(canada).toHaveLength(46);
  for (const host of canada)
    expect(host).toMatch(/^https:\/\/(?:[a-z.]+\.(?:zohocloud|zohoapis|manageengine)|servicedeskplus)\.ca$/);
  expect(zoho('zoho').api.hosts.filter((host) => host.endsWith('.zoho.ca'))).toEqual([]);
});

test('files go to the hosts that two data centres name differently', () => {
  const dataCenters = zoho('zoho_crm').dataCenters ?? {};
  expect(dataCenters['ca']?.['content']).toBe('https://upload.zohocloud.ca');
  expect(dataCenters['sa']?.['content']).toBe('https://files.zoho.sa');
  expect(dataCenters['jp']?.['content']).toBe('https://content.zohoapis.jp');
});

test('settings for all of Zoho are the same in each definition', () => {
  for (const id of ['zoho', 'zoho_crm', 'zoho_books', 'zoho_desk']) {
    expect(zoho(id)).toMatchObject({
      scopeSeparator: ',',
      authorizationParameters: { access_type: 'offline', prompt: 'consent' },
      accessToken: { lifetimeSeconds: 3600, scheme: 'Zoho-oauthtoken', earlyRefreshSeconds: 600 },
      refreshToken: { rotation: 'none', livePerUserAndClient: 20, idleSeconds: null },
      tokenLimit: { requests: 10, windowSeconds: 600 },
      callback: { dataCenter: 'location', accountsServer: 'accounts-server' },
      capture: { token: { api_domain: 'api_domain' } },
    });
  }
});
