import type { AnswerRule, ProviderDefinition } from '../definition.ts';
import type { ZohoHost } from './zoho-data-centers.ts';

/** Facts that differ between Zoho's products; all others are the same for each product. */
export interface ZohoProduct {
  readonly name: string;
  readonly documentation: string;
  readonly scopePrefix: string;
  /** Default host of API calls: the name of a host in the grant's data centre. */
  readonly base: ZohoHost;
  /** Further hosts of this product. */
  readonly hosts?: readonly ZohoHost[];
  /** Headers that yield to the caller's. */
  readonly defaults?: Readonly<Record<string, string>>;
  readonly organization?: ProviderDefinition['api']['organization'];
  readonly environments?: ProviderDefinition['environments'];
  /** A call of this product that tells its user; it comes before that of the accounts server. */
  readonly owner?: NonNullable<ProviderDefinition['api']['owner']>[number];
  /** Sources of the facts that only this product has. */
  readonly sources?: ProviderDefinition['sources'];
  readonly invalidToken?: readonly AnswerRule[];
  readonly scopeMissing?: readonly AnswerRule[];
  readonly health: NonNullable<ProviderDefinition['api']['health']>;
}

/**
 * CRM's envelope `{code, details, message, status}`. A bad token has several codes there: `INVALID_TOKEN`,
 * `INVALID_OAUTHTOKEN` (the 16th token evicted it), `AUTHENTICATION_FAILURE`. So every 401 counts that names no scope; a
 * missing permission is a 403.
 */
const crmInvalidToken: readonly AnswerRule[] = [
  { status: 401 },
  { status: 400, pointer: '/code', equals: 'INVALID_TOKEN' },
];
export const crmScopeMissing: readonly AnswerRule[] = [{ pointer: '/code', equals: 'OAUTH_SCOPE_MISMATCH' }];

/** The finance products' envelope `{code, message}`: 0 means success, any other code an error, at any status. */
export const financeInvalidToken: readonly AnswerRule[] = [
  { status: 401, pointer: '/code', equals: 57 },
  { status: 401, pointer: '/code', equals: 14 },
  { status: 200, pointer: '/code', equals: 57 },
  { status: 200, pointer: '/code', equals: 14 },
  { status: 401, pointer: '/code', absent: true },
];
/** The finance products answer a bad token and a missing scope alike; see `isScopeMissing`. */
export const financeScopeMissing: readonly AnswerRule[] = [
  { status: 401, pointer: '/code', equals: 57 },
  { status: 200, pointer: '/code', equals: 57 },
];

const crmAnswers = { invalidToken: crmInvalidToken, scopeMissing: crmScopeMissing };
const financeAnswers = { invalidToken: financeInvalidToken, scopeMissing: financeScopeMissing };

/** Each environment of CRM has a gateway of its own in each data centre. A token works in the one it was issued for. */
export const crmEnvironments: NonNullable<ProviderDefinition['environments']> = {
  production: { api: '{dc.api}' },
  sandbox: { api: '{dc.sandbox}' },
  developer: { api: '{dc.developer}' },
};

/** CRM tells the user of a token. One who left the organisation stays in its lists, with another status. */
export const crmOwner: NonNullable<ProviderDefinition['api']['owner']>[number] = {
  path: '/crm/v8/users?type=CurrentUser',
  id: '/users/0/id',
  name: '/users/0/full_name',
  inactive: [
    { pointer: '/users/0/status', equals: 'inactive' },
    { pointer: '/users/0/status', equals: 'deleted' },
  ],
  scope: 'ZohoCRM.users.READ',
};

const developer = 'https://www.zoho.com';

/** All products, by the second part of their provider id. */
export const zohoProducts: Readonly<Record<string, ZohoProduct>> = {
  crm: {
    name: 'Zoho CRM',
    documentation: `${developer}/crm/developer/docs/api/v8/`,
    scopePrefix: 'ZohoCRM',
    base: 'api',
    hosts: ['sandbox', 'developer', 'content'],
    environments: crmEnvironments,
    owner: crmOwner,
    sources: [
      {
        url: 'https://www.npmjs.com/package/@zohocrm/typescript-sdk-8.0',
        read: '2026-11',
        note: 'the gateways of sandbox and developer, in its data centre classes',
      },
      {
        url: 'https://www.zoho.com/crm/developer/docs/api/v8/token-validity.html',
        read: '2026-11',
        note: '15 living access tokens; INVALID_OAUTHTOKEN for one that was evicted',
      },
    ],
    ...crmAnswers,
    health: crmHealth('/crm/v8/org', 'ZohoCRM.org.READ'),
  },
  bigin: {
    name: 'Zoho Bigin',
    documentation: 'https://www.bigin.com/developer/docs/apis/v2/',
    scopePrefix: 'ZohoBigin',
    base: 'api',
    ...crmAnswers,
    health: crmHealth('/bigin/v2/org', 'ZohoBigin.org.READ'),
  },
  recruit: {
    name: 'Zoho Recruit',
    documentation: `${developer}/recruit/developer-guide/apiv2/`,
    scopePrefix: 'ZohoRecruit',
    base: 'recruit',
    ...crmAnswers,
    health: crmHealth('/recruit/v2/org', 'ZohoRecruit.org.READ'),
  },
  books: {
    name: 'Zoho Books',
    documentation: `${developer}/books/api/v3/`,
    scopePrefix: 'ZohoBooks',
    base: 'api',
    organization: { in: 'query', name: 'organization_id', also: organizationHeader('books') },
    ...financeAnswers,
    health: finance('/books/v3/organizations', 'ZohoBooks.settings.READ'),
  },
  invoice: {
    name: 'Zoho Invoice',
    documentation: `${developer}/invoice/api/v3/`,
    scopePrefix: 'ZohoInvoice',
    base: 'api',
    organization: {
      in: 'header',
      name: 'X-com-zoho-invoice-organizationid',
      also: [{ in: 'query', name: 'organization_id' }],
    },
    ...financeAnswers,
    health: finance('/invoice/v3/organizations', 'ZohoInvoice.settings.READ'),
  },
  inventory: {
    name: 'Zoho Inventory',
    documentation: `${developer}/inventory/api/v1/`,
    scopePrefix: 'ZohoInventory',
    base: 'api',
    organization: { in: 'query', name: 'organization_id', also: organizationHeader('inventory') },
    ...financeAnswers,
    health: finance('/inventory/v1/organizations', 'ZohoInventory.settings.READ'),
  },
  creator: {
    name: 'Zoho Creator',
    documentation: `${developer}/creator/help/api/v2.1/`,
    scopePrefix: 'ZohoCreator',
    base: 'api',
    hosts: ['creator'],
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
  },
  bookings: {
    name: 'Zoho Bookings',
    documentation: `${developer}/bookings/help/api/v1/`,
    scopePrefix: 'zohobookings',
    base: 'api',
    // The body is the same HTML page for every cause, so only the status counts.
    invalidToken: [{ status: 401 }],
    health: {
      path: '/bookings/v1/json/workspaces',
      name: '/response/returnvalue/data/0/name',
      scope: 'zohobookings.data.CREATE',
    },
  },
  analytics: {
    name: 'Zoho Analytics',
    documentation: `${developer}/analytics/api/v2/`,
    scopePrefix: 'ZohoAnalytics',
    base: 'analytics',
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
  },
  calendar: {
    name: 'Zoho Calendar',
    documentation: `${developer}/calendar/help/api/`,
    scopePrefix: 'ZohoCalendar',
    base: 'calendar',
    health: { path: '/api/v1/calendars', name: '/calendars/0/name', scope: 'ZohoCalendar.calendar.READ' },
  },
  campaigns: {
    name: 'Zoho Campaigns',
    documentation: `${developer}/campaigns/help/developers/`,
    scopePrefix: 'ZohoCampaigns',
    base: 'campaigns',
    health: { path: '/api/v1.1/getmailinglists?resfmt=JSON&range=1', scope: 'ZohoCampaigns.contact.READ' },
  },
  catalyst: {
    name: 'Zoho Catalyst',
    documentation: 'https://docs.catalyst.zoho.com/en/api/',
    scopePrefix: 'ZohoCatalyst',
    base: 'catalyst',
    organization: { in: 'header', name: 'CATALYST-ORG' },
    health: { path: '/baas/v1/project', name: '/data/0/project_name', scope: 'ZohoCatalyst.projects.READ' },
  },
  cliq: {
    name: 'Zoho Cliq',
    documentation: `${developer}/cliq/help/restapi/v2/`,
    scopePrefix: 'ZohoCliq',
    base: 'cliq',
    health: { path: '/api/v2/users?limit=1', scope: 'ZohoCliq.Users.READ' },
  },
  desk: {
    name: 'Zoho Desk',
    documentation: 'https://desk.zoho.com/DeskAPIDocument',
    scopePrefix: 'Desk',
    base: 'desk',
    organization: { in: 'header', name: 'orgId' },
    invalidToken: [
      { status: 401, pointer: '/errorCode', equals: 'INVALID_OAUTH' },
      { status: 401, pointer: '/errorCode', equals: 'UNAUTHORIZED' },
      { status: 401, pointer: '/errorCode', absent: true },
    ],
    scopeMissing: [{ pointer: '/errorCode', equals: 'SCOPE_MISMATCH' }],
    health: {
      path: '/api/v1/organizations',
      name: '/data/0/companyName',
      organizations: { list: '/data', ids: ['/id'], name: '/companyName', default: '/isDefault' },
      scope: 'Desk.basic.READ',
      withoutOrganization: true,
    },
  },
  mail: {
    name: 'Zoho Mail',
    documentation: `${developer}/mail/help/api/`,
    scopePrefix: 'ZohoMail',
    base: 'mail',
    invalidToken: [
      { status: 401, pointer: '/data/errorCode', equals: 'INVALID_OAUTHTOKEN' },
      { status: 400, pointer: '/data/errorCode', equals: 'INVALID_TICKET' },
      { status: 401, pointer: '/data/errorCode', absent: true },
    ],
    scopeMissing: [{ pointer: '/data/errorCode', equals: 'INVALID_OAUTHSCOPE' }],
    health: { path: '/api/accounts', name: '/data/0/accountDisplayName', scope: 'ZohoMail.accounts.READ' },
  },
  people: {
    name: 'Zoho People',
    documentation: `${developer}/people/api/overview.html`,
    scopePrefix: 'ZOHOPEOPLE',
    base: 'people',
    health: { path: '/people/api/forms', scope: 'ZOHOPEOPLE.forms.READ' },
  },
  projects: {
    name: 'Zoho Projects',
    documentation: 'https://projects.zoho.com/api-docs',
    scopePrefix: 'ZohoProjects',
    base: 'projects',
    hosts: ['projectsapi'],
    sources: [{ url: 'https://projects.zoho.com/api-docs', read: '2026-11', note: 'the API root projectsapi' }],
    invalidToken: [
      { status: 401, pointer: '/error/title', equals: 'INVALID_OAUTHTOKEN' },
      { status: 401, pointer: '/error/title', absent: true },
    ],
    scopeMissing: [{ pointer: '/error/title', equals: 'INVALID_OAUTHSCOPE' }],
    health: { path: '/api/v3/portals', name: '/0/portal_name', scope: 'ZohoProjects.portals.READ' },
  },
  sign: {
    name: 'Zoho Sign',
    documentation: `${developer}/sign/api/`,
    scopePrefix: 'ZohoSign',
    base: 'sign',
    health: { path: '/api/v1/requests', scope: 'ZohoSign.documents.READ' },
  },
  workdrive: {
    name: 'Zoho WorkDrive',
    documentation: 'https://workdrive.zoho.com/apidocs/v1/overview',
    scopePrefix: 'WorkDrive',
    base: 'workdrive',
    // The gateway has it under /workdrive, in all data centres of the multi-DC page.
    hosts: ['api'],
    sources: [
      {
        url: 'https://www.zoho.com/accounts/protocol/oauth/multi-dc.html',
        read: '2026-11',
        note: 'the gateway, below /workdrive',
      },
    ],
    defaults: { Accept: 'application/vnd.api+json' },
    health: { path: '/api/v1/users/me', name: '/data/attributes/display_name', scope: 'WorkDrive.users.READ' },
  },
};

/** The finance products read the organisation in a header too: Invoice's documentation knows only this place. A guess for others. */
function organizationHeader(product: string): { in: 'header'; name: string }[] {
  return [{ in: 'header', name: `X-com-zoho-${product}-organizationid` }];
}

function finance(path: string, scope: string): ZohoProduct['health'] {
  const organizations = {
    list: '/organizations',
    ids: ['/organization_id'],
    name: '/name',
    default: '/is_default_org',
  };
  return { path, name: '/organizations/0/name', scope, organizations, withoutOrganization: true };
}

/** The answer has two ids of the organisation: the record's, and the one that Zoho shows to people. */
export function crmHealth(path: string, scope: string): ZohoProduct['health'] {
  const organizations = { list: '/org', ids: ['/id', '/zgid'], name: '/company_name' };
  return { path, name: '/org/0/company_name', scope, organizations };
}
