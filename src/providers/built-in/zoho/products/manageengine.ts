import { source, type ZohoFamily } from '../product.ts';

/** Products of ManageEngine and Site24x7, whose users have Zoho accounts. */
export const manageEngineFamily: ZohoFamily = {
  servicedesk: {
    name: 'ManageEngine ServiceDesk Plus Cloud',
    documentation: 'https://www.manageengine.com/products/service-desk/sdpod-v3-api/',
    scopePrefix: 'SDPOnDemand',
    base: 'servicedesk',
    paths: ['/app', '/api/v3/requests', '/api/v3/problems', '/api/v3/changes', '/api/v3/assets'],
    dataCenters: 'us eu in au jp ca cn sa uk',
    defaults: { Accept: 'application/vnd.manageengine.sdp.v3+json' },
    health: { path: '/api/v3/requests', scope: 'SDPOnDemand.requests.READ' },
    sources: [
      source(
        'https://www.manageengine.com/products/service-desk/sdpod-v3-api/getting-started/oauth-2.0.html',
        'the accounts servers of Zoho, and the scopes',
        'scopes',
      ),
      source(
        'https://github.com/search?q=servicedeskplus.net.au&type=code',
        'public code of several companies: the host of each data centre, and the calls',
        'hosts health',
      ),
    ],
    reported: 'hosts health',
    guess: 'organization invalidToken scopeMissing',
  },
  endpointcentral: {
    name: 'ManageEngine Endpoint Central Cloud',
    documentation: 'https://www.manageengine.com/products/desktop-central/api/cloud_index.html',
    scopePrefix: 'DesktopCentralCloud',
    base: 'endpointcentral',
    paths: ['/api/1.4', '/dcapi'],
    dataCenters: 'us eu in au cn jp ca',
    health: { path: '/api/1.4/desktop/serverproperties', scope: 'DesktopCentralCloud.Common.READ' },
    sources: [
      source(
        'https://www.manageengine.com/products/desktop-central/api/cloud_index.html',
        'hosts of seven data centres',
        'hosts',
      ),
      source(
        'https://www.manageengine.com/remote-desktop-management/api-doc.html',
        'the same calls and scopes at a sister product',
        'health',
      ),
    ],
    reported: 'health',
    guess: 'scopes organization invalidToken scopeMissing',
  },
  site24x7: {
    name: 'Site24x7',
    documentation: 'https://www.site24x7.com/help/api/',
    scopePrefix: 'Site24x7',
    base: 'site24x7',
    paths: ['/api/current_status', '/api/monitors', '/api/reports', '/api/msp'],
    dataCenters: 'us eu in au cn jp',
    defaults: { Accept: 'application/json; version=2.0' },
    scopeMissing: [{ pointer: '/error_code', equals: 1121 }],
    health: { path: '/api/current_status', scope: 'Site24x7.Reports.Read' },
    sources: [
      source(
        'https://site24x7.com/community/oauth-not-working-for-some-specific-api',
        'the scopes, and error 1121 for a missing one',
        'scopes scopeMissing',
      ),
      source('https://github.com/search?q=site24x7.net.au%2Fapi&type=code', 'the host of each data centre', 'hosts'),
    ],
    reported: 'hosts scopes scopeMissing',
    guess: 'organization invalidToken health',
  },
};
