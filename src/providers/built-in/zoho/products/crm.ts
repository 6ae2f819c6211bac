import type { AnswerRule } from '../../../definition.ts';
import { site, source, type ZohoFamily, type ZohoProduct } from '../product.ts';

/**
 * CRM's envelope `{code, details, message, status}`. A bad token has several codes there: `INVALID_TOKEN`,
 * `INVALID_OAUTHTOKEN` (the 16th token evicted it), `AUTHENTICATION_FAILURE`. So every 401 counts that names no scope; a
 * missing permission is a 403.
 */
const invalidToken: readonly AnswerRule[] = [
  { status: 401 },
  { status: 400, pointer: '/code', equals: 'INVALID_TOKEN' },
];
const scopeMissing: readonly AnswerRule[] = [{ pointer: '/code', equals: 'OAUTH_SCOPE_MISMATCH' }];

const answers = { invalidToken, scopeMissing };

/** Each environment of CRM has a gateway of its own in each data centre. A token works in the one it was issued for. */
export const crmEnvironments: NonNullable<ZohoProduct['environments']> = {
  production: { api: '{dc.api}' },
  sandbox: { api: '{dc.sandbox}' },
  developer: { api: '{dc.developer}' },
};

/** CRM tells the user of a token. One who left the organisation stays in its lists, with another status. */
export const crmOwner: NonNullable<ZohoProduct['owner']> = {
  path: '/crm/v8/users?type=CurrentUser',
  id: '/users/0/id',
  name: '/users/0/full_name',
  inactive: [
    { pointer: '/users/0/status', equals: 'inactive' },
    { pointer: '/users/0/status', equals: 'deleted' },
  ],
  scope: 'ZohoCRM.users.READ',
};

/** CRM and the products that were made from it. */
export const crmFamily: ZohoFamily = {
  crm: {
    name: 'Zoho CRM',
    documentation: `${site}/crm/developer/docs/api/v8/`,
    scopePrefix: 'ZohoCRM',
    base: 'api',
    hosts: ['sandbox', 'developer', 'content'],
    environments: crmEnvironments,
    owner: crmOwner,
    paths: ['/crm'],
    dataCenters: 'us au eu in cn jp ca',
    ...answers,
    health: crmHealth('/crm/v8/org', 'ZohoCRM.org.READ'),
    limits: ['Calls cost credits, counted over 24 hours by edition; heavy calls run at most 10 at a time.'],
    sources: [
      source(
        'https://www.npmjs.com/package/@zohocrm/typescript-sdk-8.0',
        'the gateways of sandbox and developer, in its classes of data centres',
        'hosts',
        '2026-11',
      ),
      source(`${site}/crm/developer/docs/api/v8/multi-dc.html`, 'the hosts of seven data centres', 'hosts'),
      source(`${site}/crm/developer/docs/api/v8/scopes.html`, 'the scopes of modules and settings', 'scopes health'),
      source(
        `${site}/crm/developer/docs/api/v8/token-validity.html`,
        '15 living access tokens; INVALID_OAUTHTOKEN for one that was evicted',
        'invalidToken limits',
        '2026-11',
      ),
      source(
        `${site}/crm/developer/docs/api/v8/revoke-tokens.html`,
        'a token is of one organisation, so calls name none',
        'organization',
        '2026',
      ),
      source('https://github.com/zoho/crm-oas', 'OAUTH_SCOPE_MISMATCH among the codes', 'scopeMissing', '2026-11'),
    ],
  },
  bigin: {
    name: 'Zoho Bigin',
    documentation: 'https://www.bigin.com/developer/docs/apis/v2/',
    scopePrefix: 'ZohoBigin',
    base: 'api',
    paths: ['/bigin'],
    dataCenters: 'us au eu in cn jp sa ca',
    ...answers,
    health: crmHealth('/bigin/v2/org', 'ZohoBigin.org.READ'),
    sources: [
      source('https://www.bigin.com/developer/docs/apis/multi-dc.html', 'hosts of eight data centres', 'hosts'),
      source('https://www.bigin.com/developer/docs/apis/v2/', 'scopes and calls', 'scopes health', '2026'),
    ],
    guess: 'organization invalidToken scopeMissing',
  },
  recruit: {
    name: 'Zoho Recruit',
    documentation: `${site}/recruit/developer-guide/apiv2/`,
    scopePrefix: 'ZohoRecruit',
    base: 'recruit',
    paths: ['/recruit'],
    ...answers,
    health: crmHealth('/recruit/v2/org', 'ZohoRecruit.org.READ'),
    sources: [
      source(`${site}/recruit/developer-guide/apiv2/oauth-overview.html`, 'the scopes', 'scopes health', '2026'),
      source('https://github.com/w6w-io/w6w-apps', 'the host that answers, found by trying', 'hosts', '2026-09'),
    ],
    reported: 'hosts',
    guess: 'organization invalidToken scopeMissing',
  },
  fsm: {
    name: 'Zoho FSM',
    documentation: `${site}/fsm/developer/help/api/`,
    scopePrefix: 'ZohoFSM',
    base: 'fsm',
    hosts: ['api'],
    paths: ['/fsm'],
    dataCenters: 'us au eu in ca sa',
    ...answers,
    health: { path: '/fsm/v1/users?page=1&per_page=1', name: '/users/0/full_name', scope: 'ZohoFSM.users.READ' },
    sources: [
      source(`${site}/fsm/developer/help/api/access-refresh.html`, 'six data centres', 'scopes'),
      source('https://github.com/search?q=fsm.zoho.com%2Ffsm%2Fv1', 'public code that calls it', 'hosts health'),
    ],
    reported: 'hosts health scopes',
    guess: 'organization invalidToken scopeMissing',
  },
  workerly: {
    name: 'Zoho Workerly',
    documentation: `${site}/workerly/developer-guide/`,
    scopePrefix: 'ZohoWorkerly',
    base: 'workerly',
    paths: ['/workerly'],
    dataCenters: 'us au eu in jp',
    ...answers,
    health: {
      path: '/workerly/v2/users?type=CurrentUser',
      name: '/users/0/full_name',
      scope: 'ZohoWorkerly.users.READ',
    },
    sources: [
      source(`${site}/workerly/developer-guide/multi-dc.html`, 'data centres and scopes of users', 'hosts scopes'),
    ],
    guess: 'organization invalidToken scopeMissing health',
  },
  phonebridge: {
    name: 'Zoho PhoneBridge',
    documentation: `${site}/phonebridge/developer/v3/`,
    scopePrefix: 'PhoneBridge',
    base: 'api',
    paths: ['/phonebridge'],
    ...answers,
    health: { path: '/phonebridge/v3/users', name: '/users/0/username', scope: 'PhoneBridge.call.log' },
    sources: [
      source(
        'https://pastebin.com/VkvZW1Vy',
        "a telephone company's log: the users call, and INVALID_TOKEN with status 400",
        'hosts health invalidToken',
      ),
    ],
    reported: 'hosts health invalidToken',
    guess: 'scopes organization scopeMissing',
  },
};

/** The answer has two ids of the organisation: the record's, and the one that Zoho shows to people. */
export function crmHealth(path: string, scope: string): NonNullable<ZohoProduct['health']> {
  const organizations = { list: '/org', ids: ['/id', '/zgid'], name: '/company_name' };
  return { path, name: '/org/0/company_name', scope, organizations };
}
