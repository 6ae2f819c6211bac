import type { KnownUser } from '../state/registry.ts';
import {
  analyticsEnvelope,
  bookingsEnvelope,
  creatorEnvelope,
  crmEnvelope,
  deskEnvelope,
  type Envelope,
  financeEnvelope,
  mailEnvelope,
  plainEnvelope,
  projectsEnvelope,
  workDriveEnvelope,
} from './envelopes.ts';

/** One call of a product's API. */
export interface Operation {
  /** `GET` when left out. */
  readonly method?: string;
  readonly path: RegExp;
  readonly scope: string;
  /** Set when the call needs no organisation id although the product's other calls do. */
  readonly withoutOrganization?: boolean;
  /** Lists (`GET`) or adds (`POST`) records of a module; the path's first group is the module. */
  readonly records?: boolean;
  readonly answer?: (user: KnownUser) => unknown;
}

/** A product: its paths, its error envelope and its calls. */
export interface Product {
  readonly name: string;
  /** First label of its own host; `www` for products behind the gateway. */
  readonly host: string;
  readonly prefix: RegExp;
  readonly envelope: Envelope;
  readonly organization?: { readonly in: 'header' | 'query'; readonly name: string; readonly required: boolean };
  readonly operations: readonly Operation[];
}

const organizationQuery = { in: 'query', name: 'organization_id', required: true } as const;

/**
 * All products, the most specific paths first: on one port several products share `/api/v1`, which Zoho serves on
 * different hosts.
 */
export const products: readonly Product[] = [
  {
    name: 'CRM',
    host: 'www',
    prefix: /^\/crm\//,
    envelope: crmEnvelope,
    operations: [
      { path: /^\/crm\/v\d+\/org$/, scope: 'ZohoCRM.org.READ', answer: crmOrg },
      {
        path: /^\/crm\/v\d+\/users$/,
        scope: 'ZohoCRM.users.READ',
        answer: (user) => ({ users: [{ id: user.orgId, email: user.id, full_name: user.name }] }),
      },
      {
        path: /^\/crm\/v\d+\/settings\/modules$/,
        scope: 'ZohoCRM.settings.modules.READ',
        answer: () => ({ modules: [{ api_name: 'Leads' }, { api_name: 'Contacts' }, { api_name: 'Deals' }] }),
      },
      { path: /^\/crm\/v\d+\/([A-Z]\w*)$/, scope: 'ZohoCRM.modules.{module}.READ', records: true },
      { method: 'POST', path: /^\/crm\/v\d+\/([A-Z]\w*)$/, scope: 'ZohoCRM.modules.{module}.CREATE', records: true },
    ],
  },
  {
    name: 'Bigin',
    host: 'www',
    prefix: /^\/bigin\//,
    envelope: crmEnvelope,
    operations: [
      { path: /^\/bigin\/v\d+\/org$/, scope: 'ZohoBigin.org.READ', answer: crmOrg },
      { path: /^\/bigin\/v\d+\/([A-Z]\w*)$/, scope: 'ZohoBigin.modules.{module}.READ', records: true },
      {
        method: 'POST',
        path: /^\/bigin\/v\d+\/([A-Z]\w*)$/,
        scope: 'ZohoBigin.modules.{module}.CREATE',
        records: true,
      },
    ],
  },
  {
    name: 'Recruit',
    host: 'recruit',
    prefix: /^\/recruit\//,
    envelope: crmEnvelope,
    operations: [
      { path: /^\/recruit\/v\d+\/org$/, scope: 'ZohoRecruit.org.READ', answer: crmOrg },
      { path: /^\/recruit\/v\d+\/([A-Z]\w*)$/, scope: 'ZohoRecruit.modules.{module}.READ', records: true },
    ],
  },
  finance('Books', /^\/books\/v3\//, 'ZohoBooks', organizationQuery),
  finance('Inventory', /^\/inventory\/v1\//, 'ZohoInventory', organizationQuery),
  finance('Invoice', /^\/invoice\/v3\//, 'ZohoInvoice', {
    in: 'header',
    name: 'X-com-zoho-invoice-organizationid',
    required: true,
  }),
  {
    name: 'Bookings',
    host: 'www',
    prefix: /^\/bookings\//,
    envelope: bookingsEnvelope,
    operations: [
      {
        path: /^\/bookings\/v1\/json\/workspaces$/,
        scope: 'zohobookings.data.CREATE',
        answer: (user) => ({
          response: { returnvalue: { data: [{ id: user.orgId, name: user.orgName }] }, status: 'success' },
        }),
      },
    ],
  },
  {
    name: 'Creator',
    host: 'creator',
    prefix: /^\/creator\//,
    envelope: creatorEnvelope,
    operations: [
      {
        path: /^\/creator\/v2\.1\/meta\/(?:[\w.@-]+\/)?applications$/,
        scope: 'ZohoCreator.meta.application.READ',
        answer: (user) => ({
          code: 3000,
          applications: [{ application_name: 'Example', link_name: 'example', workspace_name: user.orgName }],
        }),
      },
    ],
  },
  {
    name: 'Analytics',
    host: 'analyticsapi',
    prefix: /^\/restapi\/v2\//,
    envelope: analyticsEnvelope,
    organization: { in: 'header', name: 'ZANALYTICS-ORGID', required: true },
    operations: [
      {
        path: /^\/restapi\/v2\/orgs$/,
        scope: 'ZohoAnalytics.metadata.read',
        withoutOrganization: true,
        answer: (user) => ({
          status: 'success',
          summary: 'Get orgs',
          data: { orgs: [{ orgId: user.orgId, orgName: user.orgName }] },
        }),
      },
      {
        path: /^\/restapi\/v2\/workspaces$/,
        scope: 'ZohoAnalytics.metadata.read',
        answer: () => ({
          status: 'success',
          summary: 'Get workspaces',
          data: { ownedWorkspaces: [], sharedWorkspaces: [] },
        }),
      },
    ],
  },
  {
    name: 'Projects',
    host: 'projects',
    prefix: /^\/api\/v3\//,
    envelope: projectsEnvelope,
    operations: [
      {
        path: /^\/api\/v3\/portals$/,
        scope: 'ZohoProjects.portals.READ',
        answer: (user) => [{ id: user.orgId, portal_name: user.orgName }],
      },
      { path: /^\/api\/v3\/portal\/\d+\/projects$/, scope: 'ZohoProjects.projects.READ', answer: () => [] },
    ],
  },
  {
    name: 'Campaigns',
    host: 'campaigns',
    prefix: /^\/api\/v1\.1\//,
    envelope: plainEnvelope,
    operations: [
      {
        path: /^\/api\/v1\.1\/getmailinglists$/,
        scope: 'ZohoCampaigns.contact.READ',
        answer: () => ({ status: 'success', code: '0', list_of_details: [] }),
      },
    ],
  },
  {
    name: 'Cliq',
    host: 'cliq',
    prefix: /^\/api\/v2\//,
    envelope: plainEnvelope,
    operations: [
      {
        path: /^\/api\/v2\/users$/,
        scope: 'ZohoCliq.Users.READ',
        answer: (user) => ({
          type: 'user',
          data: [{ email_id: user.id, name: user.name, organization_id: user.orgId }],
        }),
      },
    ],
  },
  {
    name: 'Calendar',
    host: 'calendar',
    prefix: /^\/api\/v1\/calendars/,
    envelope: plainEnvelope,
    operations: [
      {
        path: /^\/api\/v1\/calendars$/,
        scope: 'ZohoCalendar.calendar.READ',
        answer: (user) => ({ calendars: [{ uid: user.orgId, name: user.name, isdefault: true }] }),
      },
    ],
  },
  {
    name: 'WorkDrive',
    host: 'workdrive',
    prefix: /^\/api\/v1\/(?:users|teams|files|workspaces)\b/,
    envelope: workDriveEnvelope,
    operations: [
      {
        path: /^\/api\/v1\/users\/me$/,
        scope: 'WorkDrive.users.READ',
        answer: (user) => ({
          data: { id: user.orgId, type: 'users', attributes: { display_name: user.name, email_id: user.id } },
        }),
      },
    ],
  },
  {
    name: 'Sign',
    host: 'sign',
    prefix: /^\/api\/v1\/(?:requests|templates|documents)\b/,
    envelope: plainEnvelope,
    operations: [
      {
        path: /^\/api\/v1\/requests$/,
        scope: 'ZohoSign.documents.READ',
        answer: () => ({ code: 0, status: 'success', requests: [] }),
      },
    ],
  },
  {
    name: 'Desk',
    host: 'desk',
    prefix: /^\/api\/v1\//,
    envelope: deskEnvelope,
    organization: { in: 'header', name: 'orgId', required: true },
    operations: [
      {
        path: /^\/api\/v1\/organizations$/,
        scope: 'Desk.basic.READ',
        withoutOrganization: true,
        answer: (user) => ({ data: [{ id: user.orgId, companyName: user.orgName }] }),
      },
      { path: /^\/api\/v1\/(tickets)$/, scope: 'Desk.tickets.READ', records: true },
      { method: 'POST', path: /^\/api\/v1\/(tickets)$/, scope: 'Desk.tickets.CREATE', records: true },
    ],
  },
  {
    name: 'Mail',
    host: 'mail',
    prefix: /^\/api\/(?!v\d)/,
    envelope: mailEnvelope,
    operations: [
      {
        path: /^\/api\/accounts$/,
        scope: 'ZohoMail.accounts.READ',
        answer: (user) => ({
          status: { code: 200, description: 'success' },
          data: [{ accountId: user.orgId, accountDisplayName: user.name, primaryEmailAddress: user.id }],
        }),
      },
      {
        path: /^\/api\/accounts\/\d+\/folders$/,
        scope: 'ZohoMail.folders.READ',
        answer: () => ({ status: { code: 200, description: 'success' }, data: [] }),
      },
    ],
  },
  {
    name: 'People',
    host: 'people',
    prefix: /^\/(?:people\/)?api\/forms|^\/people\//,
    envelope: plainEnvelope,
    operations: [
      {
        path: /^\/people\/api\/forms$/,
        scope: 'ZOHOPEOPLE.forms.READ',
        answer: () => ({ response: { status: 0, message: 'Data fetched successfully', result: [] } }),
      },
    ],
  },
  {
    name: 'Catalyst',
    host: 'api',
    prefix: /^\/baas\/v1\//,
    envelope: plainEnvelope,
    organization: { in: 'header', name: 'CATALYST-ORG', required: false },
    operations: [
      {
        path: /^\/baas\/v1\/project$/,
        scope: 'ZohoCatalyst.projects.READ',
        answer: (user) => ({ status: 'success', data: [{ id: user.orgId, project_name: user.orgName }] }),
      },
    ],
  },
];

function finance(
  name: string,
  prefix: RegExp,
  service: string,
  organization: NonNullable<Product['organization']>,
): Product {
  const at = (rest: string) => new RegExp(`${prefix.source}${rest}$`);
  return {
    name,
    host: 'www',
    prefix,
    envelope: financeEnvelope,
    organization,
    operations: [
      {
        path: at('organizations'),
        scope: `${service}.settings.READ`,
        withoutOrganization: true,
        answer: (user) => ({
          code: 0,
          message: 'success',
          organizations: [{ organization_id: user.orgId, name: user.orgName, is_default_org: true }],
        }),
      },
      { path: at('(contacts)'), scope: `${service}.contacts.READ`, records: true },
      { method: 'POST', path: at('(contacts)'), scope: `${service}.contacts.CREATE`, records: true },
    ],
  };
}

function crmOrg(user: KnownUser): unknown {
  return { org: [{ id: user.orgId, zgid: user.orgId, company_name: user.orgName, primary_email: user.id }] };
}
