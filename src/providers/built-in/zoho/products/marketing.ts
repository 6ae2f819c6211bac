import { site, source, type ZohoFamily } from '../product.ts';

/** Products for marketing, events and appointments. */
export const marketingFamily: ZohoFamily = {
  campaigns: {
    name: 'Zoho Campaigns',
    documentation: `${site}/campaigns/help/developers/`,
    scopePrefix: 'ZohoCampaigns',
    base: 'campaigns',
    paths: ['/api/v1.1'],
    dataCenters: 'us eu in au jp cn',
    // Its errors often have status 200.
    invalidToken: [
      { status: 401 },
      { status: 200, pointer: '/code', equals: 'INVALID_OAUTHTOKEN' },
      { status: 200, pointer: '/message', equals: 'INVALID_OAUTHTOKEN' },
    ],
    scopeMissing: [
      { pointer: '/code', equals: 'INVALID_OAUTHSCOPE' },
      { pointer: '/message', equals: 'INVALID_OAUTHSCOPE' },
      { pointer: '/code', equals: 'OAUTH_SCOPE_MISMATCH' },
    ],
    health: { path: '/api/v1.1/getmailinglists?resfmt=JSON&range=1', scope: 'ZohoCampaigns.contact.READ' },
    sources: [
      source(`${site}/campaigns/help/developers/data-centers.html`, 'hosts of six data centres', 'hosts'),
      source(`${site}/campaigns/help/developers/`, 'scopes and calls', 'scopes health', '2026'),
    ],
    guess: 'organization invalidToken scopeMissing',
  },
  marketingautomation: {
    name: 'Zoho Marketing Automation',
    documentation: `${site}/marketingautomation/help/developers/`,
    scopePrefix: 'ZohoMarketingAutomation',
    base: 'marketingautomation',
    paths: [
      'getmailinglists',
      'getmailinglists.json',
      'addlistandleads',
      'addleadsinbulk',
      'json/listsubscribe',
      'contact',
      'lead',
    ].map((segment) => `/api/v1/${segment}`),
    health: { path: '/api/v1/getmailinglists?resfmt=JSON&range=1', scope: 'ZohoMarketingAutomation.lead.READ' },
    sources: [
      source(
        'https://github.com/search?q=marketingautomation.zoho.com%2Fapi%2Fv1&type=code',
        'public code: hosts, scopes, the mailing lists',
        'hosts scopes health',
      ),
    ],
    reported: 'hosts scopes health',
    guess: 'organization invalidToken scopeMissing',
  },
  backstage: {
    name: 'Zoho Backstage',
    documentation: `${site}/backstage/api/v3/`,
    scopePrefix: 'zohobackstage',
    base: 'api',
    hosts: ['backstage'],
    paths: ['/backstage'],
    dataCenters: 'us eu in au jp',
    health: { path: '/backstage/v3/portals', scope: 'zohobackstage.portal.READ' },
    sources: [source(`${site}/backstage/api/v3/oauth.html`, 'data centres and scopes', 'scopes')],
    guess: 'hosts organization invalidToken scopeMissing health',
  },
  bookings: {
    name: 'Zoho Bookings',
    documentation: `${site}/bookings/help/api/v1/`,
    scopePrefix: 'zohobookings',
    base: 'api',
    paths: ['/bookings'],
    // The body is the same HTML page for every cause, so only the status counts.
    invalidToken: [{ status: 401 }],
    health: {
      path: '/bookings/v1/json/workspaces',
      name: '/response/returnvalue/data/0/name',
      scope: 'zohobookings.data.CREATE',
    },
    limits: ['250, 1000 or 3000 calls a day for each user, by plan.'],
    sources: [
      source(`${site}/bookings/help/api/v1/`, 'the one scope, and the calls', 'scopes health', '2026'),
      source(
        'https://github.com/w6w-io/w6w-apps',
        'the gateway; a page with status 401 for every cause',
        'hosts invalidToken scopeMissing',
        '2026-08',
      ),
    ],
    reported: 'hosts invalidToken scopeMissing',
    guess: 'organization',
  },
};
