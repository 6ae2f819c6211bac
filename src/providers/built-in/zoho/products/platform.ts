import { site, source, type ZohoFamily } from '../product.ts';

/** Zoho's platforms for applications and data. */
export const platformFamily: ZohoFamily = {
  creator: {
    name: 'Zoho Creator',
    documentation: `${site}/creator/help/api/v2.1/`,
    scopePrefix: 'ZohoCreator',
    base: 'api',
    hosts: ['creator', 'creatorapp'],
    paths: ['/creator'],
    dataCenters: 'us eu in cn au jp ca sa',
    // Creator's own stages of an application, not the environments of an organisation.
    defaults: { environment: '{metadata.creator_environment}' },
    invalidToken: [
      { status: 401, pointer: '/code', equals: 1030 },
      { status: 401, pointer: '/code', absent: true },
    ],
    scopeMissing: [{ pointer: '/code', equals: 2945 }],
    health: {
      path: '/creator/v2.1/meta/applications',
      name: '/applications/0/workspace_name',
      scope: 'ZohoCreator.meta.application.READ',
    },
    limits: ['Calls a day by plan; version 2 reports a used-up quota with status 200 and code 4000.'],
    sources: [
      source(
        `${site}/creator/newhelp/account-setup/base-url.html`,
        'creator and creatorapp in each data centre',
        'hosts',
      ),
      source(
        `${site}/creator/help/api/v2.1/`,
        'code 1030, the environment header, calls and scopes',
        'scopes invalidToken health limits organization',
        '2026',
      ),
      source('https://github.com/w6w-io/w6w-apps', 'code 2945 for a missing scope', 'scopeMissing', '2026-08'),
    ],
    reported: 'scopeMissing',
  },
  analytics: {
    name: 'Zoho Analytics',
    documentation: `${site}/analytics/api/v2/`,
    scopePrefix: 'ZohoAnalytics',
    base: 'analytics',
    paths: ['/restapi/v2'],
    organization: { in: 'header', name: 'ZANALYTICS-ORGID' },
    invalidToken: [
      { status: 401, pointer: '/data/errorCode', equals: 8535 },
      { status: 401, pointer: '/data/errorCode', absent: true },
    ],
    // Reports name 8535 for a missing scope too.
    scopeMissing: [
      { pointer: '/data/errorCode', equals: 8540 },
      { status: 401, pointer: '/data/errorCode', equals: 8535 },
    ],
    health: {
      path: '/restapi/v2/orgs',
      name: '/data/orgs/0/orgName',
      organizations: { list: '/data/orgs', ids: ['/orgId'], name: '/orgName', default: '/isDefault' },
      scope: 'ZohoAnalytics.metadata.read',
      withoutOrganization: true,
    },
    limits: ['API units a day by plan; each operation has its own throttle.'],
    sources: [
      source(
        'https://github.com/zoho/analytics-okf',
        'host, header, error 8535 and limits, in a bundle that calls itself unverified',
        'hosts scopes organization invalidToken health limits',
      ),
      source('https://github.com/search?q=INVALID_OAUTHSCOPE+8540', 'public code: 8540', 'scopeMissing'),
    ],
    reported: 'scopeMissing',
  },
  catalyst: {
    name: 'Zoho Catalyst',
    documentation: 'https://docs.catalyst.zoho.com/en/api/',
    scopePrefix: 'ZohoCatalyst',
    base: 'catalyst',
    paths: ['/baas'],
    dataCenters: 'us eu in au ca jp sa',
    defaults: { Environment: '{metadata.catalyst_environment}' },
    organization: { in: 'header', name: 'CATALYST-ORG' },
    scopeMissing: [
      { pointer: '/data/error_code', equals: 'OAUTH_SCOPE_MISMATCH' },
      { pointer: '/data/error_code', equals: 'INVALID_OAUTHSCOPE' },
      { pointer: '/code', equals: 'OAUTH_SCOPE_MISMATCH' },
    ],
    health: { path: '/baas/v1/project', name: '/data/0/project_name', scope: 'ZohoCatalyst.projects.READ' },
    sources: [
      source(
        'https://docs.catalyst.zoho.com/en/api/',
        'hosts of seven data centres, the headers, scopes and calls',
        'hosts scopes organization health',
        '2026',
      ),
    ],
    guess: 'invalidToken scopeMissing',
  },
  dataprep: {
    name: 'Zoho DataPrep',
    documentation: `${site}/dataprep/api/`,
    scopePrefix: 'ZohoDataPrep',
    base: 'api',
    paths: ['/dataprep'],
    sources: [source('https://github.com/search?q=zohoapis.com+dataprep', 'one public client', 'hosts')],
    reported: 'hosts',
    guess: 'scopes organization invalidToken scopeMissing health',
  },
  tables: {
    name: 'Zoho Tables',
    documentation: `${site}/tables/`,
    scopePrefix: 'ZohoTables',
    base: 'tables',
    paths: ['/api/v1/bases'],
    health: { path: '/api/v1/bases', scope: 'ZohoTables.bases.READ' },
    sources: [source('https://github.com/search?q=tables.zoho.com', 'one public client', 'hosts')],
    reported: 'hosts',
    guess: 'scopes organization invalidToken scopeMissing health',
  },
};
