import type { KnownUser } from '../state/registry.ts';
import {
  analyticsEnvelope,
  bookingsEnvelope,
  creatorEnvelope,
  crmEnvelope,
  deskEnvelope,
  financeEnvelope,
  mailEnvelope,
  plainEnvelope,
  projectsEnvelope,
  workDriveEnvelope,
} from './envelopes.ts';
import type { Operation, Product } from './product.ts';

const organizationQuery = { in: 'query', name: 'organization_id', required: true } as const;
const invoiceHeader = { in: 'header', name: 'X-com-zoho-invoice-organizationid', required: true } as const;
const analyticsHeader = { in: 'header', name: 'ZANALYTICS-ORGID', required: true } as const;
const deskHeader = { in: 'header', name: 'orgId', required: true } as const;
const catalystHeader = { in: 'header', name: 'CATALYST-ORG', required: false } as const;

/**
 * The products that are written by hand, the most specific paths first: on one port several products share `/api/v1`, which
 * Zoho serves on different hosts.
 */
export const products: readonly Product[] = [
  product({ name: 'CRM', host: 'www', prefix: /^\/crm\//, envelope: crmEnvelope }, [
    get(/^\/crm\/v\d+\/org$/, 'ZohoCRM.org.READ', crmOrg),
    get(/^\/crm\/v\d+\/users$/, 'ZohoCRM.users.READ', (user) => ({
      users: [{ id: user.zuid, zuid: user.zuid, email: user.id, full_name: user.name, status: 'active' }],
    })),
    get(/^\/crm\/v\d+\/settings\/modules$/, 'ZohoCRM.settings.modules.READ', () => ({
      modules: [{ api_name: 'Leads' }, { api_name: 'Contacts' }, { api_name: 'Deals' }],
    })),
    list(/^\/crm\/v\d+\/([A-Z]\w*)$/, 'ZohoCRM.modules.{module}.READ'),
    add(/^\/crm\/v\d+\/([A-Z]\w*)$/, 'ZohoCRM.modules.{module}.CREATE'),
  ]),
  product({ name: 'Bigin', host: 'www', prefix: /^\/bigin\//, envelope: crmEnvelope }, [
    get(/^\/bigin\/v\d+\/org$/, 'ZohoBigin.org.READ', crmOrg),
    list(/^\/bigin\/v\d+\/([A-Z]\w*)$/, 'ZohoBigin.modules.{module}.READ'),
    add(/^\/bigin\/v\d+\/([A-Z]\w*)$/, 'ZohoBigin.modules.{module}.CREATE'),
  ]),
  product({ name: 'Recruit', host: 'recruit', prefix: /^\/recruit\//, envelope: crmEnvelope }, [
    get(/^\/recruit\/v\d+\/org$/, 'ZohoRecruit.org.READ', crmOrg),
    list(/^\/recruit\/v\d+\/([A-Z]\w*)$/, 'ZohoRecruit.modules.{module}.READ'),
  ]),
  finance('Books', /^\/books\/v3\//, 'ZohoBooks', organizationQuery),
  finance('Inventory', /^\/inventory\/v1\//, 'ZohoInventory', organizationQuery),
  finance('Invoice', /^\/invoice\/v3\//, 'ZohoInvoice', invoiceHeader),
  product({ name: 'Bookings', host: 'www', prefix: /^\/bookings\//, envelope: bookingsEnvelope }, [
    get(/^\/bookings\/v1\/json\/workspaces$/, 'zohobookings.data.CREATE', (user) => ({
      response: { returnvalue: { data: [{ id: user.orgId, name: user.orgName }] }, status: 'success' },
    })),
  ]),
  product({ name: 'Creator', host: 'creator', prefix: /^\/creator\//, envelope: creatorEnvelope }, [
    get(/^\/creator\/v2\.1\/meta\/(?:[\w.@-]+\/)?applications$/, 'ZohoCreator.meta.application.READ', (user) => ({
      code: 3000,
      applications: [{ application_name: 'Example', link_name: 'example', workspace_name: user.orgName }],
    })),
  ]),
  product(
    {
      name: 'Analytics',
      host: 'analyticsapi',
      prefix: /^\/restapi\/v2\//,
      envelope: analyticsEnvelope,
      organization: analyticsHeader,
    },
    [
      withoutOrganization(
        get(/^\/restapi\/v2\/orgs$/, 'ZohoAnalytics.metadata.read', (user) => ({
          status: 'success',
          summary: 'Get orgs',
          data: { orgs: user.organizations.map(({ id, name }) => ({ orgId: id, orgName: name })) },
        })),
      ),
      get(/^\/restapi\/v2\/workspaces$/, 'ZohoAnalytics.metadata.read', () => ({
        status: 'success',
        summary: 'Get workspaces',
        data: { ownedWorkspaces: [], sharedWorkspaces: [] },
      })),
    ],
  ),
  product(
    { name: 'Projects', host: 'projects', alias: 'projectsapi', prefix: /^\/api\/v3\//, envelope: projectsEnvelope },
    [
      get(/^\/api\/v3\/portals$/, 'ZohoProjects.portals.READ', (user) => [
        { id: user.orgId, portal_name: user.orgName },
      ]),
      get(/^\/api\/v3\/portal\/\d+\/projects$/, 'ZohoProjects.projects.READ', () => []),
    ],
  ),
  product({ name: 'Campaigns', host: 'campaigns', prefix: /^\/api\/v1\.1\//, envelope: plainEnvelope }, [
    get(/^\/api\/v1\.1\/getmailinglists$/, 'ZohoCampaigns.contact.READ', () => ({
      status: 'success',
      code: '0',
      list_of_details: [],
    })),
  ]),
  product({ name: 'Cliq', host: 'cliq', prefix: /^\/api\/v2\//, envelope: plainEnvelope }, [
    get(/^\/api\/v2\/users$/, 'ZohoCliq.Users.READ', (user) => ({
      type: 'user',
      data: [{ email_id: user.id, name: user.name, organization_id: user.orgId }],
    })),
  ]),
  product({ name: 'Calendar', host: 'calendar', prefix: /^\/api\/v1\/calendars/, envelope: plainEnvelope }, [
    get(/^\/api\/v1\/calendars$/, 'ZohoCalendar.calendar.READ', (user) => ({
      calendars: [{ uid: user.orgId, name: user.name, isdefault: true }],
    })),
    list(/^\/api\/v1\/calendars\/(\w+)\/events$/, 'ZohoCalendar.event.READ'),
    add(/^\/api\/v1\/calendars\/(\w+)\/events$/, 'ZohoCalendar.event.CREATE'),
    list(/^\/api\/v1\/calendars\/(\w+)\/events\/(\w+)$/, 'ZohoCalendar.event.READ'),
    { method: 'PUT', path: /^\/api\/v1\/calendars\/(\w+)\/events\/(\w+)$/, scope: 'ZohoCalendar.event.UPDATE' },
    { method: 'DELETE', path: /^\/api\/v1\/calendars\/(\w+)\/events\/(\w+)$/, scope: 'ZohoCalendar.event.DELETE' },
  ]),
  product(
    {
      name: 'WorkDrive',
      host: 'workdrive',
      prefix: /^(?:\/workdrive)?\/api\/v1\/(?:users|teams|files|workspaces)\b/,
      envelope: workDriveEnvelope,
    },
    [
      get(/^(?:\/workdrive)?\/api\/v1\/users\/me$/, 'WorkDrive.users.READ', (user) => ({
        data: { id: user.orgId, type: 'users', attributes: { display_name: user.name, email_id: user.id } },
      })),
    ],
  ),
  product(
    { name: 'Sign', host: 'sign', prefix: /^\/api\/v1\/(?:requests|templates|documents)\b/, envelope: plainEnvelope },
    [get(/^\/api\/v1\/requests$/, 'ZohoSign.documents.READ', () => ({ code: 0, status: 'success', requests: [] }))],
  ),
  product({ name: 'Desk', host: 'desk', prefix: /^\/api\/v1\//, envelope: deskEnvelope, organization: deskHeader }, [
    withoutOrganization(
      get(/^\/api\/v1\/organizations$/, 'Desk.basic.READ', (user) => ({
        data: user.organizations.map(({ id, name }) => ({ id, companyName: name })),
      })),
    ),
    list(/^\/api\/v1\/(tickets)$/, 'Desk.tickets.READ'),
    add(/^\/api\/v1\/(tickets)$/, 'Desk.tickets.CREATE'),
  ]),
  product({ name: 'Mail', host: 'mail', prefix: /^\/api\/(?!v\d)/, envelope: mailEnvelope }, [
    get(/^\/api\/accounts$/, 'ZohoMail.accounts.READ', (user) => ({
      status: { code: 200, description: 'success' },
      data: [{ accountId: user.orgId, accountDisplayName: user.name, primaryEmailAddress: user.id }],
    })),
    get(/^\/api\/accounts\/\d+\/folders$/, 'ZohoMail.folders.READ', () => ({
      status: { code: 200, description: 'success' },
      data: [],
    })),
  ]),
  product(
    { name: 'People', host: 'people', prefix: /^\/(?:people\/)?api\/forms|^\/people\//, envelope: plainEnvelope },
    [
      get(/^\/people\/api\/forms$/, 'ZOHOPEOPLE.forms.READ', () => ({
        response: { status: 0, message: 'Data fetched successfully', result: [] },
      })),
    ],
  ),
  product(
    { name: 'Catalyst', host: 'api', prefix: /^\/baas\/v1\//, envelope: plainEnvelope, organization: catalystHeader },
    [
      get(/^\/baas\/v1\/project$/, 'ZohoCatalyst.projects.READ', (user) => ({
        status: 'success',
        data: [{ id: user.orgId, project_name: user.orgName }],
      })),
    ],
  ),
];

function finance(name: string, prefix: RegExp, service: string, organization: Product['organization']): Product {
  const at = (rest: string) => new RegExp(`${prefix.source}${rest}$`);
  return product({ name, host: 'www', prefix, envelope: financeEnvelope, organization }, [
    withoutOrganization(
      get(at('organizations'), `${service}.settings.READ`, (user) => ({
        code: 0,
        message: 'success',
        organizations: user.organizations.map(({ id, name: called }) => ({
          organization_id: id,
          name: called,
          is_default_org: id === user.orgId,
        })),
      })),
    ),
    list(at('(contacts)'), `${service}.contacts.READ`),
    add(at('(contacts)'), `${service}.contacts.CREATE`),
  ]);
}

function product(facts: Omit<Product, 'operations'>, operations: readonly Operation[]): Product {
  return { ...facts, operations };
}

function get(path: RegExp, scope: string, answer: (user: KnownUser) => unknown): Operation {
  return { method: 'GET', path, scope, answer };
}

function list(path: RegExp, scope: string): Operation {
  return { method: 'GET', path, scope };
}

function add(path: RegExp, scope: string): Operation {
  return { method: 'POST', path, scope };
}

function withoutOrganization(operation: Operation): Operation {
  return { ...operation, withoutOrganization: true };
}

function crmOrg(user: KnownUser): unknown {
  return { org: [{ id: user.orgId, zgid: user.orgId, company_name: user.orgName, primary_email: user.id }] };
}
